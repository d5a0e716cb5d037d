"""``POST /v1/completions``."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal

from fastapi import APIRouter, Response

from server.api import sse
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now, require_items
from server.api.openai.streaming import Pace, TextChunks, fingerprint
from server.api.record import Record
from server.api.request import JsonRoute
from server.api.schemas.chat import GenerationUsage
from server.api.schemas.completions import (
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
    CompletionResponse,
)
from server.serving.registry import ModelRegistry
from server.tasks.generation.completion import GenerationStream
from server.tasks.generation.task import Generation
from server.tasks.logprobs import NONE, TokenLogprobs
from server.tasks.offload import SMALL_BYTES, offload
from server.tasks.results import Choice, Delta, FinishReason

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
    """What each prompt's completions begin with."""
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
        """The chunk of one delta; what it makes of ``echoes`` and ``offsets`` is for the next."""
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
    """The likeliest choices by mean log-probability of their tokens, if there are more than are wanted."""
    if len(choices) == kept:
        return list(choices)
    return sorted(choices, key=lambda c: -sum(t.logprob for t in c.tokens) / max(1, len(c.tokens)))[:kept]


def _reason(reason: FinishReason) -> Literal["stop", "length"]:
    """The reasons this endpoint knows: without tools there are no calls."""
    return "length" if reason == "length" else "stop"
