"""Log-probabilities of given tokens: the same as if the model had made them."""

from typing import Any

import numpy as np
import pytest

from server.engines.rows import Generated, GenerationRow, Sampling, read_top
from server.engines.step.scoring import Scored, Scoring, likeliest, portions
from tests.engines.step.conftest import EngineOf, prompt

GREEDY = Sampling(temperature=0.0)


def scored(engine: Any, sink: Any, row: GenerationRow) -> Generated:
    out = sink()
    engine.run([row], out)
    result: Generated = out.outcomes[0]
    return result


def test_given_tokens_score_as_they_did_when_they_were_made(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of()
    out = sink()
    engine.run([GenerationRow(prompt(40), 20, sampling=GREEDY, logprobs=3)], out)
    made = out.pieces[0]
    whole = [*prompt(40), *(token.id for token in made)]
    result = scored(engine, sink, GenerationRow(whole, 0, logprobs=3, score_from=40))
    assert [token.id for token in result.prompt] == [token.id for token in made]
    assert [token.logprob for token in result.prompt] == pytest.approx([token.logprob for token in made], abs=1e-5)
    likeliest = [[read_top(token.top)[0] for token in tokens] for tokens in (result.prompt, made)]
    assert likeliest[0] == likeliest[1]
    assert result.cached_tokens > 0


@pytest.mark.parametrize("length", [2, 3, 16, 17, 100])
def test_every_token_but_the_first_can_be_scored(engine_of: EngineOf, sink: Any, length: int) -> None:
    engine = engine_of()
    first = scored(engine, sink, GenerationRow(prompt(length), 0, logprobs=0, score_from=1))
    assert [token.id for token in first.prompt] == prompt(length)[1:]
    assert all(token.logprob is not None and token.logprob < 0 and not token.top for token in first.prompt)
    again = scored(engine, sink, GenerationRow(prompt(length), 0, logprobs=0, score_from=1))
    assert again.prompt == first.prompt


def test_scores_do_not_depend_on_batch_mates_and_generation_goes_on(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of()
    alone = scored(engine, sink, GenerationRow(prompt(50, 1), 5, sampling=GREEDY, logprobs=2, score_from=10))
    out = sink()
    rows = [GenerationRow(prompt(30, n), 8, sampling=GREEDY) for n in range(3)]
    engine.run([*rows, GenerationRow(prompt(50, 1), 5, sampling=GREEDY, logprobs=2, score_from=10)], out)
    assert out.outcomes[3].prompt == alone.prompt
    assert len(alone.prompt) == 40
    assert len(out.pieces[3]) == 5


def test_rows_are_scored_together_and_bitwise_as_alone(engine_of: EngineOf, sink: Any) -> None:
    rows = [GenerationRow(prompt(n, n), 0, logprobs=3, score_from=max(1, n - 7)) for n in range(2, 40, 3)]
    rows += [GenerationRow(prompt(100, n), 0, logprobs=0, score_from=1) for n in range(3)]
    out = sink()
    engine_of().run(rows, out)
    for i, row in enumerate(rows):
        assert out.outcomes[i].prompt == scored(engine_of(), sink, row).prompt
        assert [token.id for token in out.outcomes[i].prompt] == list(row.prompt[row.score_from :])


def test_as_many_rows_are_scored_at_once_as_fit() -> None:
    counts = [2, 60, 2, 1, 64, 64, 3, 30, 31, 1]
    parts = [Scored(Scoring([1], 1, 0), i, 0, count) for i, count in enumerate(counts)]
    made = [[part.count for part in portion] for portion in portions(parts)]
    assert made == [[2, 60, 2], [1], [64], [64], [3, 30, 31], [1]]


def test_a_prompt_of_one_token_has_nothing_to_score(engine_of: EngineOf, sink: Any) -> None:
    result = scored(engine_of(), sink, GenerationRow(prompt(1), 3, sampling=GREEDY, logprobs=0, score_from=1))
    assert result.prompt == ()


def test_the_likeliest_are_those_of_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 5, 50, 1000):
        for _ in range(50):
            row = rng.integers(0, rng.integers(2, 30), size).astype(np.float32)
            count = int(rng.integers(1, 22))
            assert likeliest(row, count).tolist() == np.argsort(-row, kind="stable")[:count].tolist()
