"""Most models have more embeddings than tokens: an id without a token is empty text and not an error."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_closed_loop import PARALLEL
from tests.engines.step import tiny
from tests.generator_folders import LETTERS, write_generator
from tests.server_process import serving

TOKENS = len(LETTERS) + 1
MADE = 40


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder: Path = tmp_path_factory.mktemp("models")
    write_generator(folder / "step", size=TOKENS)
    write_generator(folder / "json", *'{}",', size=TOKENS + 4)
    write_generator(folder / "closed", size=TOKENS, family=PARALLEL)
    with serving(models_dir=folder) as served, served.client() as made:
        yield made


def completed(client: httpx.Client, model: str, **fields: Any) -> Any:
    body = {"model": model, "prompt": "abc", "max_tokens": MADE, "ignore_eos": True, **fields}
    answer = client.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("model", ["step", "closed"])
def test_ids_without_tokens_are_empty_text(client: httpx.Client, model: str) -> None:
    answer = completed(client, model)
    assert answer["usage"]["completion_tokens"] == MADE
    # Four fifths of the ids have no token, and random weights choose among all of them.
    assert len(answer["choices"][0]["text"]) < MADE


def test_their_log_probabilities_are_told(client: httpx.Client) -> None:
    banned = {str(TOKENS - 1): -100}  # the end token, which is told and is no part of the text
    choice = completed(client, "step", logprobs=3, seed=1, logit_bias=banned)["choices"][0]
    assert len(choice["logprobs"]["tokens"]) == MADE
    assert "" in choice["logprobs"]["tokens"]
    assert "".join(choice["logprobs"]["tokens"]).replace("▁", " ") == choice["text"]
    message = {"role": "user", "content": "abc"}
    body = {"model": "step", "messages": [message], "max_tokens": MADE, "logprobs": True, "top_logprobs": 5, "seed": 1}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    tops = [item["top_logprobs"] for item in answer.json()["choices"][0]["logprobs"]["content"]]
    assert {len(top) for top in tops} == {5}
    assert any(each["token"] == "" and each["bytes"] == [] for top in tops for each in top)


def test_a_prompt_may_not_hold_one(client: httpx.Client) -> None:
    body = {"model": "step", "prompt": [1, tiny.VOCABULARY - 1], "max_tokens": 1}
    answer = client.post("/v1/completions", json=body)
    assert answer.status_code == 400
    assert f"ids are 0 to {TOKENS - 1}" in answer.json()["error"]["message"]


def test_a_grammar_keeps_them_out(client: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["b", "cd"]}}, "required": ["a"]}
    schema["additionalProperties"] = False
    form = {"type": "json_schema", "json_schema": {"name": "one", "strict": True, "schema": schema}}
    message = {"role": "user", "content": "abc"}
    body = {"model": "json", "messages": [message], "max_tokens": MADE, "response_format": form}
    for seed in range(8):
        answer = client.post("/v1/chat/completions", json={**body, "seed": seed})
        assert answer.status_code == 200, answer.text
        assert json.loads(answer.json()["choices"][0]["message"]["content"])["a"] in ("b", "cd")
