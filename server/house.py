"""The models of one server: finds their folders, builds what serves them, starts and ends it."""

import asyncio
import logging
from collections.abc import Mapping
from typing import cast

from models.registry import ManifestError, ModelCard, find_models
from server.batching.cores import CoreBudget, usable_cores
from server.engines.loadable import LoadableEngine
from server.metrics import Metrics
from server.residents.build import build_model, estimate_bytes
from server.residents.folders import Folders, NoRoom
from server.residents.keeper import Keeper, Resident
from server.settings import Settings, SettingsError
from server.tasks.offered import Broken, Offered

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
