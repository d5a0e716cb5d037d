"""``POST /v1/messages`` and ``/v1/messages/count_tokens``: Anthropic's dialect of a chat.

A request becomes the messages, tools and options that `/v1/chat/completions` gives the same task. This module knows no
models. It reads no `anthropic-version`: the shapes have been the same since the only version there is, 2023-06-01.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field
from pydantic_core import to_json

from server.api import sse
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id
from server.api.errors import peer_of, renamed
from server.api.openai.streaming import Deltas, Pace
from server.api.record import Record
from server.api.request import JsonRoute
from server.api.schemas.anthropic import NO_THOUGHT, Conversation, MessagesRequest
from server.api.schemas.base import ResponseBody
from server.tasks import results
from server.tasks.generation.options import GenerationOptions
from server.tasks.offload import SMALL_BYTES, offload
from server.tasks.results import Delta, ToolCall


class MessageUsage(ResponseBody):
    """Tokens read and made; those found in the cache of prefixes are counted apart, as Anthropic does."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int = 0

    @classmethod
    def of(cls, usage: results.Usage) -> "MessageUsage":
        """Encode."""
        return cls(
            input_tokens=usage.prompt_tokens - usage.cached_tokens,
            output_tokens=usage.completion_tokens,
            cache_read_input_tokens=usage.cached_tokens,
        )


class MessageMade(ResponseBody):
    """The assistant's message."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[dict[str, Any]] = Field(description="Blocks of type `text` and `tool_use`.")
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"] | None = None
    stop_sequence: str | None = None
    usage: MessageUsage


class TokenCount(ResponseBody):
    """The size of a conversation."""

    input_tokens: int


REASONS: Mapping[str, Any] = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def _ending(reason: results.FinishReason, stopped_by: str | None) -> dict[str, Any]:
    return {"stop_reason": REASONS[reason] if stopped_by is None else "stop_sequence", "stop_sequence": stopped_by}


def _text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _call_block(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": new_id("toolu_"), "name": call.name, "input": dict(call.arguments)}


def _event(kind: str, **facts: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), to_json({"type": kind, **facts}))


class Events:
    """Writes one stream. An error before its first event is an HTTP error, a later one the event `error`."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._blocks = 0
        self._in_text = False

    async def stream(self, deltas: Deltas, record: Record) -> AsyncIterator[bytes]:
        """All events."""
        pace = Pace(record)
        reasons: list[results.FinishReason] = []
        began = False
        try:
            async for delta in deltas:
                pace.tick(delta.index, deltas)
                if not began:
                    began = True
                    begun = MessageMade(
                        id=new_id("msg_"), model=self._model, content=[], usage=MessageUsage.of(deltas.usage)
                    )
                    yield _event("message_start", message=begun)
                for event in self._of(delta):
                    yield event
                if delta.finish_reason is not None:
                    reasons.append(delta.finish_reason)
                    ending = _ending(delta.finish_reason, deltas.stopped_by(0))
                    yield _event("message_delta", delta=ending, usage=MessageUsage.of(deltas.usage))
            yield _event("message_stop")
        finally:
            deltas.cancel()
            record.finish(deltas.usage, deltas.timing, reasons)

    def _of(self, delta: Delta) -> Iterator[bytes]:
        if delta.text:
            if not self._in_text:
                self._in_text = True
                yield _event("content_block_start", index=self._blocks, content_block=_text_block(""))
            piece = {"type": "text_delta", "text": delta.text}
            yield _event("content_block_delta", index=self._blocks, delta=piece)
        if delta.finish_reason is not None and self._in_text:
            yield self._end_block()
        for call in delta.calls:
            block = _call_block(call)
            yield _event("content_block_start", index=self._blocks, content_block={**block, "input": {}})
            piece = {"type": "input_json_delta", "partial_json": json.dumps(block["input"], ensure_ascii=False)}
            yield _event("content_block_delta", index=self._blocks, delta=piece)
            yield self._end_block()

    def _end_block(self) -> bytes:
        self._blocks += 1
        return _event("content_block_stop", index=self._blocks - 1)


NAMES = {
    "response_format": "output_config.format",
    "stop": "stop_sequences",
    "tools.function.strict": "tools.strict",
}
"""The names of this dialect's fields for those that tasks name as chat does."""

FRAMING = sse.Framing(lambda error: b"event: error\ndata: %b\n\n" % to_json(peer_of("/v1/messages").write(error)))

router = APIRouter(route_class=JsonRoute, tags=["Anthropic"])


@router.post("/v1/messages", response_model=MessageMade)
async def create_message(
    body: MessagesRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> MessageMade | Response:
    """Continue a conversation."""
    task = registry.chat(body.model)
    record.serve(task.card.id, generates=True)
    with renamed(NAMES):
        messages, options, tools = await offload(
            lambda: (body.conversation(), body.options(), body.callable_tools()), record.body_bytes, SMALL_BYTES
        )
        deltas = await task.chat(
            messages,
            task.effective(options),
            tools,
            call_required=body.must_call,
            several_calls=not body.tool_choice.disable_parallel_tool_use,
        )
    model = body.model or task.card.id
    if body.stream:
        events = Events(model).stream(deltas, record)
        return await sse.begin(events, record, settings.request_timeout_s, framing=FRAMING)
    (made,) = await deltas.whole()
    record.finish(deltas.usage, deltas.timing, [made.finish_reason])
    content = [_text_block(made.text)] if made.text else []
    content += [_call_block(call) for call in made.calls]
    ending = _ending(made.finish_reason, deltas.stopped_by(0))
    return MessageMade(id=new_id("msg_"), model=model, content=content, usage=MessageUsage.of(deltas.usage), **ending)


@router.post("/v1/messages/count_tokens")
async def count_tokens(body: Conversation, registry: RegistryDep, record: RecordDep) -> TokenCount:
    """Count the tokens of a conversation as `/v1/messages` would read it."""
    task = registry.generator(body.model)
    record.serve(task.card.id)
    options = GenerationOptions(reasoning=NO_THOUGHT)
    prompt = await offload(
        lambda: task.chat_prompt(body.conversation(), body.callable_tools(), options), record.body_bytes
    )
    return TokenCount(input_tokens=len(prompt.ids))
