"""``POST /v1/summaries``: our own route, with its shapes."""

from typing import Annotated, ClassVar, Literal

from fastapi import APIRouter
from pydantic import Field

from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now, require_items
from server.api.errors import renamed
from server.api.request import JsonRoute
from server.api.schemas.base import ModelName, RequestBody, ResponseBody, Texts, Usage, as_list
from server.api.schemas.inert import HINTS
from server.errors import UnsupportedParameter
from server.serving.registry import ModelRegistry
from server.tasks.results import Done
from server.tasks.summaries.abstractive import Abstraction
from server.tasks.summaries.extractive import DIVERSITY, Extraction
from server.tasks.summaries.form import (
    MOST_SENTENCES,
    MOST_WORDS,
    Check,
    Fault,
    Length,
    Summary,
    SummarySection,
    SummarySentence,
)

Mode = Literal["extractive", "abstractive"]

DEFAULT_SENTENCES = 3


class SummaryRequest(RequestBody):
    """Texts to summarize."""

    inert: ClassVar = {**HINTS, "stream": (False,)}

    model: ModelName = Field(
        None,
        description="An embedding model, which chooses sentences of the text, or a generator, which writes some.",
        examples=["embed"],
    )
    input: Texts = Field(
        description="A text or a list of texts; each gets a summary of its own.",
        examples=["The patient has a cough. He took aspirin. The cough is worse at night."],
    )
    mode: Mode | None = Field(
        None,
        description="`extractive`: sentences of the text, unchanged. `abstractive`: sentences that a generator writes. "
        "If left out, the model decides; without a model it is `extractive`.",
        examples=["extractive"],
    )
    max_sentences: int | None = Field(
        None, ge=1, le=MOST_SENTENCES,
        description=f"The most sentences of a summary; {DEFAULT_SENTENCES} if `max_words` is left out too.",
        examples=[2],
    )  # fmt: skip
    max_words: int | None = Field(
        None, ge=1, le=MOST_WORDS, description="The most words of a summary; sentences stay whole.", examples=[60]
    )
    sections: bool | None = Field(
        None,
        description="Extractive: keep the sections under a text's headings apart. True if left out.",
        examples=[True],
    )
    diversity: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None,
        description="Extractive: how much a sentence loses for its likeness to chosen sentences; 0 allows repetition. "
        f"{DIVERSITY} if left out.",
        examples=[0.5],
    )  # fmt: skip
    language: str | None = Field(
        None,
        pattern=r"^(auto|[A-Za-z]{2,3}([_-][A-Za-z0-9]{1,8})?)$",
        description="The texts' language (ISO 639-1). Detected if left out or `auto`.",
        examples=["en"],
    )
    instructions: str | None = Field(
        None, min_length=1, max_length=4000,
        description="Abstractive: the words before the text in the prompt, in the place of the server's own.",
        examples=["Summarize for a nurse in two sentences."],
    )  # fmt: skip
    embedding_model: ModelName = Field(
        None,
        description="Abstractive: the embedding model that finds what each sentence rests on. It may be left out if "
        "there is only one.",
        examples=["embed"],
    )

    @property
    def length(self) -> Length:
        """The most of a summary."""
        if self.max_sentences is None and self.max_words is None:
            return Length(DEFAULT_SENTENCES)
        return Length(self.max_sentences or MOST_SENTENCES, self.max_words)

    @property
    def code(self) -> str | None:
        """The language without its region; None: it is detected."""
        named = (self.language or "auto").lower().replace("_", "-").partition("-")[0]
        return None if named == "auto" else named

    def require(self, mode: Mode) -> None:
        """Refuse the fields of the other mode.

        Raises:
            UnsupportedParameter: one of them asks for something.
        """
        others = ("instructions", "embedding_model") if mode == "extractive" else ("diversity",)
        for name in others:
            if getattr(self, name) is not None:
                raise UnsupportedParameter(name, f"it has no meaning for an {mode} summary.")
        if mode == "abstractive" and self.sections:
            raise UnsupportedParameter("sections", "a generator reads the text as a whole; use an extractive summary.")


class SourceSpan(ResponseBody):
    """A sentence of the input."""

    start: int = Field(description="The place of its first character in the input, counted from 0.", examples=[0])
    end: int = Field(description="The place after its last character.", examples=[24])
    score: float = Field(
        description="Extractive: how much the sentence says of its section and the text. Abstractive: the cosine of it "
        "and the summary's sentence.",
        examples=[0.61],
    )


class SentenceFlag(ResponseBody):
    """A fault of a sentence."""

    flag: Fault = Field(
        description="`unsupported`: no sentence of the input is near. `number`: this number is not in the sources. "
        "`name`: this name or drug is not there. `negation`: the sources say this word with another negation.",
        examples=["number"],
    )
    start: int = Field(description="The place of the fault in the sentence.", examples=[14])
    end: int = Field(description="The place after it.", examples=[16])


class SentenceItem(ResponseBody):
    """A sentence of a summary."""

    text: str
    section: int | None = Field(description="The index of its section; null without sections.", examples=[0])
    sources: list[SourceSpan] = Field(
        description="What it rests on, the nearest first. An extracted sentence is exactly its one source."
    )
    flags: list[SentenceFlag] = Field(description="What the checks found; mostly empty.")

    @classmethod
    def of(cls, item: SummarySentence) -> "SentenceItem":
        """Encode."""
        return cls(
            text=item.text,
            section=item.section,
            sources=[SourceSpan(start=span.start, end=span.end, score=span.score) for span in item.sources],
            flags=[SentenceFlag(flag=flag.fault, start=flag.start, end=flag.end) for flag in item.flags],
        )


class SectionItem(ResponseBody):
    """A section of the input that has a sentence in the summary."""

    heading: str | None = Field(description="Null for the text before the first heading.", examples=["PLAN"])
    start: int = Field(description="The place of the text under the heading in the input.", examples=[30])
    end: int = Field(description="The place after it.", examples=[120])

    @classmethod
    def of(cls, item: SummarySection) -> "SectionItem":
        """Encode."""
        return cls(heading=item.heading, start=item.start, end=item.end)


class SummaryItem(ResponseBody):
    """The summary of one input."""

    object: Literal["summary"]
    index: int
    mode: Mode
    text: str = Field(description="The whole summary; with sections, each under its heading.")
    sentences: list[SentenceItem]
    sections: list[SectionItem]
    language: str | None = Field(description="The input's language (ISO 639-1); null: it is unknown.", examples=["en"])
    checks: list[Check] = Field(
        description="The checks that were made. An extractive summary needs none; names and negations are checked in "
        "English only.",
        examples=[[]],
    )
    truncated: bool = Field(description="Whether the model wrote more than the length allows; the rest is left out.")

    @classmethod
    def of(cls, index: int, mode: Mode, item: Summary) -> "SummaryItem":
        """Encode."""
        return cls(
            object="summary",
            index=index,
            mode=mode,
            text=item.text,
            sentences=[SentenceItem.of(each) for each in item.sentences],
            sections=[SectionItem.of(each) for each in item.sections],
            language=item.language,
            checks=list(item.checks),
            truncated=item.is_cut,
        )


class SummaryResponse(ResponseBody):
    """The summaries, in the order of the inputs."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[SummaryItem]
    usage: Usage


router = APIRouter(route_class=JsonRoute, tags=["Hearth"])


@router.post("/v1/summaries")
async def create_summaries(
    body: SummaryRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> SummaryResponse:
    """Summarize texts: with their own sentences, or with a generator's, each checked against the text."""
    texts = as_list(body.input)
    require_items(len(texts), settings, "input")
    mode = body.mode or _mode_of(body.model, registry)
    body.require(mode)
    done: Done[Summary]
    if mode == "extractive":
        extraction = Extraction(registry.embedder(body.model))
        model = extraction.card.id
        record.serve(model)
        done = await extraction.summarize(
            texts,
            body.length,
            sections=body.sections is not False,
            diversity=DIVERSITY if body.diversity is None else body.diversity,
            code=body.code,
        )
    else:
        generator, embedder = registry.generator(body.model), registry.embedder(body.embedding_model)
        model = generator.card.id
        record.serve(embedder.card.id, model, generates=True)
        written = Abstraction(generator, embedder)
        with renamed({"messages": "input"}):
            done = await written.summarize(texts, body.length, instructions=body.instructions, code=body.code)
    record.finish(done.usage, done.timing)
    return SummaryResponse(
        id=new_id("summ-"),
        object="list",
        created=now(),
        model=body.model or model,
        data=[SummaryItem.of(index, mode, item) for index, item in enumerate(done.items)],
        usage=Usage.of(done.usage),
    )


def _mode_of(model: str | None, registry: ModelRegistry) -> Mode:
    """The mode that a named model serves."""
    return "abstractive" if model is not None and registry.find(model).card.task == "generation" else "extractive"
