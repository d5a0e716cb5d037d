"""``POST /v1/responses``, without a memory: each request brings all that was said."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response
from pydantic_core import to_json

from server.api import sse
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now
from server.api.errors import renamed
from server.api.openai.streaming import Deltas, Pace, possible
from server.api.record import Record
from server.api.request import JsonRoute
from server.api.schemas.base import ChosenLogprob, chosen_logprobs
from server.api.schemas.response_items import (
    Failure,
    FunctionCallMade,
    IncompleteDetails,
    Message,
    OutputItem,
    OutputText,
    ReasoningMade,
    ReasoningText,
    ResponseObject,
    ResponseUsage,
    Status,
)
from server.api.schemas.responses import ResponseRequest
from server.errors import ServerError
from server.tasks.generation.options import GenerationOptions
from server.tasks.offload import SMALL_BYTES, offload
from server.tasks.results import Delta, TokenText, ToolCall, Usage


class Answer:
    """Writes the response of a request and its items."""

    def __init__(self, body: ResponseRequest, model: str, options: GenerationOptions) -> None:
        self._body = body
        self._message_id = new_id("msg_")
        self._thought_id = new_id("rs_")
        self._begun = ResponseObject(
            id=new_id("resp_"),
            created_at=now(),
            model=model,
            instructions=body.instructions,
            max_output_tokens=body.max_output_tokens,
            temperature=options.temperature,
            top_p=options.top_p,
            top_logprobs=body.top_logprobs,
            tools=[{"parameters": None, "strict": None, **tool.model_dump()} for tool in body.tools],
            tool_choice=body.tool_choice,
            parallel_tool_calls=body.parallel_tool_calls,
            text={"format": body.text_options.format, "verbosity": "medium"},
            metadata=body.metadata or {},
            user=body.user,
            safety_identifier=body.safety_identifier,
            prompt_cache_key=body.prompt_cache_key,
            reasoning={"effort": body.thought().effort, "summary": None},
        )

    @property
    def tells_thoughts(self) -> bool:
        """Whether thoughts are part of the answer."""
        return self._body.tells_thoughts

    @property
    def begun(self) -> ResponseObject:
        """The response before anything of it is there."""
        return self._begun

    def ended(self, output: Sequence[OutputItem], usage: Usage, *, cut: bool) -> ResponseObject:
        """The response with its output; ``cut``: a limit ended it."""
        return self._begun.model_copy(
            update={
                "completed_at": None if cut else now(),
                "status": "incomplete" if cut else "completed",
                "incomplete_details": IncompleteDetails(reason="max_output_tokens") if cut else None,
                "output": list(output),
                "usage": ResponseUsage.of(usage),
            }
        )

    def failed(self, output: Sequence[OutputItem], error: ServerError) -> ResponseObject:
        """The response where work failed after it had begun."""
        failure = Failure(message=error.message)
        return self._begun.model_copy(update={"status": "failed", "error": failure, "output": list(output)})

    def output(
        self, text: str, tokens: Iterable[TokenText], calls: Sequence[ToolCall], thought: str = "", *, cut: bool
    ) -> list[OutputItem]:
        """All items. A call makes a message needless; so does a limit met before there was any text."""
        items: list[OutputItem] = []
        if thought and self.tells_thoughts:
            items.append(self.thought(thought, "incomplete" if cut and not text and not calls else "completed"))
        if text or not (calls or cut):
            items.append(self.message("incomplete" if cut else "completed", [self.part(text, tokens)]))
        items.extend(self.call(call) for call in calls)
        return items

    def thought(self, text: str | None, status: Status) -> ReasoningMade:
        """The item of the thought; None: before there is any of it."""
        content = [] if text is None else [ReasoningText(text=text)]
        return ReasoningMade(id=self._thought_id, status=status, content=content)

    def message(self, status: Status, content: list[OutputText]) -> Message:
        """The item of the text."""
        return Message(id=self._message_id, status=status, content=content)

    def part(self, text: str, tokens: Iterable[TokenText]) -> OutputText:
        """The text itself."""
        return OutputText(text=text, logprobs=self.logprobs(tokens))

    def logprobs(self, tokens: Iterable[TokenText]) -> list[ChosenLogprob]:
        """The log-probabilities, where they were asked for."""
        return chosen_logprobs(tokens, self._body.top_logprobs) if self._body.logprobs else []

    def call(self, call: ToolCall) -> FunctionCallMade:
        """The item of a call."""
        return FunctionCallMade(
            id=new_id("fc_"),
            status="completed",
            call_id=new_id("call_"),
            name=call.name,
            arguments=json.dumps(dict(call.arguments), ensure_ascii=False),
        )


class Events:
    """Writes one stream."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._number = 0
        self._item_id: str | None = None
        self._text: list[str] = []
        self._tokens: list[TokenText] = []
        self._output: list[OutputItem] = []
        self._thought: list[str] = []
        self._thinks = False
        """Whether the item of a thought is open."""

    async def stream(self, deltas: Deltas, record: Record) -> AsyncIterator[bytes]:
        """All events; an error after the first is told by ``response.failed`` and then raised.

        Raises:
            ServerError: the work failed.
        """
        pace = Pace(record)
        reasons: list[str] = []
        began = False
        try:
            async for delta in deltas:
                pace.tick(delta.index, deltas)
                if not began:
                    began = True
                    for name in ("created", "in_progress"):
                        yield self._event(f"response.{name}", response=self._answer.begun)
                if delta.finish_reason is not None:
                    reasons.append(delta.finish_reason)
                for event in self._of(delta):
                    yield event
            cut = reasons == ["length"]
            response = self._answer.ended(self._output, deltas.usage, cut=cut)
            yield self._event(f"response.{response.status}", response=response)
        except ServerError as error:
            if began:
                yield self._event("response.failed", response=self._answer.failed(self._output, error))
            raise
        finally:
            deltas.cancel()
            record.finish(deltas.usage, deltas.timing, reasons)

    def _of(self, delta: Delta) -> Iterator[bytes]:
        reason = delta.finish_reason
        if delta.thought and self._answer.tells_thoughts:
            yield from self._think(delta.thought)
        if self._thinks and (delta.text or reason is not None):
            cut = reason == "length" and not delta.text and not delta.calls
            yield from self._end_thought("incomplete" if cut else "completed")
        empty = reason is not None and reason != "length" and not delta.calls and self._item_id is None
        if delta.text or empty:
            yield from self._open()
        if self._item_id is not None and (delta.text or delta.tokens):
            yield self._piece("response.output_text.delta", delta=delta.text, logprobs=delta.tokens)
        self._text.append(delta.text)
        self._tokens += delta.tokens
        if reason is not None:
            if self._item_id is not None:
                yield from self._close(cut=reason == "length")
            for call in delta.calls:
                yield from self._call(self._answer.call(call))

    def _think(self, text: str) -> Iterator[bytes]:
        if not self._thinks:
            self._thinks = True
            item = self._answer.thought(None, "in_progress")
            yield self._event("response.output_item.added", output_index=0, item=item)
            yield self._of_thought("response.content_part.added", part=ReasoningText(text=""))
        self._thought.append(text)
        yield self._of_thought("response.reasoning_text.delta", delta=text)

    def _end_thought(self, status: Status) -> Iterator[bytes]:
        self._thinks = False
        text = "".join(self._thought)
        yield self._of_thought("response.reasoning_text.done", text=text)
        yield self._of_thought("response.content_part.done", part=ReasoningText(text=text))
        yield self._done(self._answer.thought(text, status))

    def _of_thought(self, kind: str, **facts: Any) -> bytes:
        id = self._answer.thought(None, "in_progress").id
        return self._event(kind, item_id=id, output_index=0, content_index=0, **facts)

    def _open(self) -> Iterator[bytes]:
        if self._item_id is not None:
            return
        item = self._answer.message("in_progress", [])
        self._item_id = item.id
        yield self._event("response.output_item.added", output_index=len(self._output), item=item)
        yield self._piece("response.content_part.added", part=self._answer.part("", ()))

    def _close(self, *, cut: bool) -> Iterator[bytes]:
        part = self._answer.part("".join(self._text), self._tokens)
        item = self._answer.message("incomplete" if cut else "completed", [part])
        yield self._piece("response.output_text.done", text=part.text, logprobs=self._tokens)
        yield self._piece("response.content_part.done", part=part)
        yield self._done(item)

    def _call(self, made: FunctionCallMade) -> Iterator[bytes]:
        index = len(self._output)
        begun = made.model_copy(update={"arguments": "", "status": "in_progress"})
        yield self._event("response.output_item.added", output_index=index, item=begun)
        where = {"item_id": made.id, "output_index": index}
        yield self._event("response.function_call_arguments.delta", **where, delta=made.arguments)
        yield self._event("response.function_call_arguments.done", **where, name=made.name, arguments=made.arguments)
        yield self._done(made)

    def _done(self, item: OutputItem) -> bytes:
        index = len(self._output)
        self._output.append(item)
        return self._event("response.output_item.done", output_index=index, item=item)

    def _piece(self, kind: str, **facts: Any) -> bytes:
        """An event of the message's text."""
        if "logprobs" in facts:
            facts["logprobs"] = self._answer.logprobs(facts["logprobs"])
        at = len(self._output)
        return self._event(kind, item_id=self._item_id, output_index=at, content_index=0, **facts)

    def _event(self, kind: str, **facts: Any) -> bytes:
        data = to_json({"type": kind, "sequence_number": self._number, **facts})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

NAMES = {
    "logprobs": "include",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "response_format": "text.format",
    "tools.function.strict": "tools.strict",
}
"""The names of this dialect's fields for those that tasks name as chat does."""

FRAMING = replace(sse.EVENTS, end=b"")
"""The last event says how it ended; OpenAI sends no [DONE] here."""


@router.post("/v1/responses", response_model=ResponseObject)
async def create_response(
    body: ResponseRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> ResponseObject | Response:
    """Answer an input, whole or as a stream of events."""
    task = registry.chat(body.model)
    record.serve(task.card.id, generates=True)
    with renamed(NAMES):
        messages, options, tools = await offload(
            lambda: (body.conversation(), body.options(), body.callable_tools()), record.body_bytes, SMALL_BYTES
        )
        options = task.effective(possible(options, task.thinks, record))
        deltas = await task.chat(
            messages,
            options,
            tools,
            call_required=body.choice().required,
            several_calls=body.parallel_tool_calls,
        )
    answer = Answer(body, body.model or task.card.id, options)
    if body.stream:
        return await sse.begin(
            Events(answer).stream(deltas, record), record, settings.request_timeout_s, framing=FRAMING
        )
    (choice,) = await deltas.whole()
    record.finish(deltas.usage, deltas.timing, [choice.finish_reason])
    cut = choice.finish_reason == "length"
    return answer.ended(
        answer.output(choice.text, choice.tokens, choice.calls, choice.thought, cut=cut), deltas.usage, cut=cut
    )
