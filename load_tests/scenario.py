"""A scenario for the simulator, read from a TOML file: an engine that is a formula, limits, kinds of clients."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load_tests.cache import Cache
from server.batching.policy import Limits


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a batch: a line fitted to measurements (`load_tests.bare`). Padding: longest row × rows."""

    fixed_s: float = 0.0
    row_s: float = 0.0
    token_s: float = 0.0
    padded_token_s: float = 0.0
    longest_token_s: float = 0.0
    """The seconds that each step costs, however many rows share it."""

    def of(self, sizes: Sequence[int]) -> float:
        """One batch, or one step: the rows' tokens."""
        longest = max(sizes, default=0)
        return (
            self.fixed_s
            + self.row_s * len(sizes)
            + self.token_s * sum(sizes)
            + self.padded_token_s * longest * len(sizes)
            + self.longest_token_s * longest
        )


@dataclass(frozen=True, slots=True)
class Traffic:
    """One kind of client. ``rows``, ``tokens`` and ``steps`` are drawn evenly from (least, most)."""

    name: str
    clients: int = 0
    """A closed loop of so many; else requests come at random."""
    rate_per_s: float = 0.0
    rows: tuple[int, int] = (1, 1)
    tokens: tuple[int, int] = (10, 10)
    steps: tuple[int, int] = (1, 1)
    """Tokens a row decodes; only with ``refill``."""
    keys: tuple[str, ...] = ("",)
    begin_s: float = 0.0
    requests: int | None = None
    """The number of clients of this kind."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A machine and its traffic."""

    seconds: float
    limits: Limits
    cost: Cost
    traffic: tuple[Traffic, ...]
    lanes: int = 1
    refill: bool = False
    """The engine decodes step by step, and rows join and leave at each: ``limits`` is then its room."""
    cache: Cache | None = None
    """With ``refill``: the step engine's blocks and token budget are the room, rather than ``limits.tokens``."""
    seed: int = 1

    @classmethod
    def read(cls, file: Path) -> "Scenario":
        """From TOML; its keys are the fields."""
        values = tomllib.loads(file.read_text("utf-8"))
        traffic = tuple(Traffic(**{k: _tupled(v) for k, v in each.items()}) for each in values.pop("traffic"))
        cache = Cache(**values.pop("cache")) if "cache" in values else None
        return cls(
            cache=cache,
            limits=Limits(**values.pop("limits")),
            cost=Cost(**values.pop("cost")),
            traffic=traffic,
            **values,
        )


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
