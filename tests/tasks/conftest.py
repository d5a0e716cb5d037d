"""All tasks on the shipped models: engines are started once, each test has lines of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from models.registry import find_models
from models.tokenizers import load_tokenizer
from server.batching.batcher import Batcher
from server.batching.cores import CoreBudget
from server.engines.kinds import KINDS
from server.engines.process.supervisor import ProcessEngine
from server.serving.build import engine_for
from server.serving.registry import ModelRegistry
from server.tasks.model import Model

WEIGHTS = Path(__file__).parents[2] / "models" / "weights"


class Unobserved:
    """An observer that does not look."""

    def batch(self, rows: int, tokens: int, padding_ratio: float) -> None:
        pass


@pytest.fixture(scope="session")
def engines() -> Iterator[dict[str, tuple[Any, ...]]]:
    """Each shipped model's card, tokenizer, engine and limits."""
    made: dict[str, tuple[Any, ...]] = {}
    for card in find_models(WEIGHTS):
        spec, limits, _ = engine_for(card, 2, 16)
        engine = ProcessEngine(spec)
        engine.load()
        made[card.id] = card, load_tokenizer(card), engine, limits
    yield made
    for _, _, engine, _ in made.values():
        engine.close()


@pytest.fixture
async def registry(engines: dict[str, tuple[Any, ...]], anyio_backend: str) -> AsyncIterator[ModelRegistry]:
    cores = CoreBudget(2)
    models = []
    for card, tokenizer, engine, limits in engines.values():
        assert engine.wait_ready()
        spec = engine.spec
        batcher: Batcher[Any, Any, Any] = Batcher(
            engine,
            KINDS[spec.kind],
            limits,
            cores=cores,
            observer=Unobserved(),
            lanes=spec.lanes,
            lane_cores=spec.lane_threads,
            waiting_rows=600,
        )
        batcher.start()
        models.append(Model(card, tokenizer, engine, batcher))
    yield ModelRegistry(models)
    for model in models:
        await model.batcher.stop()
