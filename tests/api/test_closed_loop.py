"""A generator that only CTranslate2's own loop can run refuses by name what that loop cannot do exactly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.engines.kinds import GENERATOR_PARAMETERS, STEP_PARAMETERS
from tests.engines.step import tiny
from tests.generator_folders import write_generator
from tests.server_process import serving

PARALLEL = tiny.Family({**tiny.GPT2, "parallel_residual": True, "shared_layer_norm": True})
"""As GPT-J has it, which our engine does not know."""
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
ANYWHERE: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "logit_bias": {"5": 1},
    "min_p": 0.1,
    "min_tokens": 2,
    "presence_penalty": 0.5,
    "repetition_penalty": 1.1,
    "seed": 7,
}
CHAT: dict[str, Any] = {
    **{name: (name, {name: value}) for name, value in ANYWHERE.items()},
    "grammar": ("response_format", {"response_format": {"type": "json_object"}}),
    "a schema": ("response_format", {"response_format": SCHEMA}),
    "top_logprobs": ("top_logprobs", {"logprobs": True, "top_logprobs": 2}),
    "tools": ("tools", {"tools": [TOOL], "tool_choice": "required"}),
    "thinking_budget": ("thinking_budget", {"thinking_budget": 5}),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder: Path = tmp_path_factory.mktemp("models")
    write_generator(folder / "closed", family=PARALLEL)
    with serving(models_dir=folder) as served, served.client() as made:
        yield made


def ask(client: httpx.Client, path: str, **fields: Any) -> Any:
    said = {"messages": [{"role": "user", "content": "hello"}]} if path.startswith("chat") else {"prompt": "hello"}
    return client.post(f"/v1/{path}", json={"model": "closed", "max_tokens": 4, **said, **fields})


def refused(answer: Any) -> str:
    assert answer.status_code == 400, answer.text
    assert "'closed'" in answer.json()["error"]["message"]  # the model, not the request, is at fault
    return str(answer.json()["error"]["param"])


def test_what_the_loop_can_do_is_answered(client: httpx.Client) -> None:
    fields = {"temperature": 0.7, "top_p": 0.9, "top_k": 5, "logprobs": 0, "ignore_eos": True, "n": 2}
    answer = ask(client, "completions", **fields)
    assert answer.status_code == 200, answer.text
    assert [choice["finish_reason"] for choice in answer.json()["choices"]] == ["length"] * 2
    assert answer.json()["usage"]["completion_tokens"] == 8
    assert ask(client, "chat/completions", stop=["x"], logprobs=True, temperature=0).status_code == 200


@pytest.mark.parametrize("case", CHAT)
def test_a_chat_is_refused_by_the_name_of_what_cannot_be_done(client: httpx.Client, case: str) -> None:
    name, fields = CHAT[case]
    assert refused(ask(client, "chat/completions", **fields)) == name


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        *((name, {name: value}) for name, value in ANYWHERE.items()),
        ("echo", {"echo": True, "logprobs": 1}),
        ("echo", {"echo": True, "max_tokens": 0}),
        ("top_logprobs", {"logprobs": 2}),
    ],
)
def test_a_completion_is_refused_by_the_name_of_what_cannot_be_done(
    client: httpx.Client, name: str, fields: dict[str, Any]
) -> None:
    assert refused(ask(client, "completions", **fields)) == name


def test_decisions_are_refused(client: httpx.Client) -> None:
    question = {"type": "predicate", "name": "q", "instructions": "Is it good?"}
    answer = client.post("/v1/decisions", json={"model": "closed", "input": "hello", "questions": [question]})
    assert refused(answer) == "model"


def test_no_parameter_is_left_out_here() -> None:
    """What only our engine honours is what the cases above ask for."""
    names = {*ANYWHERE, "prompt_logprobs", *(name for name in CHAT if name in STEP_PARAMETERS)}
    assert names == STEP_PARAMETERS - GENERATOR_PARAMETERS
