"""The request of ``/v1/responses``: OpenAI's shape, without the parts that need stored answers."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from models.cards import SAMPLING
from server.api.schemas import base
from server.api.schemas.base import ModelName, RequestBody, invalid, refuse, screen
from server.api.schemas.inert import STREAM, THINKING
from server.api.schemas.messages import Function, ToolChoice
from server.api.schemas.response_items import Item, as_messages
from server.api.schemas.sampling import SamplingBody, ThinkingBody
from server.tasks.generation.grammars import Form
from server.tasks.generation.options import GenerationOptions

LOGPROBS = "message.output_text.logprobs"
# Thoughts are sent as they are, so there is nothing to encrypt; agents ask for it whatever the model is.
INCLUDED = (LOGPROBS, "reasoning.encrypted_content")


class FunctionTool(Function):
    """A function the model may call."""

    type: Literal["function"] = Field(description="Always `function`.", examples=["function"])

    @model_validator(mode="before")
    @classmethod
    def _check_type(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("type"), str) and data["type"] != "function":
            refuse("type", "only tools of type 'function' are known here.")
        return data

    def chat_form(self) -> dict[str, Any]:
        """As chat templates take it."""
        return {"type": "function", "function": self.model_dump(exclude_none=True, exclude={"type"})}


class TextOptions(RequestBody):
    """The text options of the request."""

    inert: ClassVar = {"verbosity": ("medium",), "format": ({},)}

    format: dict[str, Any] = Field(
        default_factory=lambda: {"type": "text"},
        description="Text, any JSON object, or JSON by a schema.",
        examples=[{"type": "text"}],
    )

    @field_validator("format")
    @classmethod
    def _check_format(cls, form: dict[str, Any]) -> dict[str, Any]:
        form = screen(form, ("type", "name", "schema", "strict", "description"))
        known = {"type"}
        if form.get("type") == "json_schema":
            known |= {"name", "schema", "strict", "description"}
            if not isinstance(form.get("name"), str):
                raise invalid("name", "is missing")
            if not isinstance(form.get("schema"), dict):
                raise invalid("schema", "must be an object")
            if not isinstance(form.get("strict"), bool | None):
                raise invalid("strict", "must be true or false")
            if not isinstance(form.get("description"), str | None):
                raise invalid("description", "must be text")
        elif form.get("type") not in ("text", "json_object"):
            raise invalid("type", "send 'text', 'json_object' or 'json_schema'")
        for name in sorted(form.keys() - known):
            raise invalid(name, "is not known")
        return form

    def form(self) -> Form | None:
        """The form of the text."""
        if self.format["type"] == "json_object":
            return Form(name="text.format")
        if self.format["type"] == "json_schema":
            return Form(self.format["schema"], "text.format.schema", self.format.get("strict") or False)
        return None


class ResponseRequest(ThinkingBody):
    """A question with all that was said before it: nothing is stored between requests."""

    inert: ClassVar = {
        **{name: values for name, values in SamplingBody.inert.items() if name not in THINKING},
        "access_programs": (),
        "max_output_tokens": (-1,),
        "max_tool_calls": (),
        "stream_options": STREAM,
        "truncation": ("disabled",),
    }
    neutral: ClassVar = {
        "background": (False,),
        "background_options": (),
        "context_management": (),
        "conversation": (),
        "image": (),
        "moderation": (),
        "previous_response_id": ("",),
        "prompt": (),
    }

    model: ModelName = Field(examples=["assistant"])
    input: str | list[Item] = Field(
        min_length=1, description="What the user says, or all items so far.", examples=["Good morning."]
    )
    instructions: str | None = Field(None, description="A system message before the input.", examples=["Be brief."])
    max_output_tokens: int | None = Field(
        None, ge=1, le=base.MAX_ID, description="At most so many tokens.", examples=[64]
    )
    temperature: float = Field(
        1.0, ge=0, le=2, description="Randomness; 0 always takes the likeliest token.", examples=[0.7]
    )
    top_p: float = Field(
        1.0, gt=0, le=1, description="Choose among the likeliest tokens that make up this probability.", examples=[0.9]
    )
    tools: list[FunctionTool] = Field(default_factory=list, description="Functions that the model may call.")
    tool_choice: str | dict[str, Any] = Field(
        "auto",
        description="`auto`; `none` to make no call; `required`, or a function, to make one; or `allowed_tools`.",
        examples=["auto"],
    )
    parallel_tool_calls: bool = Field(True, description="False: at most one call.", examples=[True])
    text: TextOptions | None = Field(
        None, description="The text options of the request.", examples=[{"format": {"type": "text"}}]
    )
    include: list[str] = Field(
        default_factory=list, description=f"`{LOGPROBS}`: the log-probability of each token.", examples=[[LOGPROBS]]
    )
    top_logprobs: int = Field(
        0, ge=0, le=20, description="With log-probabilities: also those of so many of the likeliest tokens.",
        examples=[5],
    )  # fmt: skip
    stream: bool = Field(False, description="Send the answer as events as it is made.", examples=[True])
    metadata: dict[str, str] | None = Field(
        None, max_length=16, description="Given back and not used.", examples=[{"team": "a"}]
    )
    user: str | None = Field(None, description="Given back and not used.", examples=["u-1"])
    safety_identifier: str | None = Field(None, description="Given back and not used.", examples=["u-1"])
    prompt_cache_key: str | None = Field(None, description="Given back and not used.", examples=["chat-1"])

    @model_validator(mode="after")
    def _check(self) -> "ResponseRequest":
        for name in self.include:
            if name not in INCLUDED:
                refuse("include", f"only {' and '.join(INCLUDED)} can be asked for.")
        if self.top_logprobs and not self.logprobs:
            raise invalid("top_logprobs", f"only goes with '{LOGPROBS}' in 'include'")
        self._check_tools()
        self.budget()
        self.thought()
        return self

    def _check_tools(self) -> None:
        names = [tool.name for tool in self.tools]
        choice = self.choice()
        if isinstance(self.tool_choice, str) and self.tool_choice not in ("auto", "none", "required"):
            raise invalid("tool_choice", "send 'auto', 'none', 'required' or a function")
        if choice.required and not names:
            raise invalid("tool_choice", "needs tools to choose from")
        if choice.names == ():
            raise invalid("tool_choice", "allows no tool; send 'none' for that")
        for name in choice.names or ():
            if name not in names:
                raise invalid("tool_choice", f"names '{name}', which is none of the tools")
        if len(set(names)) < len(names):
            raise invalid("tools", "have two functions of one name")

    @property
    def text_options(self) -> TextOptions:
        """The text options; plain text if the request has none."""
        return self.text or TextOptions()

    @property
    def logprobs(self) -> bool:
        """Whether log-probabilities are asked for."""
        return LOGPROBS in self.include

    def choice(self) -> ToolChoice:
        """The meaning of `tool_choice`.

        Raises:
            PydanticCustomError: it is malformed.
        """
        if isinstance(self.tool_choice, str):
            return ToolChoice(self.tool_choice == "required")
        value = screen(self.tool_choice, ("type", "name", "mode", "tools"), where="tool_choice.")
        if value.keys() == {"type", "name"} and value["type"] == "function" and isinstance(value["name"], str):
            return ToolChoice(True, (value["name"],))
        if value.keys() == {"type", "mode", "tools"} and value["type"] == "allowed_tools":
            tools, mode = value["tools"], value["mode"]
            if mode in ("auto", "required") and isinstance(tools, list) and all(map(_names_function, tools)):
                return ToolChoice(mode == "required", tuple(tool["name"] for tool in tools))
        raise invalid("tool_choice", "send {'type': 'function', 'name': …} or allowed_tools of functions")

    def options(self) -> GenerationOptions:
        """The options for the task."""
        return GenerationOptions(
            max_tokens=self.max_output_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            left=frozenset(SAMPLING) - self.model_fields_set,
            logprobs=self.top_logprobs if self.logprobs else None,
            grammar=self.text_options.form(),
            thinking_budget=self.budget(),
            reasoning=self.thought(),
        )

    def conversation(self) -> list[dict[str, Any]]:
        """Instructions and input as the messages of a chat."""
        said = [{"role": "user", "content": self.input}] if isinstance(self.input, str) else as_messages(self.input)
        return said if self.instructions is None else [{"role": "system", "content": self.instructions}, *said]

    def callable_tools(self) -> list[dict[str, Any]] | None:
        """The tools the model may call, in the form of a chat; None when there are none."""
        if not self.tools or self.tool_choice == "none":
            return None
        allowed = self.choice().names
        return [tool.chat_form() for tool in self.tools if allowed is None or tool.name in allowed]


def _names_function(tool: Any) -> bool:
    named = isinstance(tool, dict) and tool.keys() == {"type", "name"}
    return named and tool["type"] == "function" and isinstance(tool["name"], str)
