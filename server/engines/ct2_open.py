"""Opening a model folder with CTranslate2: what its engines do alike."""

from collections.abc import Callable
from typing import Any

from server.engines.kinds import EngineSpec


def open_model(library: Callable[..., Any], spec: EngineSpec) -> Any:
    """The library's ``Generator``, ``Translator`` or ``Encoder`` of a model; its replicas share the weights."""
    return library(
        spec.folder,
        device="cpu",
        compute_type="default",  # as it was converted: int8, or float32 for who asked for that
        inter_threads=spec.lanes,
        intra_threads=spec.lane_threads,
        max_queued_batches=-1,
    )
