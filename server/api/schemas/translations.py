"""``/v1/translations``: our own shapes."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from server.api.schemas.base import ModelName, RequestBody, ResponseBody, Texts, Usage, as_list, invalid
from server.api.schemas.inert import HINTS
from server.tasks import results
from server.tasks.translation.markup import Rules
from server.tasks.translation.placeholders import Term
from server.tasks.translation.progress import TranslationOptions


class GlossaryEntry(RequestBody):
    """A term and its translation; the same text twice says that it is not translated."""

    source: str = Field(min_length=1, max_length=200, description="The term, in any case.", examples=["hard disk"])
    target: str = Field(min_length=1, max_length=200, description="What is put in for it.", examples=["Festplatte"])


class TranslationRequest(RequestBody):
    """Texts to translate."""

    inert: ClassVar = HINTS

    model: ModelName = Field(examples=["translate"])
    input: Texts = Field(description="A text or a list of texts.", examples=["Good morning."])
    source: str = Field(
        "auto", min_length=1, max_length=20, description="Their language (ISO 639-1), or `auto` to detect it for each.",
        examples=["en"],
    )  # fmt: skip
    target: str = Field(min_length=1, max_length=20, description="The language to translate to.", examples=["de"])
    format: Literal["text", "html", "markdown"] = Field(
        "text", description="`html`: tags, attributes, comments and code stay as they are. `markdown`: so do its "
        "signs, code, addresses and front matter.", examples=["text"],
    )  # fmt: skip
    alternatives: int = Field(0, ge=0, le=5, description="How many more translations of each text.", examples=[0])
    beam_size: int | None = Field(
        None, ge=1, le=5, description="How many hypotheses are followed at a time; left out, the model's own number. "
        "More is slower and mostly better.", examples=[2],
    )  # fmt: skip
    glossary: list[GlossaryEntry] = Field(
        default_factory=list, max_length=1000, description="Terms with a fixed translation, found as whole words.",
        examples=[[{"source": "hard disk", "target": "Festplatte"}, {"source": "Acme", "target": "Acme"}]],
    )  # fmt: skip
    stream: bool = Field(False, description="Send events, a sentence at a time.", examples=[False])

    @model_validator(mode="after")
    def _check(self) -> "TranslationRequest":
        if self.stream and self.alternatives:
            raise invalid("alternatives", "do not go with 'stream': true")
        if self.beam_size is not None and self.beam_size <= self.alternatives:
            raise invalid("beam_size", "must be above 'alternatives'")
        return self

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return as_list(self.input)

    @property
    def options(self) -> TranslationOptions:
        """How to translate."""
        return TranslationOptions(
            alternatives=self.alternatives,
            beam_size=self.beam_size,
            rules=None if self.format == "text" else Rules(),
            glossary=[Term(entry.source, entry.target) for entry in self.glossary],
        )


class Detected(ResponseBody):
    """The language of a text, as far as it can be told."""

    language: str = Field(description="ISO 639-1.", examples=["en"])
    confidence: float = Field(description="The probability that it is this one of the served languages.")


class TranslationItem(ResponseBody):
    """One translated text."""

    object: Literal["translation"]
    index: int = Field(description="Which input it is of.", examples=[0])
    text: str = Field(description="The translation.", examples=["Guten Morgen."])
    source: str = Field(description="The language it was translated from; `und`: none could be told.", examples=["en"])
    target: str = Field(description="The language it was translated to.", examples=["de"])
    detected: Detected | None = Field(description="With `source: auto`: what was detected.")
    confidence: float = Field(
        description="The probability that a reader accepts it, where the model's manifest has a calibration; else exp "
        "of the mean log-probability of its tokens.", examples=[0.87],
    )  # fmt: skip
    alternatives: list[str] = Field(description="More translations, as many as asked for.", examples=[[]])
    pivot: str | None = Field(description="The language it went through; null: none.", examples=[None])
    via: list[str] = Field(
        description="The models that translated it, one a pass: two where it went through a language between; empty: "
        "it came back as it was.", examples=[["translate"]],
    )  # fmt: skip
    flags: list[results.Flag] = Field(
        description="What is wrong with it as far as can be told, after a second try: `repetition` (it said the same "
        "again and again, which was cut), `length` (far too long or short), `untranslated` (a copy of the source), "
        "`wrong_language`, `altered` (a number, a sign or a name of the source is not in it exactly once), "
        "`unsupported_language` (the model does not read the source: it is left as it was), `low_confidence` (the "
        "probability that a reader accepts a sentence is below the point of the manifest). Mostly empty.",
        examples=[[]],
    )  # fmt: skip

    @classmethod
    def of(cls, index: int, item: results.Translation) -> "TranslationItem":
        """Encode."""
        detected = None
        if item.detected is not None:
            detected = Detected(language=item.detected[0], confidence=item.detected[1])
        return cls(
            object="translation",
            index=index,
            text=item.text,
            source=item.source,
            target=item.target,
            detected=detected,
            confidence=item.confidence,
            alternatives=list(item.alternatives),
            pivot=item.pivot,
            via=list(item.via),
            flags=list(item.flags),
        )


class TranslationResponse(ResponseBody):
    """The translations, in the order of the inputs."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[TranslationItem]
    usage: Usage


class TranslationPart(ResponseBody):
    """The next stretch of one translation: joined, the parts of an index are its text."""

    object: Literal["translation.part"]
    index: int
    text: str
    flags: list[results.Flag] = Field(description="What is wrong with the sentences in it; mostly empty.")

    @classmethod
    def of(cls, index: int, text: str, flags: Sequence[results.Flag] = ()) -> "TranslationPart":
        """Encode."""
        return cls(object="translation.part", index=index, text=text, flags=list(flags))


class TranslationChunk(ResponseBody):
    """One event of a stream: a part, or at the end all translations and the usage."""

    id: str
    object: Literal["translation.chunk"]
    created: int
    model: str
    data: list[TranslationPart | TranslationItem]
    usage: Usage | None = None
