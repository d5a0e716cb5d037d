"""Ollama's official package against a real server. Run by `make test-clients`."""

from collections.abc import Iterator
from typing import Any, Literal, get_args

import pytest
from pydantic import BaseModel

from tests.compat.desk import ASK, TABLE, Desk, Kind
from tests.server_process import Served

ollama = pytest.importorskip("ollama", reason="ollama is in the environment of `make test-clients` only")
from ollama._utils import convert_function_to_tool  # noqa: E402  it is there

ASKED: Any = {"model": "assistant", "messages": [{"role": "user", "content": TABLE}], "options": {"temperature": 0}}


@pytest.fixture
def client(server: Served) -> Iterator[Any]:
    with ollama.Client(host=server.url, timeout=60) as made:
        yield made


def test_a_chat_streams_as_it_is_whole(client: Any) -> None:
    whole = client.chat(**ASKED)
    assert whole.message.content
    *parts, last = client.chat(**ASKED, stream=True)
    assert "".join(part.message.content for part in parts) == whole.message.content
    assert (last.done, last.done_reason, last.eval_count) == (True, "stop", whole.eval_count)
    assert 0 < whole.eval_duration < whole.total_duration


@pytest.mark.anyio
async def test_the_asynchronous_face_gets_the_same(server: Served, client: Any) -> None:
    made = ollama.AsyncClient(host=server.url)
    parts = [part.message.content async for part in await made.chat(**ASKED, stream=True)]
    assert "".join(parts) == client.chat(**ASKED).message.content


def test_a_prompt_is_answered_and_a_text_continued(client: Any) -> None:
    options = {"temperature": 0, "num_predict": 4}
    answer = client.generate("assistant", TABLE, system="You book tables.", options=options)
    assert (answer.done_reason, answer.eval_count) == ("length", 4)
    parts = [
        part.response for part in client.generate("assistant", "I would like", raw=True, stream=True, options=options)
    ]
    assert "".join(parts)


def test_a_tool_is_called_and_its_result_worded(client: Any) -> None:
    desk = Desk()
    tool = convert_function_to_tool(desk.tool).model_dump(exclude_none=True)
    tool["function"]["parameters"]["properties"]["kind"]["enum"] = list(get_args(Kind))  # the package leaves it out
    messages: list[Any] = [{"role": "user", "content": ASK}]
    fields: Any = {"model": "assistant:latest", "tools": [tool], "options": {"temperature": 0, "num_ctx": 4096}}
    said = client.chat(messages=messages, **fields).message
    (call,) = said.tool_calls
    result = desk.tool(**call.function.arguments)
    messages += [said, {"role": "tool", "content": result, "tool_name": call.function.name}]
    desk.assert_served(client.chat(messages=messages, **fields).message.content)


class Table(BaseModel, extra="forbid"):
    city: Literal["Oakland", "San Jose"]
    outdoors: bool


def test_an_answer_has_the_form_that_was_asked_for(client: Any) -> None:
    made = client.chat(**ASKED, format=Table.model_json_schema())
    Table.model_validate_json(made.message.content)


def test_texts_are_embedded(client: Any) -> None:
    dog, puppy, tea = client.embed("embed", ["a dog", "a puppy", "I like tea."]).embeddings
    near, far = (sum(a * b for a, b in zip(dog, other, strict=True)) for other in (puppy, tea))
    assert near > far
    assert client.embeddings("embed", "a dog").embedding == pytest.approx(dog, abs=1e-6)


def test_models_are_listed_and_described(client: Any) -> None:
    assert {"assistant:latest", "embed:latest"} <= {each.model for each in client.list().models}
    shown = client.show("assistant")
    assert shown.capabilities == ["completion", "tools"]
    assert shown.modelinfo[f"{shown.details.family}.context_length"] == 1024
    assert "assistant:latest" in {each.model for each in client.ps().models}


def test_refusals_are_the_packages_own_exception(client: Any) -> None:
    with pytest.raises(ollama.ResponseError, match="nobody") as caught:
        client.chat("nobody", ASKED["messages"])
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="images"):
        client.generate("assistant", "What is this?", images=[b"png"])
    with pytest.raises(ollama.ResponseError, match="think"):
        client.chat(**ASKED, think=True)
