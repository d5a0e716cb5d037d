"""What ``/v1/responses`` answers: the response and its items, as OpenAI's package types them."""

from typing import Annotated, Any, Literal

from pydantic import Field

from server.api.schemas.base import ResponseBody
from server.api.schemas.logprobs import ChosenLogprob
from server.api.schemas.response_items import Status
from server.tasks import results


class OutputText(ResponseBody):
    """The text of a message."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any] = Field(default_factory=list)
    logprobs: list[ChosenLogprob] = Field(default_factory=list)


class Message(ResponseBody):
    """What the model says."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: Status
    content: list[OutputText]


class FunctionCallMade(ResponseBody):
    """A call the model wants made."""

    id: str
    type: Literal["function_call"] = "function_call"
    status: Status
    call_id: str
    name: str
    arguments: str


OutputItem = Annotated[Message | FunctionCallMade, Field(discriminator="type")]


class InputDetails(ResponseBody):
    """Where input tokens came from; writing to the prefix cache is not counted."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(ResponseBody):
    """What output tokens went into: nothing here reasons."""

    reasoning_tokens: int = 0


class ResponseUsage(ResponseBody):
    """Tokens read and made."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int

    @classmethod
    def of(cls, usage: results.Usage) -> "ResponseUsage":
        """Encode."""
        return cls(
            input_tokens=usage.prompt_tokens,
            input_tokens_details=InputDetails(cached_tokens=usage.cached_tokens),
            output_tokens=usage.completion_tokens,
            output_tokens_details=OutputDetails(),
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
        )


class IncompleteDetails(ResponseBody):
    """Why an answer is not whole."""

    reason: Literal["max_output_tokens"]


class Failure(ResponseBody):
    """Why there is no answer."""

    code: Literal["server_error"] = "server_error"
    message: str


class ResponseObject(ResponseBody):
    """The answer, with what it was asked."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Literal["in_progress", "completed", "incomplete", "failed"] = "in_progress"
    error: Failure | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    instructions: str | None
    output: list[OutputItem] = Field(default_factory=list)
    max_output_tokens: int | None
    temperature: float
    top_p: float
    top_logprobs: int
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    parallel_tool_calls: bool
    text: dict[str, Any]
    reasoning: dict[str, Any] = Field(default_factory=lambda: {"effort": None, "summary": None})
    metadata: dict[str, str]
    user: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None
    background: Literal[False] = False
    store: Literal[False] = False
    previous_response_id: None = None
    service_tier: Literal["default"] = "default"
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUsage | None = None
