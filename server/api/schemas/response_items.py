"""The items that ``/v1/responses`` reads: messages, calls made before and what they gave back.

Knows how they become the messages of a chat; knows nothing of the rest of a request.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from server.api.schemas.base import ChosenLogprob, RequestBody, ResponseBody, refuse, screen
from server.api.schemas.inert import ANYTHING, CALL, PART, SAID, Table
from server.api.schemas.messages import Arguments
from server.tasks import results

Status = Literal["in_progress", "completed", "incomplete"]

SENT_BACK = "Accepted and not used: what an answer's items carry."
STORED = (
    "no items are stored here, so none can be referred to. Send the items themselves; a client that sends references "
    "does so no longer with the option 'store': false."
)
KINDS = ("message", "reasoning", "function_call", "function_call_output")


def _joined(value: Any, kind: str, inert: Table) -> Any:
    """The text of parts of one kind; anything but a list is left to the type to refuse."""
    if not isinstance(value, list):
        return value
    texts = []
    for i, part in enumerate(value):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise PydanticCustomError("content_part", "part {i} is not an object with a 'type'", {"i": i})
        if part["type"] != kind:
            refuse(str(i), f"only content parts of type '{kind}' are read here.")
        if not isinstance(screen(part, ("type", "text"), inert, where=f"{i}.").get("text"), str):
            raise PydanticCustomError("content_part", "part {i} must have a 'text'", {"i": i})
        texts.append(part["text"])
    if not texts:
        raise PydanticCustomError("content_part", "the list of parts is empty")
    return "".join(texts)


def _input_text(value: Any) -> Any:
    return _joined(value, "input_text", PART)


def _output_text(value: Any) -> Any:
    return _joined(value, "output_text", {**PART, "logprobs": ANYTHING})


Parts = str | list[dict[str, Any]]
InputText = Annotated[str, BeforeValidator(_input_text, json_schema_input_type=Parts)]
SaidText = Annotated[str, BeforeValidator(_output_text, json_schema_input_type=Parts)]


class InputMessage(RequestBody):
    """A message of the user or the application."""

    inert: ClassVar = SAID

    type: Literal["message"] = Field("message", description="May be left out.", examples=["message"])
    role: Literal["user", "system", "developer"] = Field(description="Who speaks.", examples=["user"])
    content: InputText = Field(description="Text, or parts of type `input_text`.", examples=["Good morning."])
    id: str | None = Field(None, description=SENT_BACK, examples=["msg_1"])
    status: Status | None = Field(None, description=SENT_BACK, examples=["completed"])


class OutputMessage(RequestBody):
    """An earlier message of the model."""

    inert: ClassVar = {**SAID, "phase": ("commentary", "final_answer")}

    type: Literal["message"] = Field("message", description="May be left out.", examples=["message"])
    role: Literal["assistant"] = Field(description="Who speaks.", examples=["assistant"])
    content: SaidText = Field(description="Text, or parts of type `output_text`.", examples=["Good morning!"])
    id: str | None = Field(None, description=SENT_BACK, examples=["msg_1"])
    status: Status | None = Field(None, description=SENT_BACK, examples=["completed"])


class FunctionCall(RequestBody):
    """A call the model made before."""

    inert: ClassVar = {**CALL, "async": (False,), "namespace": ("",)}

    type: Literal["function_call"] = Field(description="Always `function_call`.", examples=["function_call"])
    call_id: str = Field(description="What its output refers to.", examples=["call_1"])
    name: str = Field(description="Which function.", examples=["get_weather"])
    arguments: Arguments = Field(description="A JSON object, as text.", examples=['{"city": "Bern"}'])
    id: str | None = Field(None, description=SENT_BACK, examples=["fc_1"])
    status: Status | None = Field(None, description=SENT_BACK, examples=["completed"])


class FunctionCallOutput(RequestBody):
    """The result of a call."""

    inert: ClassVar = {**CALL, "is_error": (False,), "namespace": ("",)}

    type: Literal["function_call_output"] = Field(
        description="Always `function_call_output`.", examples=["function_call_output"]
    )
    call_id: str = Field(description="The call it answers.", examples=["call_1"])
    output: InputText = Field(description="Text, or parts of type `input_text`.", examples=['{"degrees": 21}'])
    id: str | None = Field(None, description=SENT_BACK, examples=["fco_1"])
    name: str | None = Field(None, description=SENT_BACK, examples=["get_weather"])
    status: Status | None = Field(None, description=SENT_BACK, examples=["completed"])


class ReasoningPart(RequestBody):
    """Some of a thought."""

    inert: ClassVar = PART

    type: Literal["reasoning_text", "summary_text"] = Field(description="What it is.", examples=["reasoning_text"])
    text: str = Field(description="The text.", examples=["The user greets."])


class ReasoningItem(RequestBody):
    """An earlier thought of the model."""

    inert: ClassVar = {**SAID, "encrypted_content": ("",)}

    type: Literal["reasoning"] = Field(description="Always `reasoning`.", examples=["reasoning"])
    content: list[ReasoningPart] = Field(default_factory=list, description="The thought.")
    summary: list[ReasoningPart] = Field(default_factory=list, description="Used where there is no `content`.")
    id: str | None = Field(None, description=SENT_BACK, examples=["rs_1"])
    status: Status | None = Field(None, description=SENT_BACK, examples=["completed"])

    @property
    def thought(self) -> str:
        """The whole of it."""
        return "".join(part.text for part in self.content or self.summary)


def _known(value: Any) -> Any:
    """Refuse kinds of items that are OpenAI's and not ours."""
    if not isinstance(value, dict):
        raise PydanticCustomError("input_item", "an item is an object")
    kind = value.get("type") or "message"
    if kind == "item_reference":
        refuse("type", STORED)
    if not isinstance(kind, str) or kind not in KINDS:
        refuse("type", f"items here are of type {', '.join(KINDS)}.")
    return value


def _tag(value: Any) -> str:
    kind = (value.get("type") or "message") if isinstance(value, dict) else getattr(value, "type", "message")
    role = value.get("role") if isinstance(value, dict) else getattr(value, "role", None)
    return "answer" if kind == "message" and role == "assistant" else str(kind)


Item = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[OutputMessage, Tag("answer")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[FunctionCallOutput, Tag("function_call_output")],
    Discriminator(_tag),
    BeforeValidator(_known),
]


def as_messages(items: Sequence[Any]) -> list[dict[str, Any]]:
    """The items as chat templates take messages: what the model said and called in one turn is one message."""
    messages: list[dict[str, Any]] = []
    thought = ""
    for item in items:
        if isinstance(item, ReasoningItem):
            thought += item.thought
        elif isinstance(item, FunctionCallOutput):
            messages.append({"role": "tool", "content": item.output, "tool_call_id": item.call_id})
        elif isinstance(item, FunctionCall):
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", **_after(thought)})
                thought = ""
            function = {"name": item.name, "arguments": item.arguments}
            call = {"id": item.call_id, "type": "function", "function": function}
            messages[-1].setdefault("tool_calls", []).append(call)
        else:
            about = _after(thought) if item.role == "assistant" else {}
            messages.append({"role": item.role, "content": item.content, **about})
            thought = ""
    return messages


def _after(thought: str) -> dict[str, str]:
    return {"reasoning_content": thought} if thought else {}


class OutputText(ResponseBody):
    """The text of a message."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any] = Field(default_factory=list)
    logprobs: list[ChosenLogprob] = Field(default_factory=list)


class Message(ResponseBody):
    """The model's message."""

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


class ReasoningText(ResponseBody):
    """The text of a thought."""

    type: Literal["reasoning_text"] = "reasoning_text"
    text: str


class ReasoningMade(ResponseBody):
    """The model's thought before its answer."""

    id: str
    type: Literal["reasoning"] = "reasoning"
    summary: list[ReasoningText] = Field(default_factory=list, description="Always empty: thoughts are told whole.")
    content: list[ReasoningText]
    status: Status


OutputItem = Annotated[Message | ReasoningMade | FunctionCallMade, Field(discriminator="type")]


class InputDetails(ResponseBody):
    """Where input tokens came from; writing to the prefix cache is not counted."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(ResponseBody):
    """The use of output tokens."""

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
            output_tokens_details=OutputDetails(reasoning_tokens=usage.reasoning_tokens or 0),
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
