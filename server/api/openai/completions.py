"""``POST /v1/completions``, in OpenAI's shapes: whole or streamed."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import ClassVar, Literal

from fastapi import APIRouter, Response
from pydantic import Field, model_validator

from server.api import sse
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now, require_items
from server.api.openai.streaming import Pace, TextChunks, fingerprint
from server.api.record import Record
from server.api.request import JsonRoute
from server.api.schemas.base import MAX_ID, ModelName, Prompts, ResponseBody, invalid, refuse
from server.api.schemas.chat import MAX_CHOICES, GenerationUsage
from server.api.schemas.sampling import SamplingBody
from server.serving.registry import ModelRegistry
from server.tasks.generation.completion import GenerationStream
from server.tasks.generation.options import GenerationOptions
from server.tasks.generation.task import Generation
from server.tasks.offload import SMALL_BYTES, offload
from server.tasks.results import NONE, Choice, Delta, FinishReason, TokenLogprobs, TokenText

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
        description="The text after the gap to fill; only for models with tokens for that. Empty: there is no gap.",
        examples=[""],
    )
    max_tokens: int = Field(
        MAX_TOKENS, ge=-1, le=MAX_ID, examples=[16],
        description="The most tokens to make. 0 is allowed with `echo` only; -1 means as many as there is room for.",
    )  # fmt: skip
    n: int = Field(
        1, ge=1, le=MAX_CHOICES, description="The number of completions of each prompt to send.", examples=[1]
    )
    best_of: int | None = Field(
        None,
        ge=1,
        le=MAX_CHOICES,
        description="Make so many completions, and send the `n` likeliest, by the mean of a token.",
        examples=[1],
    )
    echo: bool = Field(False, description="Begin each completion with its prompt.", examples=[False])
    logprobs: int | None = Field(
        None,
        ge=0,
        le=5,
        description="Send the log-probability of each token and of so many of the likeliest.",
        examples=[0],
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
        """The number of completions of each prompt that are made."""
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
        """The options of the task."""
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
        """The first token of a prompt has no log-probability, since nothing comes before it."""
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


router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


@router.post("/v1/completions", response_model=CompletionResponse, response_model_exclude_unset=True)
async def create_completion(
    body: CompletionRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> CompletionResponse | Response:
    """Continue texts."""
    require_items(len(body.prompts) * body.made, settings, "prompt")
    task = registry.generator(body.model)
    record.serve(task.card.id, generates=True)
    if body.suffix:
        prompts = await task.gap_prompts(body.texts, body.suffix)
    else:
        prompts = await task.text_prompts(body.prompts)
    options = task.effective(await offload(body.options, record.body_bytes, SMALL_BYTES))
    deltas = task.begin(prompts, options, "prompt", fills=bool(body.suffix))
    answer = _Answers(body, task, _echoes(body, task, registry))
    if body.stream:
        return await sse.begin(answer.stream(deltas, record), record, settings.request_timeout_s)
    choices = await deltas.whole()
    record.finish(deltas.usage, deltas.timing, (choice.finish_reason for choice in choices))
    if body.scores_prompt:
        for p, ids in enumerate(prompts):
            answer.score(p, task.prompt_tokens(ids, deltas.prompt_tokens.get(p * body.made, NONE), body.prompts[p]))
    return answer.whole(choices, GenerationUsage.of(deltas.usage))


def _echoes(body: CompletionRequest, task: Generation, registry: ModelRegistry) -> list[str]:
    """The text that the completions of each prompt begin with."""
    if not body.echo:
        return [""] * len(body.prompts)
    tokenizer = registry.model(task.card.id).tokenizer
    return [prompt if isinstance(prompt, str) else tokenizer.decode(prompt) for prompt in body.prompts]


class _Answers:
    """Writes the completions of one request, whole or as a stream: same id, time and model throughout."""

    def __init__(self, body: CompletionRequest, task: Generation, echoes: Sequence[str]) -> None:
        self._body = body
        self._echoes = echoes
        self._scored: dict[int, TokenLogprobs] = {}
        self._id = new_id("cmpl-")
        self._created = now()
        self._model = body.model or task.card.id
        self._fingerprint = fingerprint(task.card)

    def score(self, prompt: int, tokens: TokenLogprobs) -> None:
        """The tokens of a prompt, with their log-probabilities."""
        self._scored[prompt] = tokens

    def whole(self, choices: Sequence[Choice], usage: GenerationUsage) -> CompletionResponse:
        made, kept = self._body.made, self._body.n
        written = []
        for p, echo in enumerate(self._echoes):
            for i, choice in enumerate(_best(choices[p * made : (p + 1) * made], kept)):
                written.append(self._choice(p * kept + i, choice, echo, self._scored.get(p, NONE)))
        response = self._response(written)
        response.usage = usage
        return response

    def _choice(self, index: int, choice: Choice, echo: str, prompt: TokenLogprobs) -> CompletionChoice:
        logprobs = self._tokens(choice, len(echo))
        if prompt and self._body.logprobs is not None:
            logprobs = CompletionLogprobs.of([*prompt, *choice.tokens], 0, self._body.logprobs)
            logprobs.unscore_first()
        return CompletionChoice(
            index=index,
            text=echo + choice.text,
            logprobs=logprobs,
            finish_reason=_reason(choice.finish_reason),
        )

    def _tokens(self, part: Choice | Delta, offset: int) -> CompletionLogprobs | None:
        top = self._body.logprobs
        return None if top is None else CompletionLogprobs.of(part.tokens, offset, top)

    async def stream(self, deltas: GenerationStream, record: Record) -> AsyncIterator[bytes]:
        """The events of a stream, all but ``[DONE]``."""
        pace = Pace(record)
        offsets = [len(echo) for echo in self._echoes for _ in range(self._body.n)]
        echoes = [echo for echo in self._echoes for _ in range(self._body.n)]
        reasons: list[str] = []
        options = self._body.stream_options
        plain = TextChunks(lambda i, text: self._piece(Delta(i, text), [""] * len(echoes), offsets, deltas))
        varies = self._body.logprobs is not None or (options is not None and options.continuous_usage_stats)
        try:
            async for delta in deltas:
                pace.tick(delta.index, deltas)
                if delta.finish_reason is None and not varies and not echoes[delta.index]:
                    yield plain.encode(delta.index, delta.text)
                    continue
                if delta.finish_reason is not None:
                    reasons.append(delta.finish_reason)
                yield sse.encode(self._piece(delta, echoes, offsets, deltas))
            if options is not None and options.include_usage:
                last = self._response([])
                last.usage = GenerationUsage.of(deltas.usage)
                yield sse.encode(last)
        finally:
            deltas.cancel()
            record.finish(deltas.usage, deltas.timing, reasons)

    def _piece(
        self, delta: Delta, echoes: list[str], offsets: list[int], deltas: GenerationStream
    ) -> CompletionResponse:
        """The chunk of one delta. It updates ``echoes`` and ``offsets`` for the next delta."""
        i = delta.index
        text = echoes[i] + delta.text
        logprobs = self._tokens(delta, offsets[i])
        echoes[i] = ""
        offsets[i] += sum(len(token.text) for token in delta.tokens)
        reason = None if delta.finish_reason is None else _reason(delta.finish_reason)
        chunk = self._response([CompletionChoice(index=i, text=text, logprobs=logprobs, finish_reason=reason)])
        options = self._body.stream_options
        if options is not None and options.continuous_usage_stats:
            chunk.usage = GenerationUsage.of(deltas.usage)
        elif options is not None and options.include_usage:
            chunk.usage = None  # set, so that it is sent as null
        return chunk

    def _response(self, choices: list[CompletionChoice]) -> CompletionResponse:
        return CompletionResponse(
            id=self._id,
            object="text_completion",
            created=self._created,
            model=self._model,
            system_fingerprint=self._fingerprint,
            choices=choices,
        )


def _best(choices: Sequence[Choice], kept: int) -> list[Choice]:
    """The ``n`` choices whose tokens have the highest mean log-probability."""
    if len(choices) == kept:
        return list(choices)
    return sorted(choices, key=lambda c: -sum(t.logprob for t in c.tokens) / max(1, len(c.tokens)))[:kept]


def _reason(reason: FinishReason) -> Literal["stop", "length"]:
    """The reason under the names of this endpoint, which has no tools and so no calls."""
    return "length" if reason == "length" else "stop"
