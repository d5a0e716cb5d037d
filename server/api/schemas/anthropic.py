"""The requests of Anthropic's routes: its shapes, read as the messages, tools and options of a chat."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from models.cards import SAMPLING
from server.api.schemas import base
from server.api.schemas.base import ModelName, RequestBody, invalid, refuse, screen, shape_error
from server.api.schemas.inert import ANYTHING, CACHE, CALL, PART, SAID, THINKING, TOOL
from server.api.schemas.messages import FunctionName, Parameters
from server.api.schemas.sampling import MAX_STOPS, StopString
from server.tasks.generation.grammars import Form
from server.tasks.generation.options import GenerationOptions, Reasoning


def _blocks(*kinds: str) -> BeforeValidator:
    """Content as a list of blocks of these kinds; a string is one block of text."""

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return [{"type": "text", "text": value}]
        if not isinstance(value, list):
            raise shape_error("must be a string or a list of blocks")
        for i, block in enumerate(value):
            kind = block.get("type") if isinstance(block, dict) else None
            if not isinstance(kind, str):
                raise shape_error(f"block {i} is not an object with a 'type'")
            if kind not in kinds:
                refuse(str(i), f"no model here reads a block of type '{kind[:40]}'; send {' or '.join(kinds)}.")
        return value

    return BeforeValidator(read, json_schema_input_type=str | list[dict[str, Any]])


CONTENT = "A string, or a list of blocks. Texts are joined with line feeds."


class TextBlock(RequestBody):
    """Some text."""

    inert: ClassVar = PART

    type: Literal["text"] = Field(description="Always `text`.", examples=["text"])
    text: str = Field(description="The text.", examples=["Good morning."])


class ToolUse(RequestBody):
    """A call that the assistant made."""

    inert: ClassVar = {**CALL, "toolset_name": ()}

    type: Literal["tool_use"] = Field(description="Always `tool_use`.", examples=["tool_use"])
    id: str = Field(description="What the result refers to.", examples=["toolu_1"])
    name: str = Field(description="Which tool.", examples=["get_weather"])
    input: dict[str, Any] = Field(description="What it was called with.", examples=[{"city": "Bern"}])


Texts = Annotated[list[TextBlock], _blocks("text")]


class ToolResult(RequestBody):
    """The result of a call."""

    inert: ClassVar = {**CACHE, "toolset_name": ()}

    type: Literal["tool_result"] = Field(description="Always `tool_result`.", examples=["tool_result"])
    tool_use_id: str = Field(description="The call it answers.", examples=["toolu_1"])
    content: Texts = Field(default=[], description=CONTENT, examples=["21 degrees"])
    is_error: bool = Field(False, description="The call failed: the model reads `Error: ` before the content.")

    def text(self) -> str:
        """The text that the model reads."""
        return ("Error: " if self.is_error else "") + _joined(self.content)


class Turn(RequestBody):
    """A message of the user or the model. An answer without text and calls has no blocks."""

    inert: ClassVar = SAID

    role: Literal["user", "assistant", "system"] = Field(description="Who speaks.", examples=["user"])
    content: Annotated[
        list[
            Annotated[
                Annotated[TextBlock, Tag("text block")]
                | Annotated[ToolUse, Tag("tool_use block")]
                | Annotated[ToolResult, Tag("tool_result block")],
                Discriminator(lambda block: f"{block['type']} block"),  # a plain "text" would be taken for the field
            ]
        ],
        _blocks("text", "tool_use", "tool_result"),
    ] = Field(description=CONTENT, examples=["Good morning."])

    @model_validator(mode="after")
    def _check_speaker(self) -> "Turn":
        if not self.content and self.role != "assistant":
            raise invalid("content", "the list is empty")
        for block in self.content:
            if SPEAKERS.get(block.type, self.role) != self.role:
                raise invalid("content", f"a block of type '{block.type}' is the {SPEAKERS[block.type]}'s alone")
        return self


SPEAKERS: Mapping[str, str] = {"tool_use": "assistant", "tool_result": "user"}


class CustomTool(RequestBody):
    """A tool of the client's own."""

    inert: ClassVar = TOOL

    type: Literal["custom"] = Field("custom", description="Always `custom`.", examples=["custom"])
    name: FunctionName = Field(description="Its name.", examples=["get_weather"])
    description: str | None = Field(None, description="What it does.", examples=["The weather in a city."])
    input_schema: Parameters = Field(
        description="A JSON Schema of an object.",
        examples=[{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}],
    )
    strict: bool | None = Field(
        None, description="Refuse keywords of the schema that cannot be held to, or leave them out.", examples=[True]
    )

    @model_validator(mode="before")
    @classmethod
    def _check_type(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(kind := data.get("type"), str) and kind != "custom":
            refuse("type", "the server runs no tools itself; send tools of your own, with an 'input_schema'.")
        return data

    def chat_form(self) -> dict[str, Any]:
        """As chat templates take it."""
        function = self.model_dump(exclude_none=True, exclude={"type", "input_schema"})
        return {"type": "function", "function": {**function, "parameters": self.input_schema}}


class Choosing(RequestBody):
    """Which tools the model may or must call."""

    type: Literal["auto", "any", "tool", "none"] = Field(description="`any`, `tool`: a call is made.", examples=["any"])
    name: str | None = Field(None, description="With `tool`: which.", examples=["get_weather"])
    disable_parallel_tool_use: bool = Field(False, description="At most one call.", examples=[False])

    @model_validator(mode="after")
    def _check(self) -> "Choosing":
        if (self.type == "tool") != (self.name is not None):
            raise invalid("name", "goes with type 'tool', and that type needs it")
        return self


AUTO = Choosing.model_validate({"type": "auto"})


class Conversation(RequestBody):
    """The messages and tools: everything that counts as input."""

    inert: ClassVar = {
        **CACHE,
        "billing_policy": ANYTHING,
        "diagnostics": (),
        "fallback_credit_token": ANYTHING,
        "fallbacks": ([],),
        "inference_geo": (),
        "speed": ("standard",),
        "system": ("", []),
        "thinking": THINKING["thinking"],
        "user_profile_id": ANYTHING,
        "workspace_id": ANYTHING,
    }
    neutral: ClassVar = {
        "compaction": (),
        "container": (),
        "context_management": (),
        "mcp_servers": ([],),
        "thread": (),
    }

    model: ModelName = Field(examples=["assistant"])
    messages: list[Turn] = Field(
        min_length=1,
        description="The conversation so far; neighbours of one role are one turn.",
        examples=[[{"role": "user", "content": "Good morning."}]],
    )
    system: Texts = Field(default=[], description="What the model is to be.", examples=["You are brief."])
    tools: list[CustomTool] = Field(default=[], description="Tools that the model may call.")
    tool_choice: Choosing = Field(default=AUTO, description="Which of them it may or must call.")
    output_config: dict[str, Any] = Field(
        default={}, description="`format`: the JSON Schema that the answer obeys.",
        examples=[{"format": {"type": "json_schema", "schema": {"type": "object"}}}],
    )  # fmt: skip

    @field_validator("output_config")
    @classmethod
    def _check_output(cls, config: dict[str, Any]) -> dict[str, Any]:
        config = screen(config, ("format",), {"effort": ()})
        if (form := config.get("format")) is not None:
            if not isinstance(form, dict) or form.get("type") != "json_schema":
                raise invalid("format", "must be an object of type 'json_schema'")
            config["format"] = form = screen(form, ("type", "schema"), where="format.")
            if not isinstance(form.get("schema"), dict):
                raise invalid("format.schema", "must be an object")
        return config

    @model_validator(mode="after")
    def _check_conversation(self) -> "Conversation":
        if self.messages[-1].role == "assistant":
            raise invalid("messages", "must not end with the assistant's: no model here goes on with a begun answer")
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise invalid("tools", "have two tools of one name")
        if self.must_call and not names:
            raise invalid("tool_choice", "needs tools to choose from")
        if self.tool_choice.name is not None and self.tool_choice.name not in names:
            raise invalid("tool_choice.name", f"names '{self.tool_choice.name}', which is none of the tools")
        return self

    @property
    def must_call(self) -> bool:
        """Whether the answer is a call."""
        return self.tool_choice.type in ("any", "tool")

    def conversation(self) -> list[dict[str, Any]]:
        """All of it as the messages of a chat: a turn of blocks for each speaker, a message for each result."""
        said: list[tuple[str, TextBlock | ToolUse | ToolResult]] = [("system", block) for block in self.system]
        said += [
            ("tool" if isinstance(block, ToolResult) else message.role, block)
            for message in self.messages
            for block in message.content
        ]
        return [turn for role, blocks in groupby(said, lambda each: each[0]) for turn in _turns(role, blocks)]

    def callable_tools(self) -> list[dict[str, Any]] | None:
        """The tools that the model may call, in the form of a chat; None when there are none."""
        if not self.tools or self.tool_choice.type == "none":
            return None
        return [tool.chat_form() for tool in self.tools if self.tool_choice.name in (None, tool.name)]


def _turns(role: str, said: Iterator[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """Consecutive messages of one role, as messages of a chat."""
    blocks = [block for _, block in said]
    if role == "tool":
        yield from ({"role": role, "content": one.text(), "tool_call_id": one.tool_use_id} for one in blocks)
        return
    turn: dict[str, Any] = {"role": role}
    if texts := [block for block in blocks if isinstance(block, TextBlock)]:
        turn["content"] = _joined(texts)
    if calls := [block for block in blocks if isinstance(block, ToolUse)]:
        functions = [{"name": call.name, "arguments": json.dumps(call.input, ensure_ascii=False)} for call in calls]
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": function}
            for call, function in zip(calls, functions, strict=True)
        ]
    yield turn


def _joined(blocks: Sequence[TextBlock]) -> str:
    return "\n".join(block.text for block in blocks)


NO_THOUGHT = Reasoning(on=False, field="thinking")
"""Anthropic's models think only where a request says so, and such a request is refused here."""


class MessagesRequest(Conversation):
    """A conversation to continue."""

    inert: ClassVar = {
        **Conversation.inert,
        "metadata": ANYTHING,
        "service_tier": ("auto", "standard_only"),
        "stop_sequences": ([],),
        "top_k": (-1,),
    }

    max_tokens: int = Field(ge=1, le=base.MAX_ID, description="At most so many tokens.", examples=[64])
    temperature: float = Field(
        1.0, ge=0, le=1, description="Randomness; 0 always takes the likeliest token.", examples=[0.7]
    )
    top_p: float = Field(
        1.0, gt=0, le=1, description="Choose among the likeliest tokens that make up this probability.", examples=[0.9]
    )
    top_k: int = Field(
        0, ge=0, le=base.MAX_ID, description="Choose among so many of the likeliest tokens; 0: all.", examples=[40]
    )
    stop_sequences: list[StopString] = Field(
        default=[], max_length=MAX_STOPS, description="Strings at which the text ends.", examples=[["\n"]]
    )
    stream: bool = Field(False, description="Send the answer as events as it is made.", examples=[True])

    def options(self) -> GenerationOptions:
        """The options for the task."""
        form = self.output_config.get("format")
        return GenerationOptions(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            stop=tuple(self.stop_sequences),
            reasoning=NO_THOUGHT,
            left=frozenset(SAMPLING) - self.model_fields_set,
            grammar=None if form is None else Form(form["schema"], "output_config.format.schema", strict=True),
        )
