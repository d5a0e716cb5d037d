"""The messages and tools of a chat, as OpenAI writes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.schemas.base import RequestBody, invalid, refuse, screen
from server.api.schemas.inert import CALL, PART, SAID, TOOL

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _text(value: Any) -> Any:
    """Text parts are joined; anything else is left to the type to refuse."""
    if not isinstance(value, list):
        return value
    texts = []
    for i, part in enumerate(value):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise PydanticCustomError("content_part", "part {i} is not an object with a 'type'", {"i": i})
        if part["type"] != "text":
            refuse(str(i), "only content parts of type 'text' are read here.")
        if not isinstance(screen(part, ("type", "text"), PART, where=f"{i}.").get("text"), str):
            raise PydanticCustomError("content_part", "part {i} must have a 'text'", {"i": i})
        texts.append(part["text"])
    if not texts:
        raise PydanticCustomError("content_part", "the list of parts is empty")
    return "".join(texts)


Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | list[dict[str, str]])]
"""A string, or a list of text parts."""

Arguments = Annotated[str, AfterValidator(lambda text: text if text.strip() else "{}")]
"""The arguments of a call, as text; clients write none for a function that takes none."""

CONTENT = "Text: a string or a list of parts of type `text`."


class SystemMessage(RequestBody):
    """A system message."""

    inert: ClassVar = SAID

    role: Literal["system", "developer"] = Field(description="Who speaks.", examples=["system"])
    content: Text = Field(description=CONTENT, examples=["You are brief."])
    name: str | None = Field(None, description="The speaker's name.", examples=["rules"])


class UserMessage(RequestBody):
    """A message of the user."""

    inert: ClassVar = SAID

    role: Literal["user"] = Field(description="Who speaks.", examples=["user"])
    content: Text = Field(description=CONTENT, examples=["Good morning."])
    name: str | None = Field(None, description="The speaker's name.", examples=["Ada"])


class CalledFunction(RequestBody):
    """A function and what it was called with."""

    inert: ClassVar = CALL

    name: str = Field(description="Which function.", examples=["get_weather"])
    arguments: Arguments = Field(description="A JSON object, as text.", examples=['{"city": "Bern"}'])


class Call(RequestBody):
    """A call the assistant made."""

    inert: ClassVar = CALL

    id: str = Field(description="What a tool message refers to.", examples=["call_1"])
    type: Literal["function"] = Field(description="Always `function`.", examples=["function"])
    function: CalledFunction = Field(description="What was called.")


_SAID_BESIDE_THOUGHTS = {
    name: values for name, values in SAID.items() if name not in ("reasoning", "reasoning_content")
}


class AssistantMessage(RequestBody):
    """An earlier message of the model."""

    # A message that only calls may have no text in any form.
    inert: ClassVar = {**_SAID_BESIDE_THOUGHTS, "content": ([],), "reasoning_content": ("", []), "reasoning": ("", [])}
    neutral: ClassVar = {"audio": (), "function_call": ()}

    role: Literal["assistant"] = Field(description="Who speaks.", examples=["assistant"])
    content: Text | None = Field(None, description=CONTENT, examples=["Good morning!"])
    tool_calls: list[Call] | None = Field(None, description="The calls it made.")
    name: str | None = Field(None, description="The speaker's name.", examples=["Hearth"])
    reasoning_content: str | None = Field(
        None, description="What it thought before; templates that take it write it.", examples=["The user greets."]
    )
    reasoning: str | None = Field(
        None, description="Another name of `reasoning_content`.", examples=["The user greets me."]
    )

    @model_validator(mode="after")
    def _thinks_once(self) -> "AssistantMessage":
        if None not in (self.reasoning, self.reasoning_content) and self.reasoning != self.reasoning_content:
            raise invalid("reasoning", "differs from reasoning_content; send one of them")
        return self

    @property
    def thought(self) -> str | None:
        """The thought before the message, by either of its two names."""
        return self.reasoning_content or self.reasoning

    @model_validator(mode="after")
    def _says_something(self) -> "AssistantMessage":
        if self.content is None and not self.tool_calls:
            raise invalid("content", "is missing; only a message with tool_calls may leave it out")
        return self


class ToolMessage(RequestBody):
    """The result of a call."""

    inert: ClassVar = SAID

    role: Literal["tool"] = Field(description="Who speaks.", examples=["tool"])
    content: Text = Field(description=CONTENT, examples=['{"degrees": 21}'])
    tool_call_id: str = Field(description="The call it answers.", examples=["call_1"])
    name: str | None = Field(None, description="The function that was called.", examples=["get_weather"])


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


def written(message: Message) -> dict[str, Any]:
    """A message as chat templates take it, with its thought under one name."""
    fields = message.model_dump(exclude_none=True, exclude={"reasoning"})
    if isinstance(message, AssistantMessage) and message.thought is not None:
        fields["reasoning_content"] = message.thought
    return fields


def _check_name(name: str) -> str:
    if NAME.fullmatch(name) is None:
        raise PydanticCustomError("function_name", "letters, digits, '_', '.' and '-' only, 64 at most")
    return name


def _check_parameters(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    if not isinstance(properties, dict) or not all(isinstance(one, dict | bool) for one in properties.values()):
        raise PydanticCustomError("schema", "'properties' must be an object of JSON Schemas")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(one, str) for one in required):
        raise PydanticCustomError("schema", "'required' must be a list of names")
    return schema


FunctionName = Annotated[str, AfterValidator(_check_name)]

Parameters = Annotated[dict[str, Any], AfterValidator(_check_parameters)]
"""A JSON Schema of an object."""


class Function(RequestBody):
    """A function the model may call."""

    inert: ClassVar = TOOL

    name: FunctionName = Field(description="Its name.", examples=["get_weather"])
    strict: bool | None = Field(
        None, description="Refuse keywords of `parameters` that cannot be held to, or leave them out.", examples=[True]
    )
    description: str | None = Field(None, description="What it does.", examples=["The weather in a city."])
    parameters: Parameters | None = Field(
        None,
        description="A JSON Schema of an object.",
        examples=[{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}],
    )


class Tool(RequestBody):
    """A tool; only functions are known here."""

    inert: ClassVar = TOOL

    type: Literal["function"] = Field(description="Always `function`.", examples=["function"])
    function: Function = Field(description="The function.")


FORM = "send {'type': 'function', 'function': {'name': …}}"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether a call has to be made, and of which functions (None: of any)."""

    required: bool
    names: tuple[str, ...] | None = None


def read_choice(value: str | dict[str, Any]) -> ToolChoice:
    """Read OpenAI's form.

    Raises:
        PydanticCustomError: it is malformed.
    """
    if isinstance(value, str):
        return ToolChoice(value == "required")
    if value.get("type") == "function":
        return ToolChoice(True, (_function(value, "tool_choice."),))
    if value.get("type") == "allowed_tools":
        allowed = _object(screen(value, ("type", "allowed_tools"), where="tool_choice."), "allowed_tools")
        allowed = screen(allowed, ("mode", "tools"), where="tool_choice.allowed_tools.")
        tools, mode = allowed.get("tools"), allowed.get("mode")
        if mode in ("auto", "required") and isinstance(tools, list):
            names = (_function(tool, f"tool_choice.allowed_tools.tools.{i}.") for i, tool in enumerate(tools))
            return ToolChoice(mode == "required", tuple(names))
    raise invalid("tool_choice", FORM)


def _function(value: Any, where: str) -> str:
    """The name of a function that is chosen."""
    if isinstance(value, dict) and value.get("type") == "function":
        function = _object(screen(value, ("type", "function"), where=where), "function")
        name = screen(function, ("name",), where=f"{where}function.").get("name")
        if isinstance(name, str):
            return name
    raise invalid("tool_choice", FORM)


def _object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(found := value.get(name), dict):
        raise invalid("tool_choice", FORM)
    return found
