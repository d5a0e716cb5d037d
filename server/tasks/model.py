"""A served model: its card, its tokenizer, its engine and the queue before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from models.registry import ModelCard
from models.tokenizers import Tokenizer
from server.batching.batcher import Batcher
from server.engines.base import State
from server.errors import InputTooLong, InvalidValue, Unavailable


class Supervised(Protocol):
    """The properties of a supervised engine that tasks and routes read."""

    @property
    def state(self) -> State:
        """The engine's state."""

    @property
    def reason(self) -> str:
        """The reason, in a sentence, why the engine cannot run. Empty if it can run or would load for a request."""

    @property
    def pid(self) -> int | None:
        """The id of the engine's process; None without a process."""

    @property
    def cache_usage(self) -> float:
        """The share of the engine's cache that running rows hold, 0 to 1."""

    @property
    def cache_blocks(self) -> tuple[int, int] | None:
        """The positions of a cache block and the number of blocks; None while the engine has no such cache."""

    @property
    def honours(self) -> frozenset[str]:
        """The request parameters that the engine honours exactly."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model that is served."""

    card: ModelCard
    tokenizer: Tokenizer
    engine: Supervised
    batcher: Batcher[Any, Any, Any]
    engine_kind: str = ""
    """The name of the engine's kind, for people to read."""

    @property
    def id(self) -> str:
        """The name clients use."""
        return self.card.id

    def require_ready(self) -> None:
        """Refuse work for a model that will not be loaded.

        A model that loads, restarts or is unloaded takes work: rows wait in the queue until it is ready.

        Raises:
            Unavailable: the model has failed or is not served any longer.
        """
        if self.engine.state in ("failed", "closed"):
            raise Unavailable(self.engine.reason, 10.0)

    def require_fits(self, rows: Sequence[Sequence[Any]], field: str = "input") -> None:
        """Refuse inputs that are longer than the model reads. Callers check all inputs before they queue any.

        Raises:
            InputTooLong: an input is too long; the error names the first.
        """
        limit = self.card.context_length_tokens
        for index, row in enumerate(rows):
            if len(row) > limit:
                raise InputTooLong(len(row), limit, index, field)

    def require_ids(self, rows: Sequence[Sequence[int]], field: str) -> None:
        """Refuse ids outside the vocabulary, because they can kill an engine's process.

        Raises:
            InvalidValue: an id is outside the vocabulary; the error names the first.
        """
        size = self.tokenizer.vocab_size
        for row in rows:
            if row and not (min(row) >= 0 and max(row) < size):
                bad = next(token_id for token_id in row if not 0 <= token_id < size)
                raise InvalidValue(f"Token id {bad} is not in the vocabulary; ids are 0 to {size - 1}.", field)
