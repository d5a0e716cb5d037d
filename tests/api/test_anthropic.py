"""Anthropic's dialect: the same answers as chat's, in its shapes, whole and as events."""

import json
from typing import Any

import pytest

from tests.api.test_chat import TOOL as CHAT_TOOL
from tests.api.test_chat import say_a_call

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "Hi"}
TOOL = {"name": "book_table", "input_schema": CHAT_TOOL["function"]["parameters"]}  # type: ignore[index]


async def ask(served: Any, status: int = 200, **fields: Any) -> dict[str, Any]:
    body = {"model": "assistant", "max_tokens": 50, "messages": [USER], **fields}
    response = await served.post("/v1/messages", **body)
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def events(served: Any, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    body = {"model": "assistant", "max_tokens": 50, "messages": [USER], "stream": True, **fields}
    response = await served.post("/v1/messages", **body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    read = []
    for block in filter(None, response.text.split("\n\n")):
        name, data = block.split("\n")
        read.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    assert all(name == data["type"] for name, data in read)
    return read


async def test_an_answer_has_anthropics_shape(served: Any) -> None:
    answer = await ask(served)
    assert answer.pop("id").startswith("msg_")
    usage = answer.pop("usage")
    assert answer == {
        "type": "message",
        "role": "assistant",
        "model": "assistant",
        "content": [{"type": "text", "text": "Hello there, how are you?"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
    }
    chat = await served.post("/v1/chat/completions", model="assistant", messages=[USER], max_tokens=50)
    read = usage["input_tokens"] + usage["cache_read_input_tokens"]
    assert (read, usage["output_tokens"]) == tuple(
        chat.json()["usage"][name] for name in ("prompt_tokens", "completion_tokens")
    )
    counted = await served.post("/v1/messages/count_tokens", model="assistant", messages=[USER])
    assert counted.json() == {"input_tokens": read}


async def test_a_stream_is_the_whole_answer_event_by_event(served: Any) -> None:
    whole = await ask(served)
    read = await events(served)
    names = [name for name, _ in read]
    deltas = [data for name, data in read if name == "content_block_delta"]
    assert names == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * len(deltas),
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert len(deltas) > 1
    assert "".join(delta["delta"]["text"] for delta in deltas) == whole["content"][0]["text"]
    begun = read[0][1]["message"]
    assert (begun["content"], begun["stop_reason"]) == ([], None)
    assert read[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert read[-2][1]["usage"] == whole["usage"]


async def test_a_stop_sequence_is_told(served: Any) -> None:
    answer = await ask(served, stop_sequences=["unheard of", " how"])
    assert answer["content"][0]["text"] == "Hello there,"
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", " how")
    ending = (await events(served, stop_sequences=[" how"]))[-2][1]["delta"]
    assert ending == {"stop_reason": "stop_sequence", "stop_sequence": " how"}
    cut = await ask(served, max_tokens=2)
    assert (cut["stop_reason"], cut["stop_sequence"]) == ("max_tokens", None)


async def test_a_call_is_a_block_whole_and_streamed(served: Any) -> None:
    say_a_call(served)
    answer = await ask(served, tools=[TOOL])
    (block,) = answer["content"]
    assert block.pop("id").startswith("toolu_")
    assert block == {"type": "tool_use", "name": "book_table", "input": {"people": 2}}
    assert answer["stop_reason"] == "tool_use"
    read = await events(served, tools=[TOOL])
    assert [name for name, _ in read] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert read[1][1]["content_block"]["input"] == {}
    assert json.loads(read[2][1]["delta"]["partial_json"]) == {"people": 2}


async def test_a_conversation_is_read_as_chats(served: Any) -> None:
    """Neighbours of one role are one turn; results are messages of their own."""
    anthropic = {
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "A table"}]},
            {"role": "user", "content": "for two."},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Sure."},
                {"type": "tool_use", "id": "toolu_1", "name": "book_table", "input": {"people": 2}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Full.", "is_error": True},
                {"type": "text", "text": "And?"}]},
        ],
    }  # fmt: skip
    call = {"id": "toolu_1", "type": "function", "function": {"name": "book_table", "arguments": '{"people": 2}'}}
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A table\nfor two."},
        {"role": "assistant", "content": "Sure.", "tool_calls": [call]},
        {"role": "tool", "content": "Error: Full.", "tool_call_id": "toolu_1"},
        {"role": "user", "content": "And?"},
    ]
    counted = await served.post("/v1/messages/count_tokens", model="assistant", **anthropic, tools=[TOOL])
    tokens = await served.post("/tokenize", model="assistant", messages=chat, tools=[CHAT_TOOL])
    assert counted.json() == {"input_tokens": tokens.json()["count"]}
    assert (await ask(served, **anthropic, tools=[TOOL]))["content"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "'messages.0.content.0'"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}, "'document'"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "'thinking.type'"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]}, "'tools.0.type'"),
        ({"messages": [USER, {"role": "assistant", "content": "He"}]}, "'messages': must not end"),
        ({"messages": [{"role": "user", "content": []}]}, "'messages.0.content'"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}]},
         "'messages.0.content'"),
        ({"max_tokens": None}, "'max_tokens' is missing"),
        ({"tool_choice": {"type": "any"}}, "'tool_choice'"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "other"}}, "'tool_choice.name'"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "'tool_choice.name'"),
        ({"output_config": {"effort": "high"}}, "'output_config.effort'"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "no"}}}}, "output_config.format"),
        ({"model": "translate", "stop_sequences": ["a"]}, "'stop_sequences'"),
        ({"mcp_servers": [{"url": "x"}]}, "'mcp_servers'"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_refused_by_its_name(served: Any, fields: dict[str, Any], says: str) -> None:
    answer = await ask(served, 400, **fields)
    assert answer["type"] == "error"
    assert answer["error"]["type"] == "invalid_request_error"
    assert says in answer["error"]["message"]


async def test_errors_have_anthropics_types(serving: Any, served: Any) -> None:
    assert (await ask(served, 404, model="nobody"))["error"]["type"] == "not_found_error"
    long = await ask(served, 400, messages=[{"role": "user", "content": "hi " * 3000}])
    assert long["error"]["message"].startswith("prompt is too long: ")
    async with serving(max_body_bytes=100) as small:
        refused = await ask(small, 413, messages=[{"role": "user", "content": "hi " * 3000}])
        assert refused["error"]["type"] == "request_too_large"


async def test_a_stream_that_fails_ends_with_its_error(served: Any) -> None:
    served.engines["assistant"].fails = True
    name, data = (await events(served))[-1]
    assert name == "error"
    assert data["error"]["type"] == "api_error"
