"""Ollama's dialect, under ``/api``. Streams are lines of JSON, durations nanoseconds.

A request becomes the messages, tools and options that `/v1/chat/completions` gives the same task. A name may end with
``:latest``, the tag that Ollama's clients give a model without one. This module knows no models.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from models.cards import ModelCard
from server.api import sse
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, require_items
from server.api.errors import peer_of, renamed
from server.api.openai.streaming import Deltas, Pace, possible
from server.api.record import Record
from server.api.request import JsonRequest, JsonRoute
from server.api.schemas.base import as_list, chosen_logprobs
from server.api.schemas.ollama import (
    Asking,
    ChatAsked,
    ChatEnding,
    EmbedAsked,
    Embedded,
    EmbeddedOne,
    EmbeddingsAsked,
    GenerateAsked,
    GenerateEnding,
    ModelEntries,
    ShowAsked,
    ShownModel,
    Version,
)
from server.batching.job import Timing
from server.errors import ServerError, UnsupportedParameter
from server.serving.registry import ModelRegistry
from server.serving.served_model import ModelStatus
from server.tasks.encoding import Embedding, Floats, Truncation
from server.tasks.generation.options import GenerationOptions
from server.tasks.generation.task import Generation
from server.tasks.offload import SMALL_BYTES, offload
from server.tasks.results import NONE, Done, TokenLogprobs, ToolCall, Usage

LATEST = ":latest"
NEVER = "9999-12-31T23:59:59Z"
NAMES = {
    "max_tokens": "options.num_predict",
    "repetition_penalty": "options.repeat_penalty",
    "response_format": "format",
}
NAMES |= {
    name: f"options.{name}"
    for name in ("temperature", "top_p", "top_k", "min_p", "stop", "seed", "presence_penalty", "frequency_penalty")
}
"""The names of this dialect's fields for those that tasks name as chat does."""


def _ns(from_s: float | None, to_s: float | None) -> int:
    return 0 if from_s is None or to_s is None else max(0, round((to_s - from_s) * 1e9))


def _durations(record: Record, timing: Timing, usage: Usage) -> dict[str, int]:
    return {
        "total_duration": _ns(record.received_s, time.perf_counter()),
        "load_duration": _ns(record.received_s, timing.taken_s),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": _ns(timing.taken_s, timing.first_s),
        "eval_count": usage.completion_tokens,
        "eval_duration": _ns(timing.first_s, timing.ended_s),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _json(answer: Mapping[str, Any]) -> Response:
    return Response(to_json(answer), media_type="application/json")


class Answer:
    """Writes the answer to one request, whole or as lines."""

    def __init__(self, body: Asking, model: str) -> None:
        self._model = model
        self._is_chat = isinstance(body, ChatAsked)
        self._warning = body.options.warning
        self._top = body.top_logprobs if body.logprobs else None

    def part(
        self,
        text: str,
        calls: Sequence[ToolCall] = (),
        tokens: TokenLogprobs = NONE,
        thought: str = "",
        *,
        done: bool = False,
    ) -> dict[str, Any]:
        """A line, or the beginning of the last."""
        part: dict[str, Any] = {"model": self._model, "created_at": _time(time.time()), "done": done}
        if self._is_chat:
            part["message"] = {"role": "assistant", "content": text}
            if thought:
                part["message"]["thinking"] = thought
            if calls:
                part["message"]["tool_calls"] = [
                    {"id": new_id("call_"), "function": {"index": i, "name": call.name, "arguments": call.arguments}}
                    for i, call in enumerate(calls)
                ]
        else:
            part["response"] = text
            if thought:
                part["thinking"] = thought
        if self._top is not None and tokens:
            part["logprobs"] = chosen_logprobs(tokens, self._top)
        return part

    def ending(self, reason: str, deltas: Deltas, record: Record) -> dict[str, Any]:
        """The fields of the last line, or of the whole answer, beside its text."""
        done = {"done_reason": "length" if reason == "length" else "stop"}
        return {**done, **_durations(record, deltas.timing, deltas.usage), **self._warning}

    async def lines(self, deltas: Deltas, record: Record) -> AsyncIterator[bytes]:
        """The lines of a stream."""
        pace = Pace(record)
        reasons: list[str] = []
        try:
            async for delta in deltas:
                pace.tick(delta.index, deltas)
                if delta.text or delta.calls or delta.tokens or delta.thought:
                    yield to_json(self.part(delta.text, delta.calls, delta.tokens, delta.thought)) + b"\n"
                if delta.finish_reason is not None:
                    reasons.append(delta.finish_reason)
            yield to_json(self.part("", done=True) | self.ending(reasons[-1], deltas, record)) + b"\n"
        finally:
            deltas.cancel()
            record.finish(deltas.usage, deltas.timing, reasons)

    def nothing(self, reason: str, record: Record) -> Response:
        """The answer to a request that says nothing: the model is loaded or unloaded."""
        ending = _durations(record, Timing(record.received_s, None, None, None, 0), Usage(0))
        return _json(self.part("", done=True) | {"done_reason": reason} | ending | self._warning)

    async def begin(self, deltas: Deltas, record: Record, limit_s: float, *, stream: bool) -> Response:
        """The answer, once there is something to say."""
        if stream:
            return await sse.begin(self.lines(deltas, record), record, limit_s, framing=LINES)
        (made,) = await deltas.whole()
        record.finish(deltas.usage, deltas.timing, [made.finish_reason])
        part = self.part(made.text, made.calls, made.tokens, made.thought, done=True)
        return _json(part | self.ending(made.finish_reason, deltas, record))


LINES = sse.Framing(
    lambda error: to_json(peer_of("/api/chat").write(error)) + b"\n", ping=b"", media_type="application/x-ndjson"
)


def _named(name: str | None, registry: ModelRegistry) -> str | None:
    """A model's name as the registry has it."""
    return name if name is None or registry.knows(name) else name.removesuffix(LATEST)


class TaggedRequest(JsonRequest):
    """A request whose model may have the tag; folders are searched for the model without it."""

    @property
    def named_model(self) -> str | None:
        """As the registry has it."""
        return _named(super().named_model, self.app.state.registry)


class TaggedRoute(JsonRoute):
    """A route that takes such requests."""

    request_class = TaggedRequest


router = APIRouter(route_class=TaggedRoute, tags=["Ollama"])


def _keep(body: Asking, registry: ModelRegistry, record: Record) -> Response:
    """Load or unload the model of a request that says nothing."""
    model = registry.model(_named(body.model, registry)).id
    record.serve(model)
    registry.unload(model) if body.unloads else registry.load(model)
    return Answer(body, body.model or model).nothing("unload" if body.unloads else "load", record)


@router.post("/api/chat", response_model=ChatEnding)
async def chat(body: ChatAsked, registry: RegistryDep, settings: SettingsDep, record: RecordDep) -> Response:
    """Continue a conversation."""
    if not body.messages:
        return _keep(body, registry, record)
    task = registry.chat(_named(body.model, registry))
    record.serve(task.card.id, generates=True)
    with renamed(NAMES):
        messages, options, tools = await offload(
            lambda: (body.conversation(), body.generation(), body.callable_tools()), record.body_bytes, SMALL_BYTES
        )
        deltas = await task.chat(messages, task.effective(possible(options, task.thinks, record)), tools)
    answer = Answer(body, body.model or task.card.id)
    return await answer.begin(deltas, record, settings.request_timeout_s, stream=body.stream)


@router.post("/api/generate", response_model=GenerateEnding)
async def generate(body: GenerateAsked, registry: RegistryDep, settings: SettingsDep, record: RecordDep) -> Response:
    """Answer a prompt, or continue a text."""
    if not body.prompt and not body.suffix:
        return _keep(body, registry, record)
    name = _named(body.model, registry)
    task = registry.generator(name) if body.raw or body.suffix else registry.chat(name)
    record.serve(task.card.id, generates=True)
    with renamed(NAMES | {"messages": "prompt"}):
        deltas = await _deltas(body, task, task.effective(possible(body.generation(), task.thinks, record)))
    answer = Answer(body, body.model or task.card.id)
    return await answer.begin(deltas, record, settings.request_timeout_s, stream=body.stream)


async def _deltas(body: GenerateAsked, task: Any, options: GenerationOptions) -> Deltas:
    """Queue a prompt as a text where it is one, else as what a user says."""
    section = task.card.generation
    plain = section is not None and section.template is None and body.format is None and body.system is None
    if isinstance(task, Generation) and (body.raw or body.suffix or plain):
        prompts = task.gap_prompts([body.prompt], body.suffix) if body.suffix else task.text_prompts([body.prompt])
        return task.begin(await prompts, options, "prompt", fills=bool(body.suffix))
    made: Deltas = await task.chat(body.conversation(), options)
    return made


@router.post("/api/embed", response_model=Embedded)
async def embed(body: EmbedAsked, registry: RegistryDep, settings: SettingsDep, record: RecordDep) -> Response:
    """Embed texts."""
    texts = as_list(body.input)
    require_items(len(texts), settings, "input")
    task = registry.embedder(_named(body.model, registry))
    length = task.card.embedding.dimensions if task.card.embedding is not None else 0
    if body.dimensions not in (None, length):
        raise UnsupportedParameter("dimensions", f"'{task.card.id}' was trained for vectors of {length} numbers only.")
    done = await _embedded(task, texts, record, truncates=body.truncate)
    durations = _durations(record, done.timing, done.usage)
    kept = {name: durations[name] for name in ("total_duration", "load_duration", "prompt_eval_count")}
    facts = {"model": body.model or task.card.id, **kept, **body.options.warning}
    vectors = done.items
    size = len(texts) * length
    return await offload(lambda: _json({**facts, "embeddings": [each.tolist() for each in vectors]}), size)


@router.post("/api/embeddings", response_model=EmbeddedOne)
async def embed_one(body: EmbeddingsAsked, registry: RegistryDep, record: RecordDep) -> Response:
    """Embed a text, in Ollama's older shape."""
    task = registry.embedder(_named(body.model, registry))
    done = await _embedded(task, [body.prompt], record, truncates=True)
    return _json({"embedding": done.items[0].tolist(), **body.options.warning})


async def _embedded(task: Embedding, texts: list[str], record: Record, *, truncates: bool) -> Done[Floats]:
    record.serve(task.card.id)
    done = await task.embed(texts, Truncation(field="truncate") if truncates else None)
    record.finish(done.usage, done.timing)
    return done


@router.get("/api/tags")
async def list_models(registry: RegistryDep, record: RecordDep) -> ModelEntries:
    """List the models that the key may use, under each of their names."""
    await registry.refresh()
    return ModelEntries(models=await asyncio.to_thread(lambda: [_entry(each) for each in _listed(registry, record)]))


@router.get("/api/ps")
async def list_loaded(registry: RegistryDep, settings: SettingsDep, record: RecordDep) -> ModelEntries:
    """List the models that are in memory."""
    expires = _time(time.time() + settings.idle_unload_s) if settings.idle_unload_s else NEVER
    seen = [each for each in _listed(registry, record) if each.id == each.root and each.state == "ready"]

    def write(each: ModelStatus) -> dict[str, Any]:
        facts = {"size_vram": 0, "expires_at": expires, "context_length": each.card.context_length_tokens}
        return {**_entry(each), "size": each.memory_bytes, **facts}

    return ModelEntries(models=await asyncio.to_thread(lambda: [write(each) for each in seen]))


@router.post("/api/show")
async def show_model(body: ShowAsked, registry: RegistryDep, record: RecordDep) -> ShownModel:
    """Describe a model."""
    served = registry.find(_named(body.model or body.name, registry) or "")
    record.serve(served.root)
    calls = False
    with suppress(ServerError):  # it makes no text, or cannot be served
        calls = registry.generator(served.root).calls_tools
    return await asyncio.to_thread(_shown, served.card, calls=calls)


@router.get("/api/version")
async def tell_version(request: Request) -> Version:
    """Say which release of Hearth this is."""
    return Version(version=request.app.version)


def _listed(registry: ModelRegistry, record: Record) -> list[ModelStatus]:
    return [each for each in registry.listed() if record.key_user is None or record.key_user.allows(each.root)]


def _entry(served: ModelStatus) -> dict[str, Any]:
    """A model in a list. Reads the sizes of files: not for the event loop."""
    card = served.card
    name = served.id if ":" in served.id else served.id + LATEST
    return {
        "name": name,
        "model": name,
        "modified_at": _time(card.created),
        "size": sum(path.stat().st_size for path in map(card.path, card.files) if path.is_file()),
        "digest": hashlib.sha256(repr(sorted(card.files.items())).encode()).hexdigest(),
        "details": _details(card),
    }


def _details(card: ModelCard) -> dict[str, Any]:
    size = card.parameters
    return {
        "parent_model": "",
        "format": "ctranslate2",
        "family": card.family,
        "families": [card.family],
        "parameter_size": f"{size / 1e9:.1f}B" if size >= 1e9 else f"{size / 1e6:.1f}M",
        "quantization_level": card.quantization,
    }


def _shown(card: ModelCard, *, calls: bool) -> ShownModel:
    """Reads files: not for the event loop."""
    section, vectors = card.generation, card.embedding
    can = {
        "completion": section is not None or card.translation is not None,
        "tools": calls,
        "insert": section is not None and section.fill is not None,
        "embedding": vectors is not None,
    }
    info: dict[str, Any] = {
        "general.architecture": card.family,
        "general.parameter_count": card.parameters,
        f"{card.family}.context_length": card.context_length_tokens,
    }
    if vectors is not None:
        info[f"{card.family}.embedding_length"] = vectors.dimensions
    template = section.template if section is not None else None
    return ShownModel(
        license=card.license,
        template=card.path(template).read_text("utf-8") if template is not None else "",
        details=_details(card),
        model_info=info,
        capabilities=[name for name, holds in can.items() if holds],
        modified_at=_time(card.created),
    )
