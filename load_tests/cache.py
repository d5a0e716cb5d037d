"""The step engine without a model: its own schedule over cache blocks that hold nothing.

``Blocks`` is what the schedule asks of the compiled core; ``Decode`` is one run of the engine's loop over it. It
knows no time: ``simulator`` says what a step costs.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from server.engines.base import Room
from server.engines.step.schedule import Live, Share, plan, room

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Cache:
    """How much the engine can hold, and how much it computes at once."""

    blocks: int
    """At least what the longest row fills by itself, as the core sees to."""
    budget_tokens: int
    """Prompt tokens of one step, beside a token of each decoding row."""
    block_tokens: int = 16


@dataclass(slots=True)
class Blocks:
    """A core of numbers: rows, numbered by age, hold as many blocks as they have computed tokens for."""

    available_blocks: int
    block_tokens: int = 4
    tokens: dict[int, int] = field(default_factory=dict)
    computed: dict[int, int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)
    preempted_rows: list[int] = field(default_factory=list)

    def open(self, row: int, tokens: int) -> None:
        """A row of which so many tokens are known and none is computed."""
        self.tokens[row], self.computed[row], self.held[row] = tokens, 0, 0

    def close(self, row: int) -> None:
        """Its blocks are free again."""
        self.available_blocks += self.held.pop(row)
        del self.tokens[row], self.computed[row]

    def pending(self, row: int) -> int:
        return self.tokens[row] - self.computed[row]

    def reserve(self, row: int, count: int) -> bool:
        wanted = max(0, -(-(self.computed[row] + count) // self.block_tokens) - self.held[row])
        if wanted > self.available_blocks:
            return False
        self.available_blocks -= wanted
        self.held[row] += wanted
        return True

    def preempt(self, row: int) -> None:
        assert row == max(each for each, held in self.held.items() if held), "a younger row keeps its blocks"
        self.available_blocks += self.held[row]
        self.held[row] = self.computed[row] = 0
        self.preempted_rows.append(row)

    def compute(self, share: Share) -> bool:
        """Compute a share; True when that makes the row's next token known."""
        row = share.live.row
        assert 1 <= share.count <= self.pending(row), "a row has fewer tokens to compute"
        self.computed[row] += share.count
        assert self.held[row] * self.block_tokens >= self.computed[row], "a row's blocks are not reserved"
        if self.pending(row) > 0:
            return False
        self.tokens[row] += 1
        return True


class Decode(Generic[RowT]):
    """Rows that decode together, join and leave at any step."""

    def __init__(self, cache: Cache, most_rows: int, key: Hashable = ()) -> None:
        self.key = key
        self.blocks = Blocks(cache.blocks, cache.block_tokens)
        self._cache = cache
        self._most_rows = most_rows
        self._live: list[Live] = []
        self._rows: dict[int, RowT] = {}
        self._shares: list[Share] = []
        self._given = 0

    def __len__(self) -> int:
        return len(self._live)

    def join(self, row: RowT, prompt_tokens: int, make_tokens: int) -> None:
        """Take a row on, the youngest now."""
        number = self._given
        self._given += 1
        self.blocks.open(number, prompt_tokens)
        self._live.append(Live(number, number, make_tokens, frozenset()))
        self._rows[number] = row

    def begin_step(self) -> list[int]:
        """Choose the next step's shares; the tokens of each."""
        decoding = sum(one.admitted and self.blocks.pending(one.row) == 1 for one in self._live)
        budget_tokens = decoding + self._cache.budget_tokens
        self._shares = plan(self._live, self.blocks, budget_tokens, self._cache.block_tokens)
        sizes = [share.count for share in self._shares]
        assert 1 <= sum(sizes) <= budget_tokens, "a step is over its budget"
        return sizes

    def end_step(self) -> list[RowT]:
        """Compute what was chosen; the rows that have made all their tokens, which leave."""
        for share in self._shares:
            share.live.left_tokens -= self.blocks.compute(share)
        ended = [one for one in self._live if one.left_tokens == 0]
        for one in ended:
            self.blocks.close(one.row)
        self._live = [one for one in self._live if one.left_tokens > 0]
        return [self._rows.pop(one.row) for one in ended]

    def room(self) -> Room:
        """The room for rows that could join now, by the engine's own rule."""
        return room(self._live, self.blocks, self._cache.block_tokens, self._most_rows)
