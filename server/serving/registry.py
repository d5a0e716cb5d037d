"""The models of one server: finds their folders, builds what serves them, starts and ends it."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, cast

from models.registry import ManifestError, ModelCard, find_models
from server.batching.cores import CoreBudget, usable_cores
from server.engines.base import State
from server.engines.process.loadable import LoadableEngine
from server.errors import ModelNotFound, ServerError, Unavailable
from server.machine import resident_bytes
from server.metrics import Metrics
from server.serving.build import build_model, estimate_bytes
from server.serving.folders import Folders, NoRoom
from server.serving.looks import Looks
from server.serving.memory import Keeper, Resident
from server.serving.served_model import Broken, Offered
from server.settings import Settings, SettingsError
from server.tasks.decisions import Decider
from server.tasks.encoding import Classification, Embedding
from server.tasks.generation.task import Generation
from server.tasks.model import Model
from server.tasks.translation.chat import ChatTranslation
from server.tasks.translation.task import TranslationTask, Translators

log = logging.getLogger(__name__)

MB = 1_000_000


class House:
    """See the module. It is the ``Catalog`` of the services.

    Raises:
        SettingsError: no model folder, a wrong manifest, or settings that name models which are not there.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        if not settings.models_dir.is_dir():
            raise SettingsError(f"models_dir is {settings.models_dir}; there is no such folder.")
        self._settings = settings
        self._metrics = metrics
        self._cores = CoreBudget(settings.cores or usable_cores())
        self._budget_bytes = settings.memory_mb * MB
        self._keeper = Keeper(self._budget_bytes, settings.idle_unload_s, settings.memory_wait_s)
        self._residents: dict[str, Resident] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_open = False
        aliases = dict(settings.aliases)
        self._folders = Folders(settings.models_dir, self._build, settings.models, aliases)
        self._check_names(aliases)

    @property
    def entries(self) -> Mapping[str, Offered | Broken]:
        """What there was at the last look, by id."""
        return self._folders.entries

    def look(self) -> None:
        """Look at the folders; may be called on any thread."""
        self._folders.look()

    def admit(self, offered: Offered) -> None:
        """Serve a model from now on; before the house is open, once it is."""
        model = offered.model
        engine = cast(LoadableEngine, model.engine)  # it was built here
        resident = Resident(model.id, engine, model.batcher, estimate_bytes(model.card))
        self._residents[model.id] = resident
        if self._is_open:
            self._start(resident)

    def retire(self, offered: Offered) -> None:
        """Serve a model no longer: its running work finishes, then its memory is given back."""
        resident = self._residents.pop(offered.model.id)
        log.info("%s is served no longer", resident.id)
        task = asyncio.create_task(self._keeper.remove(resident))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def load(self, name: str) -> None:
        """Have a model loaded."""
        self._keeper.load(self._residents[name])

    def unload(self, name: str) -> None:
        """Have a model unloaded.

        Raises:
            ModelBusy: it has work.
        """
        self._keeper.unload(self._residents[name])

    async def settled(self) -> None:
        """Wait until no model is being loaded or restarted."""
        await self._keeper.settled()

    def open(self) -> None:
        """Start every line, and load what is to be loaded at the start. Called on the event loop."""
        self._is_open = True
        for resident in self._residents.values():
            self._start(resident)

    async def tick(self) -> None:
        """To be called every second or so."""
        await self._keeper.tick()

    async def close(self) -> None:
        """End every line and every engine."""
        await self._keeper.close()
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _start(self, resident: Resident) -> None:
        self._keeper.add(resident)
        if self._settings.load == "start":
            self._keeper.begin(resident)

    def _build(self, card: ModelCard) -> Offered:
        needs = estimate_bytes(card)
        if 0 < self._budget_bytes < needs:
            room = f"memory_mb is {self._settings.memory_mb}"
            raise NoRoom(f"it needs about {needs / MB:.0f} MB and {room}")
        return Offered.of(build_model(card, self._settings, self._cores, self._metrics))

    def _check_names(self, aliases: Mapping[str, str]) -> None:
        """Settings are checked before anything is built."""
        try:
            there = [card.id for card in find_models(self._settings.models_dir)]
        except ManifestError as error:
            raise SettingsError(str(error)) from error
        known = ", ".join(there) or "none"
        for name in self._settings.models:
            if name not in there:
                raise SettingsError(f"models names '{name}'; {self._settings.models_dir} has {known}.")
        served = self._settings.models or there
        for alias, target in aliases.items():
            if alias in there:
                raise SettingsError(f"aliases has '{alias}', which is the id of a model.")
            if target not in served:
                raise SettingsError(f"aliases has {alias}={target}; there is no model '{target}', but {known}.")


TaskT = TypeVar("TaskT")

_SENTIMENT = "sentiment"


@dataclass(frozen=True, slots=True)
class Served:
    """What there is to say of a model."""

    id: str
    """The name it is listed by: its own, or an alias."""
    root: str
    """The id of the model behind it."""
    task: str
    state: State
    reason: str
    """Why it does not answer though it should; empty while it does, or would load for a request."""
    card: ModelCard
    engine: str = ""
    pid: int | None = None
    """Its engine process."""

    @property
    def memory_bytes(self) -> int:
        """Of its engine process, 0 while there is none. The kernel takes about 1 ms to tell: not for the event loop."""
        return resident_bytes(self.pid)


class Catalog(Protocol):
    """Where models come from and go to."""

    @property
    def entries(self) -> Mapping[str, Offered | Broken]:
        """What there was at the last look, by id. An entry that has changed is another object."""

    def look(self) -> None:
        """Look for models that have come, changed or gone; may be called on any thread."""

    def admit(self, offered: Offered) -> None:
        """Start to serve a model."""

    def retire(self, offered: Offered) -> None:
        """End a model once its running work has ended."""

    def load(self, name: str) -> None:
        """Have a model loaded, by its id."""

    def unload(self, name: str) -> None:
        """Have a model unloaded, by its id; raises ``ModelBusy`` while it has work."""

    async def settled(self) -> None:
        """Wait until no model is being loaded or restarted."""


class Services:
    """All tasks of all models. Lookups raise ``ModelNotFound``, which lists the models there are.

    Args:
        models, broken: those there are from the start, started by whoever made them.
        catalog: knows of all others.
        aliases: other names of models, by name.
    """

    def __init__(
        self,
        models: Sequence[Model] = (),
        broken: Sequence[Broken] = (),
        catalog: Catalog | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.refusal: ServerError | None = None
        """Why no work is taken, while none is."""
        self._catalog = catalog
        self._aliases = dict(aliases or {})
        self._entries: dict[str, Offered | Broken] = {model.id: Offered.of(model) for model in models}
        self._entries |= {each.card.id: each for each in broken}
        self._whole: Services | None = None
        self._allows: Callable[[str], bool] | None = None
        self._leaving: list[Model] = []
        """Models that are served no longer and may still have work."""
        self._looks = Looks(self._look)

    @property
    def models(self) -> Mapping[str, Model]:
        """The models that can be served, by id."""
        return {name: each.model for name, each in self._entries.items() if isinstance(each, Offered)}

    def only(self, allows: Callable[[str], bool]) -> "Services":
        """The same services, where lookups without a name choose among the models of which ``allows`` is true."""
        view = copy(self)
        view._whole, view._allows = self, allows
        return view

    def generator(self, name: str | None) -> Generation:
        """The generator of this name; without one, the only one there is."""
        return self._pick(name, "completions", lambda offered: offered.generator)

    def chat(self, name: str | None) -> Generation | ChatTranslation:
        """A generator, or a translator as one."""
        task = self._pick(name, "chat", lambda offered: offered.chat)
        return cast("Generation | ChatTranslation", task)

    def translator(self, name: str | None) -> TranslationTask:
        """The translator of this name; without one, the only one there is."""
        return self._pick(name, "translation", lambda offered: offered.translator)

    def translators(self) -> Translators:
        """All translators there are."""
        return Translators([each.translator for each in self._choice if each.translator is not None])

    def classifier(self, name: str | None, head: str | None = None) -> Classification:
        """The model of this name with this head, or with its first; without a name, the only one there is."""
        if head is None:
            return self._pick(name, "classification", lambda offered: offered.classifier)
        return self._pick(name, head, lambda offered: offered.classifiers.get(head))

    def scorer(self, name: str | None) -> Classification:
        """The classifier of this name; without one, the only one of sentiment, or the only one there is."""
        with_head = [each for each in self._choice if _SENTIMENT in each.classifiers]
        head = _SENTIMENT if name is None and len(with_head) == 1 else None
        return self.classifier(name, head)

    def embedder(self, name: str | None) -> Embedding:
        """The embedding model of this name; without one, the only one there is."""
        return self._pick(name, "embeddings", lambda offered: offered.embedder)

    def decider(self, name: str | None) -> Decider:
        """The model of this name, if it answers questions; without one, the only one there is."""
        return self._pick(name, "decisions", lambda offered: offered.decider)

    def model(self, name: str | None) -> Model:
        """Any model, for what needs only its tokenizer; without a name, the only one there is."""
        return self._pick(name, "anything", lambda offered: offered.model)

    def knows(self, name: str) -> bool:
        """Whether this is a name of a model that there was at the last look."""
        return self._aliases.get(name, name) in self._entries

    def served(self) -> Sequence[Served]:
        """Every model, by id, the broken ones too."""
        return [_served(self._entries[name]) for name in sorted(self._entries)]

    def listed(self) -> Sequence[Served]:
        """Every model under each of its names."""
        served = {each.id: each for each in self.served()}
        named = [replace(served[root], id=alias) for alias, root in self._aliases.items() if root in served]
        return sorted([*served.values(), *named], key=lambda each: each.id)

    def find(self, name: str) -> Served:
        """What there is to say of the model of this name."""
        entry = self._entry(name)
        if entry is None:
            raise ModelNotFound(name, "anything", [each.id for each in self.listed()])
        return replace(_served(entry), id=name)

    def load(self, name: str) -> None:
        """Have a model loaded, though nobody asks it for anything."""
        if self._catalog is not None:
            self._catalog.load(self.model(name).id)

    def unload(self, name: str) -> None:
        """Have a model give its memory back.

        Raises:
            ModelBusy: it has work.
        """
        if self._catalog is not None:
            self._catalog.unload(self.model(name).id)

    def refuse(self, error: ServerError | None) -> None:
        """Take no more work for any model, or take it again."""
        self.refusal = error
        for model in self.models.values():
            model.batcher.refuse(error)

    async def drained(self) -> None:
        """Wait until no model has work."""
        for model in [*self.models.values(), *self._leaving]:
            await model.batcher.drained()

    def discover(self) -> None:
        """Take in models that have come or changed since the last look, and let go of those that have vanished. Reads
        files: only for before the event loop runs.
        """
        if self._catalog is not None:
            self._catalog.look()
            self._take_over(self._catalog)

    async def refresh(self) -> None:
        """The same, with the reading of files off the event loop. Whoever asks while one look is under way shares the
        next.
        """
        if self._whole is not None:
            await self._whole.refresh()
            self._entries = self._whole._entries
        elif self._catalog is not None:
            await self._looks.fresh()

    async def look_for(self, name: str) -> None:
        """Look for a model of this name, where none is known: its folder may have come since the last look."""
        if self._catalog is not None and self._aliases.get(name, name) not in self._entries:
            await self._looks.unknown()

    async def settled(self) -> None:
        """Wait until no model is being loaded or restarted."""
        if self._catalog is not None:
            await self._catalog.settled()

    async def _look(self) -> None:
        if self._catalog is not None:
            await asyncio.to_thread(self._catalog.look)
            self._take_over(self._catalog)

    def _take_over(self, catalog: Catalog) -> None:
        before, now = self._entries, dict(catalog.entries)
        self._entries = now
        self._leaving = [model for model in self._leaving if not model.batcher.idle]
        for name, old in before.items():
            if isinstance(old, Offered) and now.get(name) is not old:
                self._leaving.append(old.model)
                catalog.retire(old)
        for name, new in now.items():
            if isinstance(new, Offered) and before.get(name) is not new:
                new.model.batcher.refuse(self.refusal)
                catalog.admit(new)

    @property
    def _choice(self) -> Sequence[Offered]:
        """The models to choose from where none is named."""
        offered = [each for each in self._entries.values() if isinstance(each, Offered)]
        return [each for each in offered if self._allows is None or self._allows(each.card.id)]

    def _entry(self, name: str) -> Offered | Broken | None:
        return self._entries.get(self._aliases.get(name, name))

    def _pick(self, name: str | None, task: str, get: Callable[[Offered], TaskT | None]) -> TaskT:
        if name is not None:
            entry = self._entry(name)
            if isinstance(entry, Broken):
                raise Unavailable(f"The model '{name}' cannot be served: {entry.reason}", 60.0)
            if entry is not None and (found := get(entry)) is not None:
                return found
        able = {each.model.id: found for each in self._choice if (found := get(each)) is not None}
        if name is None and len(able) == 1:
            return next(iter(able.values()))
        names = [*able, *(alias for alias, root in self._aliases.items() if root in able)]
        raise ModelNotFound(name or "", task, sorted(names))


def _served(entry: Offered | Broken) -> Served:
    card = entry.card
    if isinstance(entry, Broken):
        return Served(card.id, card.id, card.task, "failed", entry.reason, card)
    engine = entry.model.engine
    return Served(card.id, card.id, card.task, engine.state, engine.reason, card, entry.model.engine_kind, engine.pid)
