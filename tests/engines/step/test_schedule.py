"""Who goes in a step, with a core of numbers only."""

from dataclasses import dataclass, field

from server.engines.step.schedule import Live, plan


@dataclass
class Core:
    """Blocks of four tokens; rows that hold as many as they have computed."""

    available_blocks: int
    tokens: dict[int, int] = field(default_factory=dict)
    computed: dict[int, int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)
    set_back_rows: list[int] = field(default_factory=list)

    def add(self, row: int, tokens: int, computed: int = 0) -> Live:
        self.tokens[row], self.computed[row] = tokens, computed
        self.held[row] = 0
        if computed:
            assert self.reserve(row, 0)
        return Live(row, row, 100, frozenset(), admitted=computed > 0)

    def pending(self, row: int) -> int:
        return self.tokens[row] - self.computed[row]

    def reserve(self, row: int, count: int) -> bool:
        wanted = -(-(self.computed[row] + count) // 4) - self.held[row]
        if wanted > self.available_blocks:
            return False
        self.available_blocks -= max(0, wanted)
        self.held[row] += max(0, wanted)
        return True

    def set_back(self, row: int) -> None:
        self.available_blocks += self.held[row]
        self.held[row] = self.computed[row] = 0
        self.set_back_rows.append(row)


def counts(shares: object) -> dict[int, int]:
    return {share.live.row: share.count for share in shares}  # type: ignore[attr-defined]


def test_decoding_rows_all_go_and_prompts_share_the_rest_oldest_first() -> None:
    core = Core(100)
    rows = [core.add(0, 9, 8), core.add(1, 30), core.add(2, 9, 8), core.add(3, 30)]
    assert counts(plan(rows, core, 42, 4)) == {0: 1, 1: 30, 2: 1, 3: 10}


def test_a_prompt_moves_even_when_decoding_fills_the_budget() -> None:
    core = Core(100)
    rows = [core.add(0, 9, 8), core.add(1, 9, 8), core.add(2, 30)]
    assert counts(plan(rows, core, 2, 4)) == {0: 1, 1: 1, 2: 1}


def test_the_youngest_is_set_back_when_blocks_run_out() -> None:
    core = Core(6)
    rows = [core.add(0, 9, 8), core.add(1, 9, 8), core.add(2, 9, 8)]
    assert core.available_blocks == 0
    assert counts(plan(rows, core, 10, 4)) == {0: 1, 1: 1}
    assert core.set_back_rows == [2]
    assert [live.admitted for live in rows] == [True, True, False]


def test_a_row_that_was_set_back_waits_until_it_fits_beside_the_others() -> None:
    core = Core(6)
    rows = [core.add(0, 9, 8), core.add(1, 9, 8), core.add(2, 9)]
    assert counts(plan(rows, core, 100, 4)) == {0: 1, 1: 1}
    assert core.set_back_rows == []


def test_the_oldest_gets_everything_it_needs() -> None:
    core = Core(6)
    rows = [core.add(0, 24), core.add(1, 9, 8), core.add(2, 9, 8)]
    assert counts(plan(rows, core, 100, 4)) == {0: 24}
    assert core.set_back_rows == [2, 1]
