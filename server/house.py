"""The models of one server: their folders, what serves each, and when it starts and ends."""

import asyncio
import logging
from collections.abc import Container
from typing import Any

from models.registry import ManifestError, ModelCard, find_models, verify
from models.tokenizers import load_tokenizer
from server.batching.batcher import Batcher
from server.batching.cores import CoreBudget, usable_cores
from server.batching.policy import Limits
from server.engines.kinds import KINDS, EngineSpec
from server.engines.process import ProcessEngine
from server.engines.step.support import supports
from server.metrics import Metrics
from server.settings import Settings, SettingsError
from server.tasks.model import Model
from server.tasks.services import Broken

log = logging.getLogger(__name__)


class House:
    """The models of one server: finds their folders, builds what serves them, starts and ends it."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        if not settings.models_dir.is_dir():
            raise SettingsError(f"models_dir is {settings.models_dir}; there is no such folder.")
        self._settings = settings
        self._metrics = metrics
        self._cores = CoreBudget(settings.cores or usable_cores())
        self._served: list[tuple[Model, ProcessEngine]] = []
        self._is_open = False

    def folders(self) -> dict[str, ModelCard]:
        """The cards of all models there are now.

        Raises:
            SettingsError: a manifest is wrong.
        """
        try:
            return {card.id: card for card in find_models(self._settings.models_dir)}
        except ManifestError as error:
            raise SettingsError(str(error)) from error

    def look(self, known: Container[str]) -> list[Model | Broken]:
        """Build the models that are there and not known yet; once the server is open, start them too."""
        found: list[Model | Broken] = []
        try:
            cards = self.folders()
        except SettingsError as error:
            if not self._is_open:
                raise
            log.error("no new model is served: %s", error)
            return []
        for card in cards.values():
            if card.id in known or (self._settings.models and card.id not in self._settings.models):
                continue
            try:
                verify(card)
                model, engine = build_model(card, self._settings, self._cores, self._metrics)
            except (ManifestError, ValueError) as error:
                log.error("the model %s is not served: %s", card.id, error)
                found.append(Broken(card, str(error)))
                continue
            self._served.append((model, engine))
            found.append(model)
            if self._is_open:
                self._start(model, engine)
        return found

    def open(self) -> None:
        """Start every model. Called on the event loop."""
        self._is_open = True
        for model, engine in self._served:
            self._start(model, engine)

    async def close(self) -> None:
        """End every line and every engine."""
        # Engines that hang must not hold up the end: closing one ends the runs on it.
        stops = [asyncio.create_task(model.batcher.stop()) for model, _ in self._served]
        if stops:
            await asyncio.wait(stops, timeout=5.0)
        await asyncio.gather(*(asyncio.to_thread(engine.close) for _, engine in self._served))
        await asyncio.gather(*stops)

    @staticmethod
    def _start(model: Model, engine: ProcessEngine) -> None:
        model.batcher.start()
        engine.start()


def build_model(
    card: ModelCard, settings: Settings, cores: CoreBudget, metrics: Metrics
) -> tuple[Model, ProcessEngine]:
    """The tokenizer, the engine and the line of one model; nothing is started."""
    spec, limits, _ = engine_for(card, cores.cores, settings.batch_rows)
    observer = metrics.of(card.id)
    engine = ProcessEngine(spec, observer)
    batcher: Batcher[Any, Any, Any] = Batcher(
        engine,
        KINDS[spec.kind],
        limits,
        cores=cores,
        observer=observer,
        lanes=spec.lanes,
        lane_cores=spec.lane_threads,
        waiting_rows=settings.queue_rows,
        waiting_tokens=settings.queue_tokens,
        name=card.id,
    )
    return Model(card, load_tokenizer(card), engine, batcher), engine


def engine_for(card: ModelCard, cores: int, batch_rows: int) -> tuple[EngineSpec, Limits, str]:
    """Which engine serves a model, in how many lanes, how large its batches grow, and why, for people to read.

    Measured on two cores (``load_tests/RESULTS.md``): encoders and translators do most with a lane of one
    thread on each core, since threads of one lane wait for each other at every layer; encoders with small
    batches, since those stay in the core's cache.
    """
    folder = str(card.folder)
    if card.task == "generation":
        if (reason := supports(folder)) is None:
            options = {"context_tokens": card.context_length_tokens, "max_rows": batch_rows}
            spec = EngineSpec("step", folder, lanes=1, lane_threads=cores, options=options)
            return spec, Limits(rows=batch_rows, tokens=batch_rows * card.context_length_tokens), "our decode engine"
        spec = EngineSpec("ct2-generator", folder, lanes=1, lane_threads=cores)
        return spec, Limits(rows=batch_rows, tokens=16_384, length_tolerance=16), f"not our decode engine: {reason}"
    if card.task == "translation":
        spec = EngineSpec("ct2-translator", folder, lanes=cores)
        return spec, Limits(rows=batch_rows, tokens=4096), "encoder-decoders are CTranslate2's own job"
    spec = EngineSpec("ct2-encoder", folder, lanes=cores)
    return spec, Limits(rows=8, tokens=1024), "encoders are CTranslate2's own job"
