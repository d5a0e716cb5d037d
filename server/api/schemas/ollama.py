"""Ollama's shapes: what its routes are asked, read as the messages, tools and options of a chat, and their answers."""

import json
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from models.cards import SAMPLING
from server.api.schemas import base
from server.api.schemas.base import ModelName, RequestBody, ResponseBody, Texts, asking, invalid
from server.api.schemas.inert import CALL, SAID, SAMPLERS
from server.api.schemas.messages import FunctionName, Tool
from server.api.schemas.sampling import Stop
from server.tasks.generation.grammars import Form
from server.tasks.generation.options import GenerationOptions, Reasoning

MOST_NAMES, MOST_CHARACTERS = 32, 64
"""Of a warning."""


class Options(BaseModel):
    """How tokens are chosen. Ollama's clients always send options, so one that is unknown here is named in the answer's
    `warning` and not refused. An option that is left out has this server's default, not Ollama's."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)

    temperature: float = Field(
        1.0, ge=0, le=2, description="Randomness; 0 always takes the likeliest token.", examples=[0.7]
    )
    top_p: float = Field(
        1.0, gt=0, le=1, description="Choose among the likeliest tokens that make up this probability.", examples=[0.9]
    )
    top_k: int = Field(
        0, ge=0, le=base.MAX_ID, description="Choose among so many of the likeliest tokens; 0: all.", examples=[40]
    )
    min_p: float = Field(
        0.0, ge=0, le=1, description="Leave out tokens less likely than this share of the likeliest.", examples=[0.05]
    )
    repeat_penalty: float = Field(
        1.0, ge=0.01, le=10, description="Above 1: tokens that occurred already are less likely.", examples=[1.1]
    )
    presence_penalty: float = Field(
        0.0, ge=-2, le=2, description="Subtracted once from the logits of tokens made already.", examples=[0.5]
    )
    frequency_penalty: float = Field(
        0.0, ge=-2, le=2, description="Subtracted from a token's logit for each time it was made.", examples=[0.5]
    )
    seed: int | None = Field(
        None, ge=-(2**63), le=2**63 - 1, description="The same request with the same seed gives the same text.",
        examples=[7],
    )  # fmt: skip
    stop: Stop | None = Field(None, description="Strings at which the text ends.", examples=[["\n"]])
    num_predict: int | None = Field(None, ge=1, le=base.MAX_ID, description="At most so many tokens.", examples=[64])

    _unheeded: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, data: Any, handler: ModelWrapValidatorHandler["Options"]) -> "Options":
        """Keep what is honoured and the names of what is not."""
        if not isinstance(data, dict):
            return handler(data)
        told = {name: value for name, value in data.items() if asking(name, value, NEUTRAL.get(name, ())) is not None}
        made = handler({name: value for name, value in told.items() if name in cls.model_fields})
        made._unheeded = tuple(sorted(told.keys() - cls.model_fields.keys()))
        return made

    @property
    def warning(self) -> dict[str, str]:
        """The field of the answer that names the options which are not honoured; empty where all are."""
        if not self._unheeded:
            return {}
        names = ", ".join(name[:MOST_CHARACTERS] for name in self._unheeded[:MOST_NAMES])
        return {"warning": f"These options are not honoured here: {names}."}


NEUTRAL: Mapping[str, Any] = {**SAMPLERS, "num_predict": (-1, -2), "top_k": (-1,)}
"""Values of options that ask for nothing."""

LONGER: Mapping[str, str] = {"repeat_penalty": "repetition_penalty"}
"""Our names of options, where they differ."""

NO_OPTIONS = Options.model_validate({})

Keeping = Annotated[
    float | str | None,
    Field(
        description="0 in a request that says nothing unloads the model. How long an idle model stays loaded is else "
        "the operator's `idle_unload_s`.",
        examples=["5m"],
    ),
]


class FunctionCalled(RequestBody):
    """A function and what it was called with."""

    inert: ClassVar = CALL

    name: FunctionName = Field(description="Which function.", examples=["get_weather"])
    arguments: dict[str, Any] = Field(default={}, description="Its arguments.", examples=[{"city": "Bern"}])


class Called(RequestBody):
    """A call the assistant made."""

    inert: ClassVar = CALL

    id: str | None = Field(None, description="What a tool message may refer to.", examples=["call_1"])
    type: Literal["function"] = Field("function", description="Always `function`.", examples=["function"])
    function: FunctionCalled = Field(description="What was called.")


class Said(RequestBody):
    """A message."""

    inert: ClassVar = {name: values for name, values in SAID.items() if name != "id"}

    role: Literal["system", "user", "assistant", "tool"] = Field(description="Who speaks.", examples=["user"])
    content: str = Field("", description="The text.", examples=["Good morning."])
    tool_calls: list[Called] | None = Field(None, description="The assistant's: the calls it made.")
    tool_name: str | None = Field(None, description="The tool's: which it is.", examples=["get_weather"])
    tool_call_id: str | None = Field(None, description="The tool's: the call it answers.", examples=["call_1"])

    @model_validator(mode="after")
    def _check_speaker(self) -> "Said":
        if self.tool_calls and self.role != "assistant":
            raise invalid("tool_calls", "are the assistant's alone")
        return self


class Asking(RequestBody):
    """The fields that chat and generation share."""

    inert: ClassVar = {
        "format": ("",),
        "options": ({},),
        "shift": (False,),
        "truncate": (False,),
    }
    neutral: ClassVar = {"images": ([],), "template": ("",)}

    model: ModelName = Field(examples=["assistant"])
    format: Literal["json"] | dict[str, Any] | None = Field(
        None, description="`json`, or a JSON Schema that the answer obeys.", examples=["json"]
    )
    options: Options = Field(default=NO_OPTIONS, description="How tokens are chosen.", examples=[{"temperature": 0}])
    stream: bool = Field(True, description="Send the answer as lines of JSON as it is made.", examples=[False])
    keep_alive: Keeping = None
    think: bool | Literal["low", "medium", "high"] | None = Field(
        None, description="Whether, or how much, the model thinks first; left out, as its template has it.",
        examples=[False],
    )  # fmt: skip
    logprobs: bool = Field(False, description="Tell the log-probability of each token.", examples=[False])
    top_logprobs: int = Field(
        0, ge=0, le=20, description="With `logprobs`: also those of so many of the likeliest tokens.", examples=[5]
    )

    @model_validator(mode="after")
    def _check_logprobs(self) -> "Asking":
        if self.top_logprobs and not self.logprobs:
            raise invalid("top_logprobs", "only goes with 'logprobs': true")
        return self

    @property
    def unloads(self) -> bool:
        """Whether a request that says nothing wants the model unloaded rather than loaded."""
        return self.keep_alive in (0, "0", "0s", "0m")

    def generation(self) -> GenerationOptions:
        """The options for the task."""
        asked, form = self.options, None
        if self.format is not None:
            form = Form(name="format") if self.format == "json" else Form(dict(self.format), "format")
        return GenerationOptions(
            max_tokens=asked.num_predict,
            temperature=asked.temperature,
            top_p=asked.top_p,
            top_k=asked.top_k,
            min_p=asked.min_p,
            stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
            seed=asked.seed,
            logprobs=self.top_logprobs if self.logprobs else None,
            presence_penalty=asked.presence_penalty,
            frequency_penalty=asked.frequency_penalty,
            repetition_penalty=asked.repeat_penalty,
            reasoning=Reasoning(
                self.think if isinstance(self.think, bool) else None,
                self.think if isinstance(self.think, str) else None,
                field="think",
            ),
            left=frozenset(SAMPLING) - {LONGER.get(name, name) for name in asked.model_fields_set},
            grammar=form,
        )


class ChatAsked(Asking):
    """A conversation to continue; without messages, a model to load."""

    inert: ClassVar = {**Asking.inert, "tools": ([],)}

    messages: list[Said] = Field(
        default=[],
        description="The conversation so far.",
        examples=[[{"role": "user", "content": "Good morning."}]],
    )
    tools: list[Tool] = Field(default=[], description="Functions that the model may call.")

    @model_validator(mode="after")
    def _check(self) -> "ChatAsked":
        names = [tool.function.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise invalid("tools", "have two functions of one name")
        return self

    def conversation(self) -> list[dict[str, Any]]:
        """The messages of a chat. A result without an id answers the next call, or the next of its tool."""
        said: list[dict[str, Any]] = []
        made = 0
        waiting: dict[str, deque[str]] = defaultdict(deque)
        for message in self.messages:
            turn: dict[str, Any] = {"role": message.role, "content": message.content}
            if message.role == "tool":
                ids = waiting[message.tool_name or ""]
                turn["tool_call_id"] = message.tool_call_id or (ids.popleft() if ids else "call_none")
                turn |= {"name": message.tool_name} if message.tool_name else {}
            if message.tool_calls:
                waiting.clear()
                turn["tool_calls"] = []
                for call in message.tool_calls:
                    made += 1
                    id = call.id or f"call_{made}"
                    waiting[""].append(id)
                    waiting[call.function.name].append(id)
                    arguments = json.dumps(call.function.arguments, ensure_ascii=False)
                    function = {"name": call.function.name, "arguments": arguments}
                    turn["tool_calls"].append({"id": id, "type": "function", "function": function})
            said.append(turn)
        return said

    def callable_tools(self) -> list[dict[str, Any]] | None:
        """The tools the model may call, in OpenAI's form; None when there are none."""
        return [tool.model_dump(exclude_none=True) for tool in self.tools] or None


class GenerateAsked(Asking):
    """A question, or with `raw` a text to continue; without either, a model to load."""

    inert: ClassVar = {**Asking.inert, "suffix": ("",), "system": ("",)}
    neutral: ClassVar = {**Asking.neutral, "context": ([],), "height": (), "steps": (), "width": ()}

    prompt: str = Field("", description="What the user says.", examples=["Good morning."])
    system: str | None = Field(None, description="What the model is to be.", examples=["You are brief."])
    raw: bool = Field(False, description="`prompt` is a text to continue, and no turn of a chat.", examples=[True])
    suffix: str | None = Field(
        None, description="The text after a gap: the answer is what belongs between `prompt` and it.", examples=["\n"]
    )

    @model_validator(mode="after")
    def _check(self) -> "GenerateAsked":
        for name in ("format", "system") if self.raw or self.suffix else ():
            if getattr(self, name) is not None:
                raise invalid(name, "does not go with 'raw' or 'suffix', which continue a plain text")
        return self

    def conversation(self) -> list[dict[str, Any]]:
        """The messages of a chat."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*system, {"role": "user", "content": self.prompt}]


class EmbedAsked(RequestBody):
    """Texts to embed."""

    inert: ClassVar = {"options": ({},)}

    model: ModelName = Field(examples=["embed"])
    input: Texts = Field(description="A text or a list of texts.", examples=["Good morning."])
    truncate: bool = Field(
        True, description="Read the beginning of a text that is too long; false: refuse the text.", examples=[False]
    )
    dimensions: int | None = Field(
        None, ge=1, le=2**31 - 1, description="Only the model's own number is accepted.", examples=[384]
    )
    options: Options = Field(default=NO_OPTIONS, description="No option changes a vector.", examples=[{}])
    keep_alive: Keeping = None


class EmbeddingsAsked(RequestBody):
    """A text to embed, in Ollama's older shape."""

    inert: ClassVar = {"options": ({},)}

    model: ModelName = Field(examples=["embed"])
    prompt: str = Field(description="The text.", examples=["Good morning."])
    options: Options = Field(default=NO_OPTIONS, description="No option changes a vector.", examples=[{}])
    keep_alive: Keeping = None


class ShowAsked(RequestBody):
    """A model to describe."""

    inert: ClassVar = {"options": ({},), "system": ("",), "template": ("",), "verbose": (False, True)}

    model: str | None = Field(None, min_length=1, max_length=200, description="Its id.", examples=["assistant"])
    name: str | None = Field(
        None, min_length=1, max_length=200, description="Older clients' name for `model`.", examples=["assistant"]
    )

    @model_validator(mode="after")
    def _check(self) -> "ShowAsked":
        if (self.model is None) == (self.name is None):
            raise invalid("model", "is missing" if self.model is None else "goes without 'name'")
        return self


class Ending(ResponseBody):
    """An answer, or the last line of one: other lines have neither reason nor costs. Durations are in nanoseconds."""

    model: str
    created_at: str
    done: bool
    done_reason: str = Field(description="`stop`, `length`, or `load` and `unload` where nothing was said.")
    total_duration: int = Field(description="From the request to the end of the answer.")
    load_duration: int = Field(description="Of it, the time until an engine took the request.")
    prompt_eval_count: int = Field(description="Tokens read.")
    prompt_eval_duration: int = Field(description="From then to the first token.")
    eval_count: int = Field(description="Tokens made.")
    eval_duration: int = Field(description="From the first token to the last.")

    logprobs: list[dict[str, Any]] | None = None
    warning: str | None = Field(None, description="Names the options that are not honoured.")


class ChatEnding(Ending):
    """Of a chat."""

    message: dict[str, Any] = Field(description="`role`, `content` and `tool_calls`.")


class GenerateEnding(Ending):
    """Of a generation."""

    response: str


class Embedded(ResponseBody):
    """The vectors, in the order of the inputs."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int
    warning: str | None = None


class EmbeddedOne(ResponseBody):
    """The vector."""

    embedding: list[float]
    warning: str | None = None


class ModelEntries(ResponseBody):
    """Models, with Ollama's facts of each."""

    models: list[dict[str, Any]]


class ShownModel(ResponseBody):
    """A model's facts."""

    license: str
    template: str
    details: dict[str, Any]
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class Version(ResponseBody):
    """Hearth's own version: it follows no release of Ollama."""

    version: str
