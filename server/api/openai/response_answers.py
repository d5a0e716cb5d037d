"""The answer to one request of ``/v1/responses``: the same ids and items whole or streamed."""

import json
from collections.abc import Iterable, Sequence

from server.api.deps import new_id, now
from server.api.schemas.logprobs import ChosenLogprob, chosen_logprobs
from server.api.schemas.response_items import Status
from server.api.schemas.response_objects import (
    Failure,
    FunctionCallMade,
    IncompleteDetails,
    Message,
    OutputItem,
    OutputText,
    ResponseObject,
    ResponseUsage,
)
from server.api.schemas.responses import ResponseRequest
from server.errors import ServerError
from server.tasks.results import ToolCall, Usage
from server.tasks.told import TokenText


class Answer:
    """Writes the response of a request and its items."""

    def __init__(self, body: ResponseRequest, model: str) -> None:
        self._body = body
        self._message_id = new_id("msg_")
        self._begun = ResponseObject(
            id=new_id("resp_"),
            created_at=now(),
            model=model,
            instructions=body.instructions,
            max_output_tokens=body.max_output_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            top_logprobs=body.top_logprobs,
            tools=[{"parameters": None, "strict": None, **tool.model_dump()} for tool in body.tools],
            tool_choice=body.tool_choice,
            parallel_tool_calls=body.parallel_tool_calls,
            text={"format": body.text_options.format, "verbosity": "medium"},
            metadata=body.metadata or {},
            user=body.user,
            safety_identifier=body.safety_identifier,
            prompt_cache_key=body.prompt_cache_key,
        )

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
        self, text: str, tokens: Iterable[TokenText], calls: Sequence[ToolCall], *, cut: bool
    ) -> list[OutputItem]:
        """All items. A call makes a message needless; so does a limit met before there was any text."""
        items: list[OutputItem] = []
        if text or not (calls or cut):
            items.append(self.message("incomplete" if cut else "completed", [self.part(text, tokens)]))
        items.extend(self.call(call) for call in calls)
        return items

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
