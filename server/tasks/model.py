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
    """What is asked of an engine besides running it."""

    @property
    def state(self) -> State:
        """Whether it can run."""

    @property
    def reason(self) -> str:
        """Why it cannot though it should, in a sentence; empty while it can, or would at the next request."""

    @property
    def pid(self) -> int | None:
        """Its process."""

    @property
    def cache_usage(self) -> float:
        """The share of its cache that running rows hold, 0 to 1."""

    @property
    def cache_blocks(self) -> tuple[int, int] | None:
        """Positions a block of its cache, and how many blocks; None while there is no such cache."""

    @property
    def honours(self) -> frozenset[str]:
        """Request parameters that it serves exactly."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model that is served."""

    card: ModelCard
    tokenizer: Tokenizer
    engine: Supervised
    batcher: Batcher[Any, Any, Any]
    engine_kind: str = ""
    """What its engine is, for people to read."""

    @property
    def id(self) -> str:
        """The name clients use."""
        return self.card.id

    def require_ready(self) -> None:
        """Refuse work for a model that will not be there.

        One that loads, restarts or is unloaded takes work: rows wait in the queue until it is there.

        Raises:
            Unavailable: it has failed or is not served any longer.
        """
        if self.engine.state in ("failed", "closed"):
            raise Unavailable(self.engine.reason, 10.0)

    def require_fits(self, rows: Sequence[Sequence[Any]], field: str = "input") -> None:
        """Refuse inputs that are longer than the model reads: all are checked before any is queued.

        Raises:
            InputTooLong: names the first such input.
        """
        limit = self.card.context_length_tokens
        for index, row in enumerate(rows):
            if len(row) > limit:
                raise InputTooLong(len(row), limit, index, field)

    def require_ids(self, rows: Sequence[Sequence[int]], field: str) -> None:
        """Refuse ids an engine must never see: outside the vocabulary, they can kill its process.

        Raises:
            InvalidValue: names the first such id.
        """
        size = self.tokenizer.vocab_size
        for row in rows:
            if row and not (min(row) >= 0 and max(row) < size):
                bad = next(token_id for token_id in row if not 0 <= token_id < size)
                raise InvalidValue(f"Token id {bad} is not in the vocabulary; ids are 0 to {size - 1}.", field)
