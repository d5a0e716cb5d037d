"""Our own routes: ``POST /v1/sentiment`` with its shapes, and ``POST /v1/translations``."""

from collections.abc import AsyncIterator, Sequence
from typing import ClassVar, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from server.api import sse
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now, require_items
from server.api.record import Record
from server.api.request import JsonRoute
from server.api.schemas.base import ModelName, RequestBody, ResponseBody, Texts, Usage, as_list
from server.api.schemas.inert import HINTS
from server.api.schemas.translations import (
    TranslationChunk,
    TranslationItem,
    TranslationPart,
    TranslationRequest,
    TranslationResponse,
)
from server.tasks.markdown import MarkdownText, MarkdownWriter, read_markdown, write_markdown
from server.tasks.results import Scores, ScoresFlag
from server.tasks.translation.progress import TranslationProgress

MOODS = ("negative", "neutral", "positive")


class SentimentRequest(RequestBody):
    """Texts to score."""

    inert: ClassVar = HINTS

    model: ModelName = Field(examples=["sentiment"])
    input: Texts = Field(description="A text or a list of texts.", examples=["I love it."])

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return as_list(self.input)


class SentimentItem(ResponseBody):
    """The mood of one text."""

    object: Literal["sentiment"]
    index: int
    label: str
    score: float = Field(description="The probability of the label.")
    scores: dict[str, float]
    model: str = Field(description="The model that read it: of those with this head one that reads its language.")
    language: str | None = Field(description="Its language (ISO 639-1); null: it could not be told.", examples=["en"])
    flags: list[ScoresFlag] = Field(
        description="Why the scores say nothing of it: `unsupported_language`, when no model reads its language. "
        "Mostly empty.", examples=[[]],
    )  # fmt: skip
    chunks: int = Field(
        description="The number of chunks in which the text was read. A text longer than the model reads has several; "
        "its probabilities are the mean of theirs, weighted by tokens.", examples=[1],
    )  # fmt: skip

    @classmethod
    def of(cls, index: int, item: Scores) -> "SentimentItem":
        """Encode."""
        return cls(
            object="sentiment",
            index=index,
            label=_mood(item.label),
            score=item.scores[item.label],
            scores={_mood(label): score for label, score in item.scores.items()},
            model=item.model,
            language=item.language,
            flags=list(item.flags),
            chunks=item.chunks,
        )


def _mood(label: str) -> str:
    """The name of a mood in lower case: models from a hub write these names in different ways."""
    folded = label.casefold()
    return folded if folded in MOODS else label


class SentimentResponse(ResponseBody):
    """The moods, in the order of the inputs."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[SentimentItem]
    usage: Usage


router = APIRouter(route_class=JsonRoute, tags=["Hearth"])


@router.post("/v1/sentiment")
async def create_sentiment(
    body: SentimentRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> SentimentResponse:
    """Score the mood of texts."""
    require_items(len(body.texts), settings, "input")
    task = registry.classifier(body.model, "sentiment")
    record.serve(task.card.id)
    done = await task.classify(body.texts)
    record.finish(done.usage, done.timing)
    return SentimentResponse(
        id=new_id("sent-"),
        object="list",
        created=now(),
        model=body.model or task.card.id,
        data=[SentimentItem.of(i, item) for i, item in enumerate(done.items)],
        usage=Usage.of(done.usage),
    )


@router.post("/v1/translations", response_model=TranslationResponse)
async def create_translations(
    body: TranslationRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> TranslationResponse | Response:
    """Translate texts."""
    require_items(len(body.texts), settings, "input")
    source = None if body.source == "auto" else body.source
    if body.model is None:
        task = await registry.translators().pick(body.texts, source, body.target)
    else:
        task = registry.translator(body.model)
    record.serve(*task.models)
    pages = await read_markdown(body.texts) if body.format == "markdown" else []
    texts = [page.html for page in pages] or body.texts
    if body.stream:
        run = await task.begin(texts, source, body.target, body.options)
        stream = _stream(run, body, pages, body.model or task.name, record)
        return await sse.begin(stream, record, settings.request_timeout_s)
    done = await task.translate(texts, source, body.target, body.options)
    record.finish_translation(body.texts, done)
    if pages:
        done = await write_markdown(pages, done)
    return TranslationResponse(
        id=new_id("trans-"),
        object="list",
        created=now(),
        model=body.model or task.name,
        data=[TranslationItem.of(i, item) for i, item in enumerate(done.items)],
        usage=Usage.of(done.usage),
    )


async def _stream(
    run: TranslationProgress, body: TranslationRequest, pages: Sequence[MarkdownText], model: str, record: Record
) -> AsyncIterator[bytes]:
    """Parts as they become ready; at the end the usage and all items, with confidence and flags of the whole texts.

    The parts of Markdown end where a paragraph, an item or a cell ends.
    """
    made, created = new_id("trans-"), now()
    writers = [MarkdownWriter(page) for page in pages]

    def chunk(data: list[TranslationPart | TranslationItem]) -> TranslationChunk:
        return TranslationChunk(id=made, object="translation.chunk", created=created, model=model, data=data)

    try:
        async for part in run:
            text = writers[part.index].push(part.text) if writers else part.text
            if text or part.flags:
                yield sse.encode(chunk([TranslationPart.of(part.index, text, part.flags)]))
        for index, writer in enumerate(writers):
            if text := writer.finish():
                yield sse.encode(chunk([TranslationPart.of(index, text)]))
        done = run.done()
        record.finish_translation(body.texts, done)
        if pages:
            done = await write_markdown(pages, done)
        last = chunk([TranslationItem.of(i, item) for i, item in enumerate(done.items)])
        last.usage = Usage.of(done.usage)
        yield sse.encode(last)
    finally:
        run.cancel()
