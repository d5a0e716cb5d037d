"""The exceptions of the official client for the server's refusals."""

import hashlib
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.server_process import serving

ASK: Any = [{"role": "user", "content": "Hi"}]


def test_a_bad_value_raises_bad_request_with_the_field(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="assistant", messages=ASK, temperature=7)
    assert raised.value.param == "temperature"
    assert raised.value.code == "invalid_value"
    assert raised.value.type == "invalid_request_error"
    assert raised.value.request_id


def test_a_misspelt_field_raises_bad_request(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model="assistant", messages=ASK, extra_body={"temprature": 1})


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_a_prompt_raises_bad_request_before_the_stream(client: OpenAI, stream: bool) -> None:
    long: Any = [{"role": "user", "content": "word " * 5000}]
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="assistant", messages=long, stream=stream)
    assert raised.value.code == "context_length_exceeded"


def test_an_unknown_model_raises_not_found_and_lists_the_models(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="assistant"):
        client.chat.completions.create(model="gpt-9", messages=ASK)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_a_route_that_is_not_there_raises_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.list()


@pytest.mark.parametrize("fields", [{"seed": 1, "temperature": 1}, {"presence_penalty": 1}, {"logit_bias": {"500": 1}}])
def test_what_the_engine_cannot_do_exactly_is_refused_by_name_or_done(client: OpenAI, fields: Any) -> None:
    refusal = None
    try:
        client.chat.completions.create(model="assistant", messages=ASK, max_tokens=4, **fields)
    except openai.BadRequestError as error:
        refusal = error
    if refusal is not None:
        assert refusal.code == "unsupported_parameter"
        assert refusal.param in fields


def test_too_large_a_body_raises_a_413(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.embeddings.create(model="embed", input="a" * 3_000_000)
    assert raised.value.status_code == 413


def test_a_wrong_key_raises_authentication_error() -> None:
    digest = hashlib.sha256(b"right").hexdigest()
    with serving("--api-keys", digest, "--models", "embed") as served:
        for key in ("wrong", "right"):
            with OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0) as client:
                if key == "right":
                    assert client.models.list().data
                else:
                    with pytest.raises(openai.AuthenticationError):
                        client.models.list()
