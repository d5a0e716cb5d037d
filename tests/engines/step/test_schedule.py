"""Who goes in a step, with a core of numbers only."""

from hypothesis import given
from hypothesis import strategies as st

from load_tests.cache import Blocks
from server.engines.step.schedule import Live, plan


class Core(Blocks):
    """Blocks of four tokens; ``add`` opens a row that has computed so many."""

    def add(self, row: int, tokens: int, computed: int = 0) -> Live:
        self.open(row, tokens)
        self.computed[row] = computed
        assert self.reserve(row, 0)
        return Live(row, row, 100, frozenset(), admitted=computed > 0)


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


def test_the_youngest_is_preempted_when_blocks_run_out() -> None:
    core = Core(6)
    rows = [core.add(0, 9, 8), core.add(1, 9, 8), core.add(2, 9, 8)]
    assert core.available_blocks == 0
    assert counts(plan(rows, core, 10, 4)) == {0: 1, 1: 1}
    assert core.preempted_rows == [2]
    assert [live.admitted for live in rows] == [True, True, False]


def test_a_row_that_was_preempted_waits_until_it_fits_beside_the_others() -> None:
    core = Core(6)
    rows = [core.add(0, 9, 8), core.add(1, 9, 8), core.add(2, 9)]
    assert counts(plan(rows, core, 100, 4)) == {0: 1, 1: 1}
    assert core.preempted_rows == []


def test_the_oldest_gets_everything_it_needs() -> None:
    core = Core(6)
    rows = [core.add(0, 24), core.add(1, 9, 8), core.add(2, 9, 8)]
    assert counts(plan(rows, core, 100, 4)) == {0: 24}
    assert core.preempted_rows == [2, 1]


CONTEXT_TOKENS = 48
wishes = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 8), st.integers(0, 30)), min_size=1, max_size=10
)  # prompt tokens, tokens to make, the step it comes at


@given(wishes, st.integers(CONTEXT_TOKENS // 4, 30), st.integers(1, 64))
def test_whatever_comes_no_step_is_over_budget_and_every_row_ends(
    wished: list[tuple[int, int, int]], blocks: int, budget_tokens: int
) -> None:
    """With room for little more than one context, rows are preempted and computed again; all make their tokens."""
    core = Core(blocks)
    coming = sorted(wished, key=lambda wish: wish[2])
    wanted = [most for _, most, _ in coming]
    made = [0] * len(wanted)
    rows: list[Live] = []
    for step in range(2000):
        while coming and coming[0][2] <= step:
            prompt, most, _ = coming.pop(0)
            rows.append(core.add(len(wanted) - len(coming) - 1, prompt))
            rows[-1].left_tokens = most
        if not rows:
            continue
        oldest = rows[0]
        before = (made[oldest.row], core.computed[oldest.row])
        decoding = sum(live.admitted and core.pending(live.row) == 1 for live in rows)
        shares = plan(rows, core, budget_tokens, 4)
        assert 1 <= sum(share.count for share in shares) <= max(budget_tokens, decoding + 1)
        assert core.available_blocks + sum(core.held.values()) == blocks
        for share in shares:
            row = share.live.row
            assert 1 <= share.count <= core.pending(row)
            assert core.held[row] * 4 >= core.computed[row] + share.count
            core.computed[row] += share.count
            if core.pending(row) == 0:
                core.tokens[row] += 1
                made[row] += 1
                share.live.left_tokens -= 1
        assert (made[oldest.row], core.computed[oldest.row]) > before, "the oldest row stands still"
        for live in [live for live in rows if live.left_tokens == 0]:
            core.close(live.row)
            rows.remove(live)
    assert made == wanted, "a row did not come to its end"


def test_background_rows_compute_nothing_while_another_row_reads_its_prompt() -> None:
    core = Core(100)
    ahead, behind = core.add(1, 30), core.add(0, 9, 8)
    behind.background = True
    assert counts(plan([ahead, behind], core, 20, 4)) == {1: 20}
    core.computed[1] = 29
    assert counts(plan([ahead, behind], core, 20, 4)) == {1: 1, 0: 1}


def test_a_background_row_is_preempted_for_a_younger_row_that_is_none() -> None:
    core = Core(3)
    behind, ahead = core.add(0, 9, 8), core.add(1, 5)
    behind.background = True
    assert core.available_blocks < 2
    assert counts(plan([ahead, behind], core, 20, 4)) == {1: 5}
    assert not behind.admitted
