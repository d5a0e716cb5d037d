"""One model with every task that it serves, made once from its card; or the reason why it serves none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.registry import ModelCard, load_family
from server.engines.base import State
from server.machine import resident_bytes
from server.tasks.decisions import ByHead, ByLikelihood, Decider, ZeroShot
from server.tasks.encoding import Classification, Embedding, Head
from server.tasks.generation.chat_template import ChatTemplate
from server.tasks.generation.task import Generation
from server.tasks.guard import Guard
from server.tasks.model import Model
from server.tasks.translation.chat import ChatTranslation
from server.tasks.translation.task import TranslationTask

ListedState = State | Literal["importing"]
"""``importing``: a GGUF file that is no model folder yet."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A model folder or a dropped file that is not served, and why, in words for clients."""

    card: ModelCard
    reason: str
    state: ListedState = "failed"
    is_file: bool = False
    """Whether it is a dropped file: nobody counts on it yet, so the server is ready without it."""


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A model and its tasks; None where it has no such task."""

    model: Model
    generator: Generation | None = None
    translator: TranslationTask | None = None
    embedder: Embedding | None = None
    classifiers: Mapping[str, Classification] = field(default_factory=dict)
    """By the name of the head, in the manifest's order."""
    guard: Guard | None = None
    """The generator as a guard model, if its chat template asks for verdicts."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.model.card

    @classmethod
    def of(cls, model: Model) -> "ServedModel":
        """All that the card says the model can.

        Raises:
            ManifestError, ValueError, OSError: a file of it is not what it should be.
        """
        card = model.card
        generator = _generator(model)
        return cls(
            model,
            generator=generator,
            translator=TranslationTask(model, card.translation, load_family(card)) if card.translation else None,
            embedder=Embedding(model, card.embedding.pooling, card.embedding.normalize) if card.embedding else None,
            classifiers={spec.name: Classification(model, Head(spec, card.folder)) for spec in card.heads},
            guard=Guard.of(model, generator) if generator is not None else None,
        )

    @property
    def chat(self) -> Generation | ChatTranslation | None:
        """The generator, or the translator as one."""
        if self.translator is not None:
            return ChatTranslation(self.translator)
        return self.generator

    @property
    def classifier(self) -> Classification | None:
        """The first head's."""
        return next(iter(self.classifiers.values()), None)

    @property
    def decider(self) -> Decider | None:
        """By a head, by likelihood or by vectors."""
        if self.classifier is not None:
            return ByHead(self.classifier)
        if self.generator is not None:
            return ByLikelihood(self.model, self.generator)
        return ZeroShot(self.embedder) if self.embedder is not None else None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """The status of a model, for lists."""

    id: str
    """The name it is listed by: its own, or an alias."""
    root: str
    """The id of the model behind it."""
    task: str
    state: ListedState
    reason: str
    """Why it does not answer though it should; empty while it does, or would load for a request."""
    card: ModelCard
    engine: str = ""
    pid: int | None = None
    """Its engine process."""
    is_file: bool = False
    """Whether it is a file that is not imported, and not a model's folder."""

    @classmethod
    def of(cls, entry: "ServedModel | Broken") -> "ModelStatus":
        """The status of a model under its own name."""
        card = entry.card
        if isinstance(entry, Broken):
            return cls(card.id, card.id, card.task, entry.state, entry.reason, card, is_file=entry.is_file)
        engine = entry.model.engine
        return cls(card.id, card.id, card.task, engine.state, engine.reason, card, entry.model.engine_kind, engine.pid)

    @property
    def memory_bytes(self) -> int:
        """Of its engine process, 0 while there is none. The kernel takes about 1 ms to tell: not for the event loop."""
        return resident_bytes(self.pid)


def _generator(model: Model) -> Generation | None:
    section = model.card.generation
    if section is None:
        return None
    template = None
    if section.template is not None:
        source = model.card.path(section.template).read_text("utf-8")
        variables = {"bos_token": section.bos_token or "", **section.variables}
        control = [*model.tokenizer.special_tokens, *model.tokenizer.marks]
        template = ChatTemplate(source, control, variables)
    return Generation(model, template, load_family(model.card))
