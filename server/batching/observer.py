"""Who is told what the batcher does."""

from typing import Protocol


class Observer(Protocol):
    """Who is told of batches; called on lane threads, must not block."""

    def batch(self, rows: int, tokens: int, padding_ratio: float) -> None:
        """A batch begins; ``padding_ratio`` is the share of its tokens that only fill rows up."""
