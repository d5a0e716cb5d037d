"""The model registry: models by name or alias, folders that come and go, and the loading of models."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TypeVar, cast

from models.registry import ManifestError, ModelCard, find_models
from server.batching.cores import CoreBudget, usable_cores
from server.engines.process.supervisor import ProcessEngine
from server.errors import ModelNotFound, ServerError, Unavailable
from server.metrics import Metrics
from server.serving.build import build_model, estimate_bytes
from server.serving.dropped import Dropped
from server.serving.folders import Folders, Looks, NoRoom
from server.serving.memory import LoadedModel, ModelMemory
from server.serving.served_model import Broken, ModelStatus, ServedModel
from server.settings import Settings, SettingsError
from server.tasks.decisions import ByHead, Decider
from server.tasks.encoding import Classification, Embedding
from server.tasks.generation.task import Generation
from server.tasks.guard import Guard
from server.tasks.model import Model
from server.tasks.translation.chat import ChatTranslation
from server.tasks.translation.task import TranslationTask, Translators

log = logging.getLogger(__name__)

MB = 1_000_000

TaskT = TypeVar("TaskT")

IMPORT_RETRY_S = 5.0
"""When to ask again for a model that is being imported."""

_SENTIMENT, _MODERATION = "sentiment", "moderation"


class ModelRegistry:
    """The models of one server: finds them by name or alias, takes in what comes to their folders, and has them loaded.

    Lookups raise ``ModelNotFound``, which lists the models there are.

    Args:
        models, broken: models that are there from the start, and started by whoever made them.
        aliases: other names of models, by name.
        folders: where models come and go; None: nowhere.
        memory: loads and unloads the models of the folders.
        load_at_start: whether a model is loaded before a request wants it.
    """

    def __init__(
        self,
        models: Sequence[Model] = (),
        broken: Sequence[Broken] = (),
        aliases: Mapping[str, str] | None = None,
        folders: Folders | None = None,
        memory: ModelMemory | None = None,
        *,
        load_at_start: bool = True,
    ) -> None:
        self.refusal: ServerError | None = None
        """The error of all new work while none is taken; else None."""
        self.is_leaving = False
        """Whether the server will end soon: ``/ready`` answers 503, and work is still taken until ``refuse``."""
        self._folders = folders
        self._memory = memory or ModelMemory()
        self._load_at_start = load_at_start
        self._loaded: dict[str, LoadedModel] = {}
        self._is_open = False
        self._set_aliases = dict(aliases or {})
        self._entries: dict[str, ServedModel | Broken] = {model.id: ServedModel.of(model) for model in models}
        self._entries |= {each.card.id: each for each in broken}
        self._aliases = self._all_aliases()
        self._whole: ModelRegistry | None = None
        self._allows: Callable[[str], bool] | None = None
        self._leaving: dict[asyncio.Task[None], Model] = {}
        """Models that are served no longer, until their work has ended and their memory is given back."""
        self._looks = Looks(self._look)

    @classmethod
    def of(cls, settings: Settings, metrics: Metrics) -> "ModelRegistry":
        """The models in the folders that the settings name. Nothing is started before it is opened.

        Raises:
            SettingsError: no model folder, a wrong manifest, or settings that name models which are not there.
        """
        if not any(folder.is_dir() for folder in settings.model_folders):
            raise SettingsError(f"models_dir is {settings.models_dir}; there is no such folder.")
        _check_names(settings)
        aliases = dict(settings.aliases)
        cores = CoreBudget(settings.cores or usable_cores())
        memory = ModelMemory(settings.memory_mb * MB, settings.idle_unload_s, settings.memory_wait_s)

        def build(card: ModelCard) -> ServedModel:
            needs = estimate_bytes(card)
            if 0 < settings.memory_mb * MB < needs:
                raise NoRoom(f"it needs about {needs / MB:.0f} MB and memory_mb is {settings.memory_mb}")
            return ServedModel.of(build_model(card, settings, cores, metrics))

        dropped = Dropped(settings.model_folders, settings.models)
        folders = Folders(settings.model_folders, build, settings.models, aliases, dropped)
        made = cls(aliases=aliases, folders=folders, memory=memory, load_at_start=settings.load == "start")
        made.discover()
        return made

    @property
    def models(self) -> Mapping[str, Model]:
        """The models that can be served, by id."""
        return {name: each.model for name, each in self._entries.items() if isinstance(each, ServedModel)}

    def only(self, allows: Callable[[str], bool]) -> "ModelRegistry":
        """The same registry, where lookups without a name choose among the models of which ``allows`` is true."""
        view = copy(self)
        view._whole, view._allows = self, allows
        return view

    def generator(self, name: str | None) -> Generation:
        """The generator of this name; without one, the only one there is."""
        return self._pick(name, "completions", lambda offered: offered.generator)

    def chat(self, name: str | None) -> Generation | ChatTranslation:
        """A generator, or a translator as one."""
        task = self._pick(name, "chat", lambda offered: offered.chat)
        if isinstance(task, ChatTranslation):
            return ChatTranslation(self.translator(task.card.id), self.translators())
        return cast("Generation", task)

    def translator(self, name: str | None) -> TranslationTask:
        """The translator of this name; without one, the only one there is."""
        return self._pick(name, "translation", lambda offered: offered.translator)

    def translators(self) -> Translators:
        """All translators there are."""
        return Translators([each.translator for each in self._choice if each.translator is not None])

    def classifier(self, name: str | None, head: str | None = None) -> Classification:
        """The model of this name with this head, or with its first; without a name, the only one there is, or the first
        of several that say which languages they read. Those give one another the texts in their languages.
        """
        if head is None:
            found = self._pick(name, "classification", lambda offered: offered.classifier)
        else:
            if name is None and len(able := self._heads(head)) > 1 and all(task.head.spec.languages for task in able):
                name = able[0].card.id
            found = self._pick(name, head, lambda offered: offered.classifiers.get(head))
        spec = found.head.spec
        if not spec.languages:
            return found
        others = [task for task in self._heads(spec.name) if task.card.id != found.card.id]
        return found.beside([task for task in others if task.head.spec.labels == spec.labels])

    def moderator(self, name: str | None) -> Classification | Guard:
        """The model of this name with a moderation head, or the guard model; without a name, the one with a head, and
        the only guard model where none has one.
        """
        if name is None and self._heads(_MODERATION):
            return self.classifier(None, _MODERATION)

        def moderator(offered: ServedModel) -> Classification | Guard | None:
            return offered.classifiers.get(_MODERATION) or offered.guard

        found = cast("Classification | Guard", self._pick(name, _MODERATION, moderator))
        return found if isinstance(found, Guard) else self.classifier(found.card.id, _MODERATION)

    def _heads(self, name: str) -> list[Classification]:
        """The models among those to choose from that have a head of this name."""
        return [each.classifiers[name] for each in self._choice if name in each.classifiers]

    def scorer(self, name: str | None) -> Classification:
        """The classifier of this name; without one, the only one of sentiment, or the only one there is."""
        able = self._heads(_SENTIMENT)
        is_clear = len(able) == 1 or (len(able) > 1 and all(task.head.spec.languages for task in able))
        return self.classifier(name, _SENTIMENT if name is None and is_clear else None)

    def embedder(self, name: str | None) -> Embedding:
        """The embedding model of this name; without one, the only one there is."""
        return self._pick(name, "embeddings", lambda offered: offered.embedder)

    def decider(self, name: str | None) -> Decider:
        """The model of this name, if it answers questions; without one, the only one there is."""
        found = self._pick(name, "decisions", lambda offered: offered.decider)
        return ByHead(self.classifier(found.card.id)) if isinstance(found, ByHead) else found

    def model(self, name: str | None) -> Model:
        """Any model, for what needs only its tokenizer; without a name, the only one there is."""
        return self._pick(name, "anything", lambda offered: offered.model)

    def knows(self, name: str) -> bool:
        """Whether this is a name of a model that there was at the last look."""
        entry = self._entry(name)
        return entry is not None and not (isinstance(entry, Broken) and entry.is_file)

    def served(self) -> Sequence[ModelStatus]:
        """Every model, by id, the broken ones too."""
        return [ModelStatus.of(self._entries[name]) for name in sorted(self._entries)]

    def listed(self) -> Sequence[ModelStatus]:
        """Every model under each of its names."""
        served = {each.id: each for each in self.served()}
        named = [replace(served[root], id=alias) for alias, root in self._aliases.items() if root in served]
        return sorted([*served.values(), *named], key=lambda each: each.id)

    def find(self, name: str) -> ModelStatus:
        """The status of the model of this name."""
        entry = self._entry(name)
        if entry is None:
            raise ModelNotFound(name, "anything", [each.id for each in self.listed()])
        return replace(ModelStatus.of(entry), id=name)

    def load(self, name: str) -> None:
        """Load a model without a request for it."""
        if (loaded := self._loaded.get(self.model(name).id)) is not None:
            self._memory.load(loaded)

    def unload(self, name: str) -> None:
        """Unload a model, which frees its memory.

        Raises:
            ModelBusy: it has work.
        """
        if (loaded := self._loaded.get(self.model(name).id)) is not None:
            self._memory.unload(loaded)

    def open(self) -> None:
        """Start every queue, and load what is to be loaded at the start. Called on the event loop."""
        self._is_open = True
        for loaded in self._loaded.values():
            self._start(loaded)

    async def tick(self) -> None:
        """Unload idle models and end waits for memory. To be called about once a second."""
        await self._memory.tick()

    async def settled(self) -> None:
        """Wait until no model is being loaded or restarted."""
        await self._memory.settled()

    async def close(self) -> None:
        """End every queue and every engine."""
        await self._memory.close()
        if self._folders is not None:
            await asyncio.to_thread(self._folders.close)
        if self._leaving:
            await asyncio.wait(self._leaving)

    def refuse(self, error: ServerError | None) -> None:
        """Take no more work for any model, or take it again."""
        self.refusal = error
        for model in self.models.values():
            model.batcher.refuse(error)

    async def drained(self) -> None:
        """Wait until no model has work."""
        for model in [*self.models.values(), *self._leaving.values()]:
            await model.batcher.drained()

    def discover(self) -> None:
        """Take in models that have come or changed since the last look, and let go of those that have vanished.

        It reads files, so it is only for the time before the event loop runs.
        """
        if self._folders is not None:
            self._folders.look()
            self._take_over(self._folders.entries)

    async def refresh(self) -> None:
        """The same, with the reading of files off the event loop. Requests that ask while a look is under way share the
        next one.
        """
        if self._whole is not None:
            await self._whole.refresh()
            self._entries, self._aliases = self._whole._entries, self._whole._aliases
        elif self._folders is not None:
            await self._looks.fresh()

    async def look_for(self, name: str) -> None:
        """Look for a model of this name, where none is known: its folder may have come since the last look."""
        if self._folders is not None and not self.knows(name):
            await self._looks.unknown()

    async def _look(self) -> None:
        if self._folders is not None:
            await asyncio.to_thread(self._folders.look)
            self._take_over(self._folders.entries)

    def _take_over(self, now: Mapping[str, ServedModel | Broken]) -> None:
        before, self._entries = self._entries, dict(now)
        self._aliases = self._all_aliases()
        for name, old in before.items():
            if isinstance(old, ServedModel) and now.get(name) is not old:
                self._retire(old)
        for name, new in now.items():
            if isinstance(new, ServedModel) and before.get(name) is not new:
                self._admit(new)

    def _admit(self, offered: ServedModel) -> None:
        """Serve a model from now on; while the registry is not open, from its opening."""
        model = offered.model
        model.batcher.refuse(self.refusal)
        engine = cast(ProcessEngine, model.engine)  # the models of folders have such an engine
        loaded = LoadedModel(model.id, engine, model.batcher, estimate_bytes(model.card))
        self._loaded[model.id] = loaded
        if self._is_open:
            self._start(loaded)

    def _start(self, loaded: LoadedModel) -> None:
        self._memory.add(loaded)
        if self._load_at_start:
            self._memory.begin(loaded)

    def _retire(self, offered: ServedModel) -> None:
        """Serve a model no longer: its running work finishes, then its memory is given back."""
        log.info("%s is served no longer", offered.model.id)
        task = asyncio.create_task(self._memory.remove(self._loaded.pop(offered.model.id)))
        self._leaving[task] = offered.model
        task.add_done_callback(self._leaving.pop)

    def _all_aliases(self) -> dict[str, str]:
        """Other names of models: those that are set, then those of the models' own that are nobody else's."""
        found = dict(self._set_aliases)
        for name in sorted(self._entries):
            for alias in self._entries[name].card.aliases:
                if alias not in self._entries:
                    found.setdefault(alias, name)
        return found

    @property
    def _choice(self) -> Sequence[ServedModel]:
        """The models to choose from where none is named."""
        offered = [each for each in self._entries.values() if isinstance(each, ServedModel)]
        return [each for each in offered if self._allows is None or self._allows(each.card.id)]

    def _entry(self, name: str) -> ServedModel | Broken | None:
        return self._entries.get(self._aliases.get(name, name))

    def _pick(self, name: str | None, task: str, get: Callable[[ServedModel], TaskT | None]) -> TaskT:
        if name is not None:
            entry = self._entry(name)
            if isinstance(entry, Broken) and entry.state == "importing":
                raise Unavailable(f"The model '{name}' is not ready: {entry.reason}", IMPORT_RETRY_S)
            if isinstance(entry, Broken):
                raise Unavailable(f"The model '{name}' cannot be served: {entry.reason}", 60.0)
            if entry is not None and (found := get(entry)) is not None:
                return found
        able = {each.model.id: found for each in self._choice if (found := get(each)) is not None}
        if name is None and len(able) == 1:
            return next(iter(able.values()))
        names = [*able, *(alias for alias, root in self._aliases.items() if root in able)]
        raise ModelNotFound(name or "", task, sorted(names))


def _check_names(settings: Settings) -> None:
    """Settings are checked before anything is built.

    Raises:
        SettingsError: a manifest is wrong, or a setting names a model that does not exist or a wrong alias.
    """
    try:
        there = [card.id for card in find_models(*settings.model_folders)]
    except ManifestError as error:
        raise SettingsError(str(error)) from error
    known = ", ".join(there) or "none"
    for name in settings.models:
        if name not in there:
            raise SettingsError(f"models names '{name}'; {settings.models_dir} has {known}.")
    served = settings.models or there
    for alias, target in settings.aliases:
        if alias in there:
            raise SettingsError(f"aliases has '{alias}', which is the id of a model.")
        if target not in served:
            raise SettingsError(f"aliases has {alias}={target}; there is no model '{target}', but {known}.")
