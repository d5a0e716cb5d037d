from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from server.engines.kinds import EngineSpec
from server.engines.step.support import config, core
from tests.engines.step import tiny

CONTEXT_TOKENS = 128
IN_FOUR_BITS = ", four bits"
FolderOf = Callable[[str], Path]
EngineOf = Callable[..., Any]


@pytest.fixture(scope="session")
def compiled() -> Any:
    module = core()
    if module is None:
        pytest.skip("the step engine is not compiled here")
    return module


@pytest.fixture(scope="session")
def folder_of(compiled: Any, tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    """The folder of a family's tiny model, written once a session; a name's end says that it is in four bits."""
    root = tmp_path_factory.mktemp("tiny")

    def folder(family: str) -> Path:
        path: Path = root / family
        if path.exists():
            return path
        int8 = family.removesuffix(IN_FOUR_BITS)
        return tiny.write(path, tiny.FAMILIES[family]) if int8 == family else tiny.write_four_bits(path, folder(int8))

    return folder


@pytest.fixture
def decoder(compiled: Any, folder_of: FolderOf) -> Iterator[Callable[..., Any]]:
    """Makes decoders of a family; they go when the test ends."""
    made: list[Any] = []

    def make(family: str = "llama", *, threads: int = 1, isa: str = "", cache_blocks: int = 64) -> Any:
        folder = folder_of(family)
        one = compiled.Decoder(str(folder / "model.bin"), config(folder), threads, isa, CONTEXT_TOKENS, 0)
        if cache_blocks > one.blocks:
            budget = cache_blocks * one.block_bytes
            one = compiled.Decoder(str(folder / "model.bin"), config(folder), threads, isa, CONTEXT_TOKENS, budget)
        made.append(one)
        return one

    yield make
    made.clear()


@pytest.fixture
def engine_of(folder_of: FolderOf) -> Iterator[EngineOf]:
    made: list[Any] = []

    def make(family: str = "llama", threads: int = 1, **options: Any) -> Any:
        from server.engines.step.engine import StepEngine

        options = {"context_tokens": CONTEXT_TOKENS, "cache_bytes": 1 << 20, **options}
        made.append(StepEngine(EngineSpec("step", str(folder_of(family)), lane_threads=threads, options=options)))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def prompt(length: int, seed: int = 0) -> list[int]:
    """Random ids."""
    ids: list[int] = np.random.default_rng(seed).integers(0, tiny.VOCABULARY, length).tolist()
    return ids


def logits(decoder: Any, ids: list[int], chunk: int = 1000) -> npt.NDArray[np.float32]:
    """Logits of every position of one row alone, its prompt cut into chunks; nothing is left behind."""
    row = decoder.open(ids)
    parts = []
    while decoder.pending(row):
        count = min(chunk, decoder.pending(row))
        assert decoder.reserve(row, count)
        parts.append(decoder.logits([row], [min(count, decoder.pending(row))]))
    decoder.close(row)
    decoder.forget_prefixes()
    return np.concatenate(parts)
