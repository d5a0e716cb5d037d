"""Completions under a grammar, on the shipped model: whatever it would like to say, it keeps to the form."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llguidance import LLMatcher

from models.registry import read_card
from models.tokenizers import load_tokenizer
from server.engines.kinds import EngineSpec
from server.engines.rows import GenerationRow, Sampling, Thought
from server.engines.step.engine import StepEngine
from server.engines.step.grammar import Grammars
from server.engines.step.support import core
from server.errors import GrammarTooLarge

FOLDER = Path(__file__).parents[3] / "models" / "weights" / "assistant"
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "guests": {"type": "integer", "minimum": 1, "maximum": 20},
        "outdoors": {"type": "boolean"},
    },
    "required": ["city", "guests", "outdoors"],
    "additionalProperties": False,
}

FREE = {"type": "object", "properties": {"wishes": {"type": "array", "items": {"type": "string", "minLength": 60}}}}

COMPACT = LLMatcher.grammar_from_json_schema(SCHEMA, overrides={"whitespace_flexible": False})


@pytest.fixture(scope="module")
def engine() -> Iterator[StepEngine]:
    if core() is None:
        pytest.skip("the step engine is not compiled here")
    made = StepEngine(EngineSpec("step", str(FOLDER), options={"context_tokens": 512, "cache_bytes": 1 << 22}))
    yield made
    made.close()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(read_card(FOLDER))


def row(tokenizer: Any, grammar: str, seed: int = 0, **kwargs: Any) -> GenerationRow:
    asked = tokenizer.encode_with_specials([])
    prompt = [tokenizer.id("<s>"), *asked, *tokenizer.encode("a table for two in San Jose")]
    sampling = Sampling(temperature=1.0, seed=seed)
    stop_ids = frozenset({tokenizer.id("<|end|>")})
    return GenerationRow(prompt, kwargs.pop("max_tokens", 200), stop_ids, sampling=sampling, grammar=grammar, **kwargs)


def text(out: Any, tokenizer: Any, index: int = 0) -> str:
    ids = [token.id for token in out.pieces[index]]
    return b"".join(tokenizer.token_bytes(i) for i in ids).decode()


@pytest.mark.parametrize("logprobs", [None, 2])
def test_a_document_that_stops_is_valid(engine: StepEngine, tokenizer: Any, sink: Any, logprobs: int | None) -> None:
    """With log-probabilities nothing is appended undecoded: every token then has its own."""
    out = sink()
    engine.run([row(tokenizer, COMPACT, seed, logprobs=logprobs) for seed in range(6)], out)
    for i in range(6):
        assert out.outcomes[i].reason == "stop"
        document = json.loads(text(out, tokenizer, i))
        assert list(document) == ["city", "guests", "outdoors"]
        assert 1 <= document["guests"] <= 20
        assert isinstance(document["outdoors"], bool)
        assert all((token.logprob is not None) == (logprobs is not None) for token in out.pieces[i])


def test_a_forced_text_is_appended_without_decoding(engine: StepEngine, tokenizer: Any, sink: Any) -> None:
    out = sink()
    engine.run([row(tokenizer, 'start: "nothing else may be said here, not a word"')], out)
    assert text(out, tokenizer) == "nothing else may be said here, not a word"
    assert out.outcomes[0].reason == "stop"
    assert out.steps < len(out.pieces[0])


def test_the_length_is_kept_under_a_grammar(engine: StepEngine, tokenizer: Any, sink: Any) -> None:
    for max_tokens in range(1, 12):
        out = sink()
        engine.run([row(tokenizer, COMPACT, max_tokens=max_tokens)], out)
        assert (len(out.pieces[0]), out.outcomes[0].reason) == (max_tokens, "length")


def test_neighbours_without_a_grammar_are_not_touched(engine: StepEngine, tokenizer: Any, sink: Any) -> None:
    free = GenerationRow([5, 9, 40], 30, sampling=Sampling(temperature=1.0, seed=3))
    alone, beside = sink(), sink()
    engine.run([free], alone)
    engine.run([row(tokenizer, COMPACT), free], beside)
    assert [token.id for token in beside.pieces[1]] == [token.id for token in alone.pieces[0]]


def test_a_grammar_that_is_none_fails_its_row_alone(engine: StepEngine, tokenizer: Any, sink: Any) -> None:
    out = sink()
    good = GenerationRow([5, 9, 40], 3, sampling=Sampling(temperature=0))
    engine.run([row(tokenizer, "start: nowhere"), good], out)
    assert isinstance(out.outcomes[0], GrammarTooLarge)
    assert out.outcomes[1].reason == "length"


@pytest.mark.parametrize("states", [10_000, 400, 1])
def test_what_is_allowed_does_not_depend_on_who_shares_the_automaton(tokenizer: Any, states: int) -> None:
    """Nor on whether it is full: with 400 states some completions go on alone in the middle, with one all of them."""
    grammar = LLMatcher.grammar_from_json_schema(FREE)
    shared, alone = Grammars(str(FOLDER), {"max_lexer_states": states}), Grammars(str(FOLDER))
    for seed in range(4):
        choices = random.Random(seed)
        one, other = shared.matcher(grammar), alone.matcher(grammar)
        for _ in range(60):
            allowed = one.mask()
            assert allowed == other.mask()
            bits = np.unpackbits(np.frombuffer(allowed, np.uint8), bitorder="little")
            token = choices.choice(bits.nonzero()[0].tolist())
            one.take(token)
            other.take(token)
            assert one.forced() == other.forced()
        alone = Grammars(str(FOLDER))


def test_a_grammar_beyond_its_limits_fails_its_row_alone(tokenizer: Any, sink: Any) -> None:
    engine = StepEngine(EngineSpec("step", str(FOLDER), options={"context_tokens": 512, "cache_bytes": 1 << 22}))
    few = {"step_max_items": 60}
    engine._grammars = Grammars(str(FOLDER), few, few)
    simple = "start: /[a-z ]+/"
    nested = "start: x\nx: x x | /[a-z ]/"
    out = sink()
    engine.run([row(tokenizer, nested), row(tokenizer, simple, max_tokens=20)], out)
    engine.close()
    assert isinstance(out.outcomes[0], GrammarTooLarge)
    assert out.outcomes[0].status == 400
    assert out.outcomes[0].detail
    assert out.outcomes[1].reason in ("stop", "length")


THOUGHT: dict[str, Any] = {"end": "</thought>", "close": (207, 208), "after": (209,)}


def thinking(budget_tokens: int | None = None, **more: Any) -> Thought:
    return Thought(**{"begin": (), "end_id": 206, "budget_tokens": budget_tokens, **THOUGHT, **more})


def completion(out: Any, index: int = 0) -> list[int]:
    return [token.id for token in out.pieces[index]]


def test_a_thought_is_free_and_its_budget_closes_it(engine: StepEngine, sink: Any) -> None:
    free, held = sink(), sink()
    row = GenerationRow([5, 9, 40], 30, sampling=Sampling(temperature=0))
    engine.run([row], free)
    for budget in (1, 4):
        engine.run([replace(row, thought=thinking(budget))], held := sink())
        assert completion(held)[: budget + 2] == [*completion(free)[:budget], 207, 208]
        assert len(completion(held)) == 30


def test_the_budget_is_the_same_where_log_probabilities_keep_tokens_from_being_forced(
    engine: StepEngine, sink: Any
) -> None:
    row = GenerationRow([5, 9, 40], 12, sampling=Sampling(temperature=0), thought=thinking(3))
    engine.run([row, replace(row, logprobs=2)], out := sink())
    assert completion(out, 0) == completion(out, 1)


def test_a_grammar_holds_for_what_comes_after_the_thought(engine: StepEngine, tokenizer: Any, sink: Any) -> None:
    grammar = 'start: "yes" | "no"'
    under = row(tokenizer, grammar)
    engine.run([replace(under, max_tokens=60, thought=thinking(5))], out := sink())
    ids = completion(out)
    assert ids[5:7] == [207, 208]
    assert tokenizer.decode(ids[7:-1]) in ("yes", "no")
    assert not set(ids[:5]) & under.stop_ids, "a thought is not the end where an answer is to come"


def test_the_end_of_a_thought_is_seen_and_what_stands_after_it_is_forced(
    engine: StepEngine, tokenizer: Any, sink: Any
) -> None:
    under = replace(row(tokenizer, 'start: "yes"'), prompt=[5, 9, 40], sampling=Sampling(temperature=0))
    engine.run([replace(under, grammar=None, max_tokens=6)], free := sink())
    end = completion(free)[2]
    thought = thinking(end_id=end)
    engine.run([replace(under, max_tokens=60, thought=thought)], out := sink())
    place = completion(out).index(end)
    assert completion(out)[place + 1] == 209
    assert tokenizer.decode(completion(out)[place + 2 : -1]) == "yes"


def test_a_completion_may_leave_the_thought_out(engine: StepEngine, tokenizer: Any, sink: Any) -> None:
    under = row(tokenizer, 'start: "yes"')
    for bias in (100.0, -100.0):
        sampling = Sampling(temperature=0, bias={211: bias})
        thought = thinking(2, begin=(211, 212))
        engine.run([replace(under, max_tokens=60, sampling=sampling, thought=thought)], out := sink())
        ids = completion(out)
        if bias > 0:
            assert ids[:2] == [211, 212]
            assert ids[4:6] == [207, 208]
        assert tokenizer.decode(ids[6 if bias > 0 else 0 : -1]) == "yes"
