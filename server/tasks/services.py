"""Which model serves which request: names to tasks. Every task of every served model is made here."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from models.registry import ModelCard, load_family
from server.errors import ModelNotFound, ServerError, Unavailable
from server.tasks.chat_translation import ChatTranslation
from server.tasks.decisions import ByHead, Decider, ZeroShot
from server.tasks.encoding import Classification, Embedding
from server.tasks.generation import Generation
from server.tasks.heads import Head
from server.tasks.likelihood import ByLikelihood
from server.tasks.model import Model, State
from server.tasks.text.templates import ChatTemplate
from server.tasks.translation import TranslationTask

TaskT = TypeVar("TaskT")


@dataclass(frozen=True, slots=True)
class Broken:
    """A model folder that cannot be served, and why."""

    card: ModelCard
    reason: str


@dataclass(frozen=True, slots=True)
class Served:
    """What there is to say of a model."""

    id: str
    task: str
    state: State
    reason: str
    card: ModelCard
    pid: int | None
    model: Model | None


class Services:
    """All tasks of all models. Lookups raise ``ModelNotFound``, which lists the models there are."""

    def __init__(
        self,
        models: Sequence[Model] = (),
        broken: Sequence[Broken] = (),
        look: Callable[[Container[str]], Sequence[Model | Broken]] = lambda known: (),
    ) -> None:
        """Serve these models.

        Args:
            models: those that can be served.
            broken: those that cannot.
            look: finds models that have come since, given the ids of those known; asked when a name is not known.
        """
        self._look = look
        self.models: dict[str, Model] = {}
        self.refusal: ServerError | None = None
        """Why no work is taken, while none is."""
        self._broken: dict[str, Broken] = {}
        self._generators: dict[str, Generation] = {}
        self._translators: dict[str, TranslationTask] = {}
        self._classifiers: dict[tuple[str, str], Classification] = {}
        self._first_heads: dict[str, Classification] = {}
        self._embedders: dict[str, Embedding] = {}
        self._deciders: dict[str, Decider] = {}
        self._chats: dict[str, Generation | ChatTranslation] = {}
        found: list[Model | Broken] = [*models, *broken]
        for each in found:
            self._add(each)

    def generator(self, name: str | None) -> Generation:
        """The generator of this name; without one, the only one there is."""
        return self._pick(self._generators, name, "completions")

    def chat(self, name: str | None) -> Generation | ChatTranslation:
        """A generator, or a translator as one."""
        return self._pick(self._chats, name, "chat")

    def translator(self, name: str | None) -> TranslationTask:
        """The translator of this name; without one, the only one there is."""
        return self._pick(self._translators, name, "translation")

    def classifier(self, name: str | None, head: str | None = None) -> Classification:
        """The model of this name with this head, or with its first; without a name, the only one there is."""
        if head is None:
            return self._pick(self._first_heads, name, "classification")
        self._know(name)
        with_head = {model: task for (model, each), task in self._classifiers.items() if each == head}
        return self._pick(with_head, name, head)

    def embedder(self, name: str | None) -> Embedding:
        """The embedding model of this name; without one, the only one there is."""
        return self._pick(self._embedders, name, "embeddings")

    def decider(self, name: str | None) -> Decider:
        """The model of this name, if it answers questions; without one, the only one there is."""
        return self._pick(self._deciders, name, "decisions")

    def model(self, name: str | None) -> Model:
        """Any model, for what needs only its tokenizer; without a name, the only one there is."""
        return self._pick(self.models, name, "anything")

    def served(self) -> Sequence[Served]:
        """Every model, by id, the broken ones too."""
        alive = [
            Served(m.id, m.card.task, m.engine.state, m.engine.reason, m.card, m.engine.pid, m)
            for m in self.models.values()
        ]
        dead = [Served(b.card.id, b.card.task, "failed", b.reason, b.card, None, None) for b in self._broken.values()]
        return sorted(alive + dead, key=lambda served: served.id)

    def find(self, name: str) -> Served:
        """What there is to say of the model of this name."""
        self._know(name)
        served = {each.id: each for each in self.served()}
        if name not in served:
            raise ModelNotFound(name, "anything", sorted(served))
        return served[name]

    def refuse(self, error: ServerError | None) -> None:
        """Take no more work for any model, or take it again."""
        self.refusal = error
        for model in self.models.values():
            model.batcher.refuse(error)

    async def drained(self) -> None:
        """Wait until no model has work."""
        for model in self.models.values():
            await model.batcher.drained()

    def discover(self) -> None:
        """Take in models that have come since the server began."""
        for each in self._look({*self.models, *self._broken}):
            self._add(each)

    def _know(self, name: str | None) -> None:
        """A name that is not known may be that of a model that has come since."""
        if name is not None and name not in self.models and name not in self._broken:
            self.discover()

    def _pick(self, tasks: Mapping[str, TaskT], name: str | None, task: str) -> TaskT:
        if name is None and len(tasks) == 1:
            return next(iter(tasks.values()))
        self._know(name)
        if name is not None and name in self._broken:
            raise Unavailable(f"The model '{name}' cannot be served: {self._broken[name].reason}", 60.0)
        if name is None or name not in tasks:
            raise ModelNotFound(name or "", task, sorted(tasks))
        return tasks[name]

    def _add(self, model: Model | Broken) -> None:
        if isinstance(model, Broken):
            self._broken[model.card.id] = model
            return
        card = model.card
        self.models[card.id] = model
        if card.generation is not None:
            source = card.path(card.generation.template).read_text("utf-8")
            variables = {"bos_token": card.generation.bos_token or ""}
            template = ChatTemplate(source, model.tokenizer.special_tokens.keys(), variables)
            self._generators[card.id] = Generation(model, template, load_family(card))
            self._chats[card.id] = self._generators[card.id]
            self._deciders[card.id] = ByLikelihood(model, self._generators[card.id])
        if card.translation is not None:
            self._translators[card.id] = TranslationTask(model, card.translation, load_family(card))
            self._chats[card.id] = ChatTranslation(self._translators[card.id])
        if card.embedding is not None:
            self._embedders[card.id] = Embedding(model, card.embedding.pooling, card.embedding.normalize)
            self._deciders[card.id] = ZeroShot(self._embedders[card.id])
        for spec in card.heads:
            self._classifiers[card.id, spec.name] = Classification(model, Head(spec, card.folder))
        if card.heads:
            self._first_heads[card.id] = self._classifiers[card.id, card.heads[0].name]
            self._deciders[card.id] = ByHead(self._first_heads[card.id])
