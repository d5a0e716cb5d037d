"""``/v1/completions``: OpenAI's shapes."""

from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from server.api.schemas.base import MAX_ID, ModelName, Prompts, ResponseBody, invalid, refuse
from server.api.schemas.chat import MAX_CHOICES, GenerationUsage
from server.api.schemas.sampling import SamplingBody
from server.tasks.generation.options import GenerationOptions
from server.tasks.logprobs import TokenText

MAX_TOKENS = 16
"""OpenAI's default for this endpoint."""


class CompletionRequest(SamplingBody):
    """Text to continue."""

    inert: ClassVar = {**SamplingBody.inert, "add_special_tokens": (True,), "logprobs": (False,), "suffix": ("",)}

    model: ModelName = Field(examples=["assistant"])
    prompt: Prompts = Field(
        description="A text, its token ids, or a list of either.", examples=["The sky is", ["The sky is", "Grass is"]]
    )
    suffix: str | None = Field(
        None,
        description="The text after the gap to fill; only with a model that has tokens for that. Empty: no gap.",
        examples=[""],
    )
    max_tokens: int = Field(
        MAX_TOKENS, ge=-1, le=MAX_ID, examples=[16],
        description="At most so many tokens; 0 only with `echo`; -1: as many as there is room for.",
    )  # fmt: skip
    n: int = Field(1, ge=1, le=MAX_CHOICES, description="How many completions of each prompt to send.", examples=[1])
    best_of: int | None = Field(
        None, ge=1, le=MAX_CHOICES, description="Make so many and send the `n` likeliest a token.", examples=[1]
    )
    echo: bool = Field(False, description="Begin each completion with its prompt.", examples=[False])
    logprobs: int | None = Field(
        None, ge=0, le=5, description="Tell the log-probability of each token and of so many others.", examples=[0]
    )

    @model_validator(mode="after")
    def _check(self) -> "CompletionRequest":
        self.check_sampling()
        if self.best_of is not None and self.best_of < self.n:
            raise invalid("best_of", "must not be less than 'n'")
        if self.best_of is not None and self.best_of > self.n and self.stream:
            raise invalid("best_of", "cannot be chosen from in a stream; send 'stream': false")
        if self.max_tokens == 0 and not self.echo:
            raise invalid("max_tokens", "must be at least 1 where nothing is echoed")
        if self.suffix and self.echo:
            raise invalid("suffix", "does not go together with 'echo'")
        if self.suffix and not self.texts:
            raise invalid("suffix", "goes with a prompt that is text, not token ids")
        if self.scores_prompt and self.stream:
            refuse("echo", "with logprobs it is not streamed; send 'stream': false")
        return self

    @property
    def scores_prompt(self) -> bool:
        """Whether the prompt's tokens have to be scored."""
        return self.echo and (self.logprobs is not None or self.max_tokens == 0)

    @property
    def made(self) -> int:
        """How many completions of each prompt are made."""
        return self.best_of or self.n

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts, as texts or as ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]  # a list that begins with an id is one of ids
        return self.prompt  # the same for texts and lists

    @property
    def texts(self) -> list[str]:
        """The prompts that are texts."""
        return [prompt for prompt in self.prompts if isinstance(prompt, str)]

    def options(self) -> GenerationOptions:
        """What the task is asked."""
        logprobs = self.logprobs if self.made == self.n else self.logprobs or 0
        return GenerationOptions(
            max_tokens=None if self.max_tokens < 0 else self.max_tokens,
            n=self.made,
            stop=self.stops,
            seed=self.seed,
            **self.sampling(),
            logprobs=logprobs,
            logit_bias=self.bias(),
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            min_tokens=self.min_tokens,
            ignore_eos=self.ignore_eos,
            prompt_logprobs=self.scores_prompt,
        )


class CompletionLogprobs(ResponseBody):
    """The tokens of a completion, or of a stretch of one, in lists of the same length."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]

    @classmethod
    def of(cls, tokens: Iterable[TokenText], offset: int, top: int) -> "CompletionLogprobs":
        """Encode tokens of which the first begins at ``offset``; the chosen token is always among the top."""
        encoded = cls(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
        for token in tokens:
            encoded.tokens.append(token.text)
            encoded.token_logprobs.append(token.logprob)
            best = {one.text: one.logprob for one in token.top[:top]}
            encoded.top_logprobs.append(best | {token.text: token.logprob})
            encoded.text_offset.append(offset)
            offset += len(token.text)
        return encoded

    def unscore_first(self) -> None:
        """The first token of all has nothing before it that could make it likely."""
        self.token_logprobs[0] = self.top_logprobs[0] = None


class CompletionChoice(ResponseBody):
    """One completion, or a stretch of one."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] | None


class CompletionResponse(ResponseBody):
    """The completions; in a stream, one event."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: GenerationUsage | None = None
