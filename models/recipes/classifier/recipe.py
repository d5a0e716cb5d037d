"""The facts of one classifier that the steps need: its head, its manifest and its calibration.

Contract: plain data and one function. It knows nothing of training or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.recipes.classifier.infer import EngineClassifier
from models.recipes.classifier.numpy_head import Kind


@dataclass(frozen=True, slots=True)
class Calibration:
    """The values fitted after training, on rows outside the training set."""

    temperature: float
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceTerms:
    """Licence and origin of one source of training rows; `rows` if the step does not count them."""

    license: str
    origin: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """One classifier. `calibrate` gets the converted model at temperature 1 and the data folder."""

    id: str
    head: str
    labels: tuple[str, ...]
    kind: Kind
    summary: str
    license: str
    created_s: int
    sources: Mapping[str, SourceTerms]
    calibrate: Callable[[EngineClassifier, Path], Calibration]
    experimental: tuple[str, ...] = ()
    context_tokens: int = 256
    family: str = "hearth-minilm"
    languages: tuple[str, ...] = ()

    def classifier(self, folder: Path, temperature: float) -> EngineClassifier:
        """The converted model of a folder."""
        return EngineClassifier(folder, self.head, self.kind, temperature, self.context_tokens)
