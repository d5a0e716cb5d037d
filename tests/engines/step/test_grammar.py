"""Completions under a grammar, on the shipped model: whatever it would like to say, it keeps to the form."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llguidance import LLMatcher

from models.registry import read_card
from models.tokenizers import load_tokenizer
from server.engines.kinds import EngineSpec
from server.engines.rows import GenerationRow, Sampling
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
        one, other = shared.begin(grammar), alone.begin(grammar)
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
