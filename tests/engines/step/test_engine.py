"""The engine over the core: rows join, leave, are preempted and come to the same end."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from server.engines.base import NO_ROOM, Room, Turn
from server.engines.kinds import EngineSpec
from server.engines.rows import Generated, GenerationRow, Sampling, read_top
from server.engines.step.engine import StepEngine
from server.errors import EngineFailed
from tests.engines.step import tiny
from tests.engines.step.conftest import EngineOf, prompt


def row(n: int, max_tokens: int = 20, **sampling: Any) -> GenerationRow:
    return GenerationRow(
        prompt(3 + 5 * n % 50, seed=n), max_tokens, sampling=Sampling(**{"temperature": 0.0, **sampling})
    )


def run(engine: StepEngine, rows: Sequence[GenerationRow], out: Any) -> Any:
    engine.run(rows, out)
    return out


def texts(out: Any) -> dict[int, list[int]]:
    return {i: [token.id for token in pieces] for i, pieces in out.pieces.items()}


def test_rows_end_by_stop_or_length_and_pieces_come_first(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of()
    first = run(engine, [row(1)], sink())
    assert first.outcomes == {0: Generated("length")}
    ids = texts(first)[0]
    assert len(ids) == 20
    stop = ids[7]
    out = run(engine, [GenerationRow(row(1).prompt, 20, frozenset({stop}), sampling=Sampling(temperature=0))], sink())
    assert texts(out)[0] == ids[: ids.index(stop) + 1]
    assert out.outcomes[0].reason == "stop"
    assert out.order == [("piece", 0)] * (ids.index(stop) + 1) + [("done", 0)]


def test_a_row_gives_the_same_text_alone_in_a_batch_and_after_joining(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of(threads=2)
    rows = [row(n, 10 + n, temperature=0.9 * (n % 2), seed=n) for n in range(9)]
    alone = [texts(run(engine, [r], sink()))[0] for r in rows]
    together = run(engine, rows[:4], sink(join=rows[4:]))
    assert [texts(together)[i] for i in range(9)] == alone
    assert len(together.outcomes) == 9


def test_a_dropped_row_leaves_at_once(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of()
    out = run(engine, [row(1, 100), row(2, 30)], sink(drop_after_pieces=4))
    assert len(out.pieces[0]) == 4
    assert 0 not in out.outcomes
    assert out.outcomes[1].reason == "length"


def test_a_full_cache_preempts_rows_and_loses_nothing(engine_of: EngineOf, sink: Any) -> None:
    """One context of cache for rows that want three: penalties, seeds and texts survive being computed anew."""
    rows = [row(n, 60, temperature=0.8, seed=n, frequency_penalty=0.5) for n in range(6)]
    plenty = texts(run(engine_of(), rows, sink()))
    engine = engine_of(cache_bytes=0)
    backs: list[int] = []
    core = engine._core

    class Counting:
        def __getattr__(self, name: str) -> Any:
            if name == "preempt":
                return lambda number: (backs.append(number), core.preempt(number))
            return getattr(core, name)

    engine._core = Counting()  # type: ignore[assignment]
    out = run(engine, rows, sink())
    engine._core = core
    assert backs
    assert texts(out) == plenty
    assert all(isinstance(outcome, Generated) for outcome in out.outcomes.values())


def test_a_known_prefix_is_not_computed_again(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of()
    shared = prompt(64, seed=1)
    cold = GenerationRow([*shared, 5, 6, 7], 8, sampling=Sampling(temperature=0))
    first = run(engine, [cold], sink())
    assert first.outcomes[0] == Generated("length", cached_tokens=0)
    again = run(engine, [cold], sink())
    assert again.outcomes[0] == Generated("length", cached_tokens=64)
    assert texts(again) == texts(first)
    # The next turn of a conversation finds the answer of the last one too.
    turn = GenerationRow([*cold.prompt, *texts(first)[0], 9, 10], 8, sampling=Sampling(temperature=0))
    assert run(engine, [turn], sink()).outcomes[0].cached_tokens == 64
    longer = GenerationRow([*cold.prompt, *texts(first)[0], *prompt(10)], 8, sampling=Sampling(temperature=0))
    run(engine, [longer], sink())
    assert run(engine, [longer], sink()).outcomes[0].cached_tokens == 80


def test_the_longest_untouched_prefix_is_given_up_first(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of(cache_bytes=0)  # one context: eight blocks
    a, b, c = (GenerationRow(prompt(50, seed=n), 2, sampling=Sampling(temperature=0)) for n in (1, 2, 3))

    def cached(r: GenerationRow) -> int:
        return int(run(engine, [r], sink()).outcomes[0].cached_tokens)

    assert [cached(a), cached(b), cached(a)] == [0, 0, 48]
    assert cached(c) == 0  # takes b's blocks, as a was touched later
    assert cached(a) == 48
    assert cached(b) < 48


def test_rows_the_core_refuses_fail_alone(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of()
    wrong = [
        GenerationRow([tiny.VOCABULARY], 5),
        GenerationRow([1] * 100, 100),
        GenerationRow([1], 5, sampling=Sampling(bias=dict.fromkeys(range(tiny.VOCABULARY), -100.0))),
    ]
    out = run(engine, [*wrong, row(2)], sink())
    assert [type(out.outcomes[i]) for i in range(4)] == [EngineFailed] * 3 + [Generated]


def test_logprobs_come_with_their_tokens(engine_of: EngineOf, sink: Any) -> None:
    rows = [GenerationRow(prompt(5), 6, sampling=Sampling(temperature=0), logprobs=n) for n in (None, 0, 3)]
    out = run(engine_of(), rows, sink())
    plain, chosen, top = (out.pieces[i] for i in range(3))
    assert all(token.logprob is None and not token.top for token in plain)
    assert all(token.logprob < 0 and not token.top for token in chosen)
    for token in top:
        ids, logprobs = read_top(token.top)
        assert (ids[0], logprobs[0], len(ids)) == (token.id, token.logprob, 3)


def test_a_long_prompt_does_not_stall_the_others(engine_of: EngineOf, sink: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("server.engines.step.engine.PROMPT_TOKENS", 16)
    monkeypatch.setattr("server.engines.step.engine.LEAST_PROMPT_TOKENS", 16)
    engine = engine_of()
    long = GenerationRow(prompt(100), 3, sampling=Sampling(temperature=0))
    out = run(engine, [row(1, 40)], sink(join=[long]))
    before = next(i for i, word in enumerate(out.order) if word == ("piece", 1))
    assert sum(word == ("piece", 0) for word in out.order[:before]) >= 6


def test_room_is_offered_while_there_are_seats_and_blocks(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of(max_rows=3)
    rooms: list[Room] = []

    class Noting(sink):  # type: ignore[misc]
        def step(self, room: Room = NO_ROOM) -> Turn[Any]:
            rooms.append(room)
            return super().step(room)  # type: ignore[no-any-return]

    run(engine, [row(1, 3), row(2, 6)], Noting())
    assert rooms[0].rows == 1
    assert rooms[-1].rows == 3
    assert all(room.tokens > 0 for room in rooms)
    assert 0 < rooms[0].cache_usage < 1
    assert rooms[-1].cache_usage == 0


def test_a_failing_outbox_leaves_no_row_behind(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of()

    class Broken(sink):  # type: ignore[misc]
        def step(self, room: Room = NO_ROOM) -> Turn[Any]:
            raise RuntimeError("the pipe is gone")

    with pytest.raises(RuntimeError, match="pipe"):
        engine.run([row(1)], Broken())
    engine._core.forget_prefixes()
    assert engine._core.available_blocks == engine._core.blocks


def test_it_may_be_closed_in_another_thread(folder_of: Callable[[str], Path], sink: Any) -> None:
    engine = StepEngine(EngineSpec("step", str(folder_of("llama")), lane_threads=2, options={"context_tokens": 128}))
    run(engine, [row(1)], sink())
    closer = threading.Thread(target=engine.close)
    closer.start()
    closer.join(10)
    assert not closer.is_alive()
