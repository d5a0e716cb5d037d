"""The server writes log-probabilities as their schema would, for any tokens."""

import gc
import json
from pathlib import Path
from weakref import ref

import pytest
from pydantic import TypeAdapter

from models.registry import read_card
from models.tokenizers import load_tokenizer
from server.api.openai.logprobs import TokenJson, filled
from server.api.schemas.base import ChosenLogprob, Logprobs, chosen_logprobs
from server.api.schemas.chat import Answer, ChatChoice
from server.engines.rows import Token, write_top
from server.tasks.results import NONE, TokenLogprobs, TokenTexts

SCHEMA = TypeAdapter(list[ChosenLogprob])
LOGPROBS = (-0.0, -1e-7, -0.1, -3.25, -12.345679, -1e5, -1e20)


@pytest.fixture(scope="module")
def texts() -> TokenTexts:
    return TokenTexts(load_tokenizer(read_card(Path("models/weights/assistant"))))


def told(texts: TokenTexts, *tops: int) -> TokenLogprobs:
    """A token for each number of likeliest; together they have every id and every log-probability of the list."""
    tokens, at = [], 0
    for top in tops:
        ids = range(at, at + top)
        tokens.append(Token(at, LOGPROBS[at % 7], write_top(ids, [LOGPROBS[i % 7] for i in ids])))
        at += max(1, top)
    return TokenLogprobs(tokens, texts)


@pytest.mark.parametrize("top", [0, 1, 5, 20])
@pytest.mark.parametrize("tops", [(20,) * 307, (0,), (0, 0, 3), (3, 0, 0, 1), (1,)])
def test_tokens_are_written_as_their_schema_writes_them(texts: TokenTexts, tops: tuple[int, ...], top: int) -> None:
    tokens = told(texts, *tops)
    assert b"[%b]" % TokenJson().content(tokens, top) == SCHEMA.dump_json(chosen_logprobs(tokens, top))


def test_what_is_kept_of_a_model_goes_with_it() -> None:
    texts = TokenTexts(load_tokenizer(read_card(Path("models/weights/assistant"))))
    gone, kept = ref(texts), TokenJson()
    kept.content(told(texts, 3), 3)
    del texts
    gc.collect()
    assert gone() is None


def test_no_text_is_taken_for_the_place_of_the_tokens(texts: TokenTexts) -> None:
    places = '"logprobs":{"content":[', '\\"logprobs":{"content":[]', "logprobs"
    choices = [
        ChatChoice(
            index=i,
            message=Answer(role="assistant", content=place, refusal=None),
            logprobs=Logprobs(content=[], refusal=None),
            finish_reason="stop",
        )
        for i, place in enumerate(places)
    ]
    encoded = TypeAdapter(list[ChatChoice]).dump_json(choices)
    tokens = told(texts, 2)
    back = json.loads(
        filled(encoded, [TokenJson().content(tokens, 2), TokenJson().content(NONE, 2), TokenJson().content(tokens, 2)])
    )
    assert [choice["message"]["content"] for choice in back] == list(places)
    assert [len(choice["logprobs"]["content"]) for choice in back] == [1, 0, 1]
