"""``/v1/models``: OpenAI's shape, and what else a client may want to know."""

from typing import ClassVar, Literal

from pydantic import Field

from models.registry import ModelCard
from server.api.schemas.base import RequestBody, ResponseBody
from server.serving.served_model import ModelStatus


class ModelInfo(ResponseBody):
    """One model."""

    id: str
    object: Literal["model"]
    created: int = Field(description="Unix seconds.")
    owned_by: str
    root: str = Field(description="The id of the model behind this name: another one for an alias.")
    task: str
    summary: str
    context_length: int = Field(description="The most tokens of one input row.")
    quantization: str
    parameters: int
    license: str
    languages: list[str] = Field(description="Translators: those they read and write. Classifiers: those they read.")
    labels: dict[str, list[str]] = Field(description="Classifiers: the labels of each head.")
    dimensions: int | None = Field(description="Embedding models: the length of a vector.")
    engine: str = Field(description="What computes it; empty where it cannot be served.")
    state: str = Field(
        description="`ready`; `unloaded`, `unloading` and `loading` models answer once they are loaded, "
        "`restarting` ones once they are back, `failed` ones do not."
    )
    reason: str = Field(description="Why it does not answer though it should; empty while it does.")
    memory_bytes: int = Field(description="Memory of its engine process; 0 while it is not loaded.")

    @classmethod
    def of(cls, served: ModelStatus) -> "ModelInfo":
        """Encode. Reads the memory it takes: not for the event loop."""
        card = served.card
        return cls(
            id=served.id,
            object="model",
            created=card.created,
            owned_by="hearth",
            root=served.root,
            task=served.task,
            summary=card.summary,
            context_length=card.context_length_tokens,
            quantization=card.quantization,
            parameters=card.parameters,
            license=card.license,
            languages=_languages(card),
            labels={head.name: list(head.labels) for head in card.heads},
            engine=served.engine,
            state=served.state,
            dimensions=card.embedding.dimensions if card.embedding is not None else None,
            reason=served.reason,
            memory_bytes=served.memory_bytes,
        )


def _languages(card: ModelCard) -> list[str]:
    if card.translation is not None:
        return list(card.translation.languages)
    return list(dict.fromkeys(language for head in card.heads for language in head.languages))


class ModelList(ResponseBody):
    """All models."""

    object: Literal["list"]
    data: list[ModelInfo]


class ModelNamed(RequestBody):
    """A model to load or unload."""

    inert: ClassVar = {"extra_args": ([],)}

    model: str = Field(description="Its id or an alias.", examples=["assistant"])


class LoadAccepted(ResponseBody):
    """It has been begun."""

    success: bool
