"""``POST /v1/chat/completions``."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from server.api import sse
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now
from server.api.openai.logprobs import TokenJson, filled
from server.api.openai.streaming import Deltas, Pace, TextChunks, fingerprint, possible
from server.api.record import Record
from server.api.request import JsonRoute
from server.api.schemas.base import Logprobs
from server.api.schemas.chat import (
    Answer,
    CallMade,
    ChatChoice,
    ChatChunk,
    ChatDelta,
    ChatRequest,
    ChatResponse,
    ChunkChoice,
    FunctionMade,
    GenerationUsage,
)
from server.tasks.offload import SMALL_BYTES, offload
from server.tasks.results import Choice, Delta, ToolCall

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


async def _token_json(request: Request) -> TokenJson:
    kept: TokenJson = request.app.state.token_json
    return kept


TokenJsonDep = Annotated[TokenJson, Depends(_token_json)]


@router.post("/v1/chat/completions", response_model=ChatResponse, response_model_exclude_unset=True)
async def create_chat_completion(
    body: ChatRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep, token_json: TokenJsonDep
) -> ChatResponse | Response:
    """Continue a conversation."""
    task = registry.chat(body.model)
    record.serve(task.card.id, generates=True)
    messages, options, tools = await offload(
        lambda: (body.conversation(), body.options(), body.callable_tools()), record.body_bytes, SMALL_BYTES
    )
    deltas = await task.chat(
        messages,
        task.effective(possible(options, task.thinks, record)),
        tools,
        call_required=body.choice().required,
        several_calls=body.parallel_tool_calls,
    )
    answer = _Answers(body, body.model or task.card.id, fingerprint(task.card), token_json)
    if body.stream:
        return await sse.begin(answer.stream(deltas, record), record, settings.request_timeout_s)
    choices = await deltas.whole()
    record.finish(deltas.usage, deltas.timing, (choice.finish_reason for choice in choices))
    return answer.whole(choices, GenerationUsage.of(deltas.usage))


class _Answers:
    """Writes the answers to one request, whole or as a stream: same id, time and model throughout."""

    def __init__(self, body: ChatRequest, model: str, system_fingerprint: str, token_json: TokenJson) -> None:
        self._token_json = token_json
        self._logprobs = body.logprobs
        self._top = body.top_logprobs
        self._tells_thoughts = body.tells_thoughts
        self._n = body.n
        self._options = body.stream_options
        self._id = new_id("chatcmpl-")
        self._created = now()
        self._model = model
        self._fingerprint = system_fingerprint

    def whole(self, choices: Sequence[Choice], usage: GenerationUsage) -> ChatResponse | Response:
        response = ChatResponse(
            id=self._id,
            object="chat.completion",
            created=self._created,
            model=self._model,
            system_fingerprint=self._fingerprint,
            choices=[self._choice(choice) for choice in choices],
            usage=usage,
        )
        if not self._logprobs:
            return response
        encoded = response.model_dump_json(exclude_unset=True).encode()
        contents = [self._token_json.content(choice.tokens, self._top) for choice in choices]
        return Response(filled(encoded, contents), media_type="application/json")

    def _choice(self, choice: Choice) -> ChatChoice:
        message = Answer(role="assistant", content=choice.text, refusal=None)
        if choice.calls:
            message = Answer(
                role="assistant", content=choice.text or None, refusal=None, tool_calls=[*map(_call, choice.calls)]
            )
        if choice.thought and self._tells_thoughts:
            message.reasoning_content = message.reasoning = choice.thought
        return ChatChoice(
            index=choice.index,
            message=message,
            logprobs=Logprobs(content=[], refusal=None) if self._logprobs else None,
            finish_reason=choice.finish_reason,
        )

    async def stream(self, deltas: Deltas, record: Record) -> AsyncIterator[bytes]:
        """The events of a stream, all but ``[DONE]``."""
        pace = Pace(record)
        begun = [False] * self._n
        reasons: list[str] = []
        plain = TextChunks(lambda i, text: self._chunk([self._part(i, ChatDelta(content=text))], deltas))
        thoughts = TextChunks(lambda i, text: self._chunk([self._part(i, _thought(text))], deltas))
        varies = self._logprobs or (self._options is not None and self._options.continuous_usage_stats)
        try:
            async for delta in deltas:
                pace.tick(delta.index, deltas)
                if delta.finish_reason is None and begun[delta.index] and not varies:
                    if delta.thought and self._tells_thoughts:
                        yield thoughts.encode(delta.index, delta.thought)
                    if delta.text or not delta.thought:
                        yield plain.encode(delta.index, delta.text)
                    continue
                if delta.finish_reason is not None:
                    reasons.append(delta.finish_reason)
                for chunk in self._chunks(delta, begun, deltas):
                    told = [delta.tokens for choice in chunk.choices if choice.logprobs is not None]
                    contents = [self._token_json.content(tokens, self._top) for tokens in told]
                    yield filled(sse.encode(chunk), contents)
            if self._options is not None and self._options.include_usage:
                yield sse.encode(self._chunk([], deltas, last=True))
        finally:
            deltas.cancel()
            record.finish(deltas.usage, deltas.timing, reasons)

    def _chunks(self, delta: Delta, begun: list[bool], deltas: Deltas) -> list[ChatChunk]:
        """A delta as chunks: the role before all else, the finish reason after it."""
        chunks = []
        if not begun[delta.index]:
            begun[delta.index] = True
            chunks.append(ChatDelta(role="assistant", content="", refusal=None))
        if delta.thought and self._tells_thoughts:
            chunks.append(_thought(delta.thought))
        if delta.text or delta.tokens:
            chunks.append(ChatDelta(content=delta.text))
        if delta.calls:
            numbered = [_call(call).model_copy(update={"index": i}) for i, call in enumerate(delta.calls)]
            chunks.append(ChatDelta(tool_calls=numbered))
        if delta.finish_reason is not None:
            chunks.append(ChatDelta())
        made = []
        for i, part in enumerate(chunks):
            last = i == len(chunks) - 1
            text = part.content is not None and part.role is None
            choice = self._part(delta.index, part)
            choice.logprobs = Logprobs(content=[], refusal=None) if self._logprobs and text else None
            choice.finish_reason = delta.finish_reason if last else None
            made.append(self._chunk([choice], deltas))
        return made

    def _part(self, index: int, part: ChatDelta) -> ChunkChoice:
        return ChunkChoice(index=index, delta=part, logprobs=None, finish_reason=None)

    def _chunk(self, choices: list[ChunkChoice], deltas: Deltas, *, last: bool = False) -> ChatChunk:
        chunk = ChatChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=self._model,
            system_fingerprint=self._fingerprint,
            choices=choices,
        )
        if self._options is not None and (last or self._options.continuous_usage_stats):
            chunk.usage = GenerationUsage.of(deltas.usage)
        elif self._options is not None and self._options.include_usage:
            chunk.usage = None  # set, so that it is sent as null
        return chunk


def _thought(text: str) -> ChatDelta:
    return ChatDelta(reasoning_content=text, reasoning=text)


def _call(call: ToolCall) -> CallMade:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    return CallMade(id=new_id("call_"), type="function", function=FunctionMade(name=call.name, arguments=arguments))
