"""What every engine promises, in process and over the pipe."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.engines.fake import FakeRow
from server.engines.kinds import EngineSpec
from server.engines.rows import EncoderRow, GenerationRow, Sampling, TranslationRow

WEIGHTS = Path(__file__).parents[2] / "models" / "weights"


@dataclass(frozen=True)
class Case:
    """An engine and how to make the nth of its rows; rows differ in length and content."""

    name: str
    spec: EngineSpec
    row: Callable[[int], Any]
    steps: bool = False
    """Whether it goes by steps, so that rows can be dropped while they run."""
    endless: Callable[[], Any] | None = None


def fake_row(n: int) -> Any:
    return FakeRow(str(n), pieces=tuple("xyz"[: n % 4]))


CASES = [
    Case("fake", EngineSpec("fake"), fake_row, True, lambda: FakeRow("endless", pieces=range(10**9))),
    Case(
        "fake that refills",
        EngineSpec("fake", options={"refill": True, "capacity": 4}),
        fake_row,
        True,
        lambda: FakeRow("endless", pieces=range(10**9)),
    ),
]


def generation_row(n: int, max_tokens: int | None = None) -> Any:
    return GenerationRow(
        prompt=[1 + (7 * n + k) % 200 for k in range(4 + n % 3)],
        max_tokens=max_tokens or 3 + n,
        sampling=Sampling(temperature=0),
    )


def translation_row(n: int) -> Any:
    pieces = json.loads((WEIGHTS / "translate" / "shared_vocabulary.json").read_text("utf-8"))[300:]
    return TranslationRow(["<2de>", *pieces[n : 2 * n + 3]], max_tokens=32, beam_size=2, hypotheses=1)


def seq2seq_row(n: int, max_tokens: int | None = None) -> Any:
    prompt = [3, *range(300 + n, 303 + 2 * n)]
    return GenerationRow(prompt, max_tokens=max_tokens or 3 + n, sampling=Sampling(temperature=0))


def encoder_row(n: int) -> Any:
    return EncoderRow([101, *range(2000 + n, 2003 + 2 * n), 102], "cls" if n % 2 else "mean")


CASES += [
    Case(
        "ct2-generator",
        EngineSpec("ct2-generator", str(WEIGHTS / "assistant")),
        generation_row,
        True,
        lambda: generation_row(0, max_tokens=900),
    ),
    Case(
        "step",
        EngineSpec("step", str(WEIGHTS / "assistant"), options={"context_tokens": 1024}),
        generation_row,
        True,
        lambda: generation_row(0, max_tokens=900),
    ),
    Case(
        "ct2-seq2seq",
        EngineSpec("ct2-seq2seq", str(WEIGHTS / "translate"), lanes=2),
        seq2seq_row,
        True,
        lambda: seq2seq_row(0, max_tokens=900),
    ),
    Case("ct2-translator", EngineSpec("ct2-translator", str(WEIGHTS / "translate"), lanes=2), translation_row),
    Case("step-translator", EngineSpec("step-translator", str(WEIGHTS / "translate"), lanes=2), translation_row),
    Case("ct2-encoder", EngineSpec("ct2-encoder", str(WEIGHTS / "sentiment"), lanes=2), encoder_row),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: Any) -> Case:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=["in process", "over the pipe"])
def engine(request: Any, case: Case, processes: Any) -> Any:
    if request.param == "over the pipe":
        yield processes(case.spec)
    else:
        built = case.spec.build()
        yield built
        built.close()


def run(engine: Any, rows: Sequence[Any], out: Any) -> Any:
    worker = threading.Thread(target=engine.run, args=(rows, out))
    worker.start()
    worker.join(60)
    assert not worker.is_alive()
    return out


def test_every_row_has_one_outcome_and_its_pieces_come_before(engine: Any, case: Case, sink: Any) -> None:
    out = run(engine, [case.row(i) for i in range(6)], sink())
    assert sorted(out.outcomes) == list(range(6))
    for row in range(6):
        words = [word for word, of in out.order if of == row]
        assert words == sorted(words, reverse=True)
        assert words.count("done") == 1


def test_a_row_does_not_depend_on_its_batch_mates(engine: Any, case: Case, sink: Any) -> None:
    together = run(engine, [case.row(i) for i in range(5)], sink())
    for i in range(5):
        alone = run(engine, [case.row(i)], sink())
        assert same(alone.outcomes[0], together.outcomes[i])
        assert alone.pieces.get(0) == together.pieces.get(i)


def test_an_engine_serves_run_after_run(engine: Any, case: Case, sink: Any) -> None:
    for i in range(10):
        assert len(run(engine, [case.row(i)] * 2, sink()).outcomes) == 2


def test_a_dropped_row_stops_and_the_others_go_on(engine: Any, case: Case, sink: Any) -> None:
    if case.endless is None:
        out = run(engine, [case.row(0), case.row(1)], sink(drop_after_pieces=0))
    else:
        out = run(engine, [case.endless(), case.row(1)], sink(drop_after_pieces=1))
    assert 1 in out.outcomes


def test_rows_that_join_are_answered_like_the_rest(engine: Any, case: Case, sink: Any) -> None:
    """An engine that offers no room is never handed a row at a step."""
    out = sink(join=[case.row(7), case.row(8)])
    run(engine, [case.row(3), case.row(2)], out)
    reference = run(engine, [case.row(7)], sink())
    if len(out.outcomes) > 2:
        assert same(out.outcomes[2], reference.outcomes[0])
        assert len(out.outcomes) == 4


def same(a: Any, b: Any) -> bool:
    """Equal results; floats as far as int8 kernels with different blocking agree."""
    import numpy as np

    if hasattr(a, "vector"):
        return bool(np.allclose(a.vector, b.vector, atol=2e-2))
    return bool(a == b)
