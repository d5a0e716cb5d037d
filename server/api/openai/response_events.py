"""The events of a stream of ``/v1/responses``, in the order and with the fields of OpenAI's package.

A message is opened by its first text and closed before a call or the end; the events' texts together are its text.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from pydantic_core import to_json

from server.api.openai.pace import Deltas, Pace
from server.api.openai.response_answers import Answer
from server.api.record import Record
from server.api.schemas.response_objects import FunctionCallMade, OutputItem
from server.errors import ServerError
from server.tasks.results import Delta
from server.tasks.told import TokenText


class Events:
    """Writes one stream."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._number = 0
        self._item_id: str | None = None
        self._text: list[str] = []
        self._tokens: list[TokenText] = []
        self._output: list[OutputItem] = []

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

    def _open(self) -> Iterator[bytes]:
        if self._item_id is not None:
            return
        item = self._answer.message("in_progress", [])
        self._item_id = item.id
        yield self._event("response.output_item.added", output_index=0, item=item)
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
        return self._event(kind, item_id=self._item_id, output_index=0, content_index=0, **facts)

    def _event(self, kind: str, **facts: Any) -> bytes:
        data = to_json({"type": kind, "sequence_number": self._number, **facts})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
