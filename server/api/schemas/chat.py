"""``/v1/chat/completions``: OpenAI's shapes."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from server.api.schemas import base
from server.api.schemas.base import Logprobs, ModelName, ResponseBody, invalid, screen
from server.api.schemas.inert import THINKING
from server.api.schemas.messages import Message, Tool, ToolChoice, read_choice, written
from server.api.schemas.sampling import SamplingBody, ThinkingBody
from server.tasks import results
from server.tasks.generation.grammars import Form
from server.tasks.generation.options import GenerationOptions

MAX_CHOICES = 128


class ChatRequest(ThinkingBody, SamplingBody):
    """A conversation to continue."""

    inert: ClassVar = {
        **{name: values for name, values in SamplingBody.inert.items() if name not in THINKING},
        "add_special_tokens": (False,),
        "best_of": (1,),
        "echo": (False,),
        "max_completion_tokens": (-1,),
        "max_tokens": (-1,),
        "n_predict": (-1,),
        "response_format": ({},),
        "tools": ([],),
        "verbosity": ("medium",),
    }
    neutral: ClassVar = {
        "audio": (),
        "file_ids": ([],),
        "files": ([],),
        "function_call": ("auto", "none"),
        "functions": ([],),
        "modalities": (["text"],),
        "moderation": (),
        "prediction": (),
        "web_search_options": (),
    }

    model: ModelName = Field(examples=["assistant"])
    messages: list[Message] = Field(
        min_length=1,
        description="The conversation so far.",
        examples=[[{"role": "user", "content": "Good morning."}]],
    )
    max_completion_tokens: int | None = Field(
        None, ge=1, le=base.MAX_ID, description="At most so many tokens.", examples=[64]
    )
    max_tokens: int | None = Field(
        None, ge=1, le=base.MAX_ID, description="The older name of `max_completion_tokens`.", examples=[64]
    )
    n: int = Field(1, ge=1, le=MAX_CHOICES, description="How many answers to make.", examples=[1])
    logprobs: bool = Field(False, description="Tell the log-probability of each token.", examples=[False])
    top_logprobs: int = Field(
        0, ge=0, le=20, description="With `logprobs`: also those of so many of the likeliest tokens.", examples=[5]
    )
    tools: list[Tool] | None = Field(None, description="Functions that the model may call.")
    tool_choice: str | dict[str, Any] = Field(
        "auto",
        description="`auto`; `none` to make no call; `required`, or a function, to make one.",
        examples=["auto"],
    )
    parallel_tool_calls: bool = Field(True, description="False: at most one call.", examples=[True])
    response_format: dict[str, Any] = Field(
        default_factory=lambda: {"type": "text"},
        description="Text, any JSON object, or JSON by a schema.",
        examples=[{"type": "text"}],
    )
    metadata: dict[str, str] | None = Field(None, description="Accepted and not used.", examples=[{"team": "a"}])
    safety_identifier: str | None = Field(None, description="Accepted and not used.", examples=["u-1"])
    prompt_cache_key: str | None = Field(None, description="Accepted and not used.", examples=["chat-1"])

    @field_validator("response_format")
    @classmethod
    def _screen_format(cls, wanted: dict[str, Any]) -> dict[str, Any]:
        wanted = screen(wanted, ("type", "json_schema", "schema"))
        if isinstance(described := wanted.get("json_schema"), dict):
            names = ("name", "schema", "strict", "description")
            wanted["json_schema"] = screen(described, names, where="json_schema.")
        return wanted

    @model_validator(mode="after")
    def _check(self) -> "ChatRequest":
        self.check_sampling()
        if self.top_logprobs and not self.logprobs:
            raise invalid("top_logprobs", "only goes with 'logprobs': true")
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise invalid("max_tokens", "differs from max_completion_tokens; send one of them")
        self._check_format()
        self._check_tools()
        self.budget()
        self.thought()
        return self

    def _check_format(self) -> None:
        kind, described = self.response_format.get("type"), self.response_format.get("json_schema")
        known = {"type"}
        if kind == "json_schema":
            known.add("json_schema")
            if not isinstance(described, dict) or not isinstance(described.get("schema", {}), dict):
                raise invalid("response_format.json_schema", "must be an object with a 'schema', itself an object")
            if not isinstance(described.get("name"), str):
                raise invalid("response_format.json_schema.name", "is missing")
            if not isinstance(described.get("strict"), bool | None):
                raise invalid("response_format.json_schema.strict", "must be true or false")
            unknown = sorted(described.keys() - {"name", "schema", "strict", "description"})
            if unknown:
                raise invalid(f"response_format.json_schema.{unknown[0]}", "is not known")
        elif kind == "json_object":
            known.add("schema")
            if not isinstance(self.response_format.get("schema", {}), dict):
                raise invalid("response_format.schema", "must be an object")
        elif kind != "text":
            raise invalid("response_format", "send type 'text', 'json_object', or 'json_schema' with one")
        if self.response_format.keys() - known:
            raise invalid("response_format", "has an unknown field")

    def _check_tools(self) -> None:
        names = self.tool_names(self.tools or [])
        choice = self.choice()
        if isinstance(self.tool_choice, str) and self.tool_choice not in ("auto", "none", "required"):
            raise invalid("tool_choice", "send 'auto', 'none', 'required' or a function")
        if choice.required and not names:
            raise invalid("tool_choice", "needs tools to choose from")
        for name in choice.names or ():
            if name not in names:
                raise invalid("tool_choice", f"names '{name}', which is none of the tools")
        if len(set(names)) < len(names):
            raise invalid("tools", "have two functions of one name")

    @staticmethod
    def tool_names(tools: list[Tool]) -> list[str]:
        """The functions' names."""
        return [tool.function.name for tool in tools]

    def choice(self) -> ToolChoice:
        """The meaning of `tool_choice`."""
        return read_choice(self.tool_choice)

    def form(self) -> Form | None:
        """The form that `response_format` asks of the answer."""
        wanted = self.response_format
        if wanted["type"] == "json_object":
            # llama.cpp's older form has its schema here.
            return Form(wanted["schema"], "response_format.schema") if wanted.get("schema") else Form()
        if wanted["type"] == "json_schema":
            described = wanted["json_schema"]
            where = "response_format.json_schema.schema"
            return Form(described.get("schema", {}), where, described.get("strict") or False)
        return None

    def options(self) -> GenerationOptions:
        """The options for the task."""
        return GenerationOptions(
            max_tokens=self.max_completion_tokens or self.max_tokens,
            n=self.n,
            stop=self.stops,
            seed=self.seed,
            **self.sampling(),
            logprobs=self.top_logprobs if self.logprobs else None,
            logit_bias=self.bias(),
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            min_tokens=self.min_tokens,
            ignore_eos=self.ignore_eos,
            grammar=self.form(),
            thinking_budget=self.budget(),
            reasoning=self.thought(),
        )

    def conversation(self) -> list[dict[str, Any]]:
        """The messages as chat templates take them."""
        return [written(message) for message in self.messages]

    def callable_tools(self) -> list[dict[str, Any]] | None:
        """The tools the model may call, in OpenAI's form; None when there are none."""
        if self.tools is None or self.tool_choice == "none":
            return None
        allowed = self.choice().names
        return [
            tool.model_dump(exclude_none=True)
            for tool in self.tools
            if allowed is None or tool.function.name in allowed
        ]


class FunctionMade(ResponseBody):
    """The tool that `tool_choice` names."""

    name: str
    arguments: str


class CallMade(ResponseBody):
    """A call the model wants made; only streams number them."""

    index: int | None = None
    id: str
    type: Literal["function"]
    function: FunctionMade


class Answer(ResponseBody):
    """The assistant's message."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str | None = None
    """The thought before it, as DeepSeek and llama.cpp name it."""
    reasoning: str | None = None
    """The same, as vLLM and Ollama name it."""
    tool_calls: list[CallMade] | None = None


class ChatChoice(ResponseBody):
    """One answer."""

    index: int
    message: Answer
    logprobs: Logprobs | None
    finish_reason: results.FinishReason


class PromptDetails(ResponseBody):
    """Where prompt tokens came from."""

    cached_tokens: int


class CompletionDetails(ResponseBody):
    """The use of completion tokens."""

    reasoning_tokens: int


class GenerationUsage(base.Usage):
    """Tokens read and made: how many of those read were in the prefix cache, how many of those made were thought."""

    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails | None = None

    @classmethod
    def of(cls, usage: results.Usage) -> "GenerationUsage":
        """Encode."""
        made = cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            prompt_tokens_details=PromptDetails(cached_tokens=usage.cached_tokens),
        )
        if usage.reasoning_tokens is not None:
            made.completion_tokens_details = CompletionDetails(reasoning_tokens=usage.reasoning_tokens)
        return made


class ChatResponse(ResponseBody):
    """The answers."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: GenerationUsage


class ChatDelta(ResponseBody):
    """The new part of one answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: None = None
    tool_calls: list[CallMade] | None = None


class ChunkChoice(ResponseBody):
    """A stretch of one answer."""

    index: int
    delta: ChatDelta
    logprobs: Logprobs | None
    finish_reason: results.FinishReason | None


class ChatChunk(ResponseBody):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: GenerationUsage | None = None
