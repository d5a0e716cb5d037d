"""``/v1/translations``: our own shapes."""

from typing import Literal

from pydantic import Field, model_validator

from server.api.schemas.base import ModelName, RequestBody, ResponseBody, Texts, Usage, as_list, invalid, refuse
from server.tasks import results


class TranslationRequest(RequestBody):
    """Texts to translate."""

    model: ModelName = Field(examples=["translate"])
    input: Texts = Field(description="A text or a list of texts.", examples=["Good morning."])
    source: str = Field(
        "auto", min_length=1, max_length=20, description="Their language (ISO 639-1), or `auto` to detect it for each.",
        examples=["en"],
    )  # fmt: skip
    target: str = Field(min_length=1, max_length=20, description="The language to translate to.", examples=["de"])
    format: Literal["text", "html"] = Field("text", description="Only `text`.", examples=["text"])
    alternatives: int = Field(0, ge=0, le=5, description="How many more translations of each text.", examples=[0])
    stream: bool = Field(False, description="Send events, a sentence at a time.", examples=[False])

    @model_validator(mode="after")
    def _check(self) -> "TranslationRequest":
        if self.format == "html":
            refuse("format", "HTML is not translated yet; send the text of it.")
        if self.stream and self.alternatives:
            raise invalid("alternatives", "do not go with 'stream': true")
        return self

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return as_list(self.input)


class Detected(ResponseBody):
    """The language of a text, as far as it can be told."""

    language: str
    confidence: float


class TranslationItem(ResponseBody):
    """One translated text."""

    object: Literal["translation"]
    index: int
    text: str
    source: str
    target: str
    detected: Detected | None
    confidence: float = Field(description="exp of the mean log-probability of its tokens.")
    alternatives: list[str]

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


class TranslationChunk(ResponseBody):
    """One event of a stream: a part, or at the end all translations and the usage."""

    id: str
    object: Literal["translation.chunk"]
    created: int
    model: str
    data: list[TranslationPart | TranslationItem]
    usage: Usage | None = None
