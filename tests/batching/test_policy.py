from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from server.batching.policy import Limits, refill, take, turns
from server.engines.base import Room


@dataclass(frozen=True)
class W:
    tokens: int = 1
    key: str = "a"
    background: bool = False


ROOMY = Limits(rows=8, tokens=1000)

queues = st.lists(
    st.lists(st.builds(W, st.integers(1, 50), st.sampled_from("abc")), min_size=1, max_size=6), min_size=1, max_size=8
)
limits = st.builds(Limits, st.integers(1, 8), st.integers(1, 200), st.none() | st.integers(0, 20))


def test_an_empty_line_gives_an_empty_batch() -> None:
    assert take([], ROOMY) == []


@given(queues, limits)
def test_the_first_row_in_turn_always_goes(queue: list[list[W]], limit: Limits) -> None:
    assert take(queue, limit)[0] == (0, 0)


@given(queues, limits)
def test_a_batch_keeps_every_limit(queue: list[list[W]], limit: Limits) -> None:
    picks = take(queue, limit)
    rows = [queue[j][i] for j, i in picks]
    sizes = [row.tokens for row in rows]
    assert len(set(picks)) == len(picks) <= limit.rows
    assert len({row.key for row in rows}) == 1
    if len(rows) > 1:
        assert max(sizes) * len(rows) <= limit.tokens
        assert limit.length_tolerance is None or max(sizes) - min(sizes) <= limit.length_tolerance


@given(queues, limits)
def test_the_policy_is_work_conserving(queue: list[list[W]], limit: Limits) -> None:
    """No row is left behind that would still have fitted."""
    picks = take(queue, limit)
    sizes = [queue[j][i].tokens for j, i in picks]
    if len(picks) == limit.rows:
        return
    for j, job in enumerate(queue):
        for i, row in enumerate(job):
            if (j, i) in picks or row.key != queue[0][0].key:
                continue
            low, high = min(*sizes, row.tokens), max(*sizes, row.tokens)
            fits_tokens = high * (len(picks) + 1) <= limit.tokens
            fits_lengths = limit.length_tolerance is None or high - low <= limit.length_tolerance
            assert not (fits_tokens and fits_lengths)


def test_a_long_list_does_not_make_a_single_text_wait() -> None:
    assert (1, 0) in take([[W()] * 100, [W()]], ROOMY)


def test_a_row_that_does_not_fit_is_passed_over() -> None:
    assert take([[W(10)], [W(900)], [W(10)]], ROOMY) == [(0, 0), (2, 0)]


def test_rows_near_in_length_to_the_first_go_with_it() -> None:
    queue = [[W(10)], *([W(50)] for _ in range(10)), *([W(11)] for _ in range(7))]
    assert {queue[j][i].tokens for j, i in take(queue, ROOMY)} == {10, 11}


@given(queues, limits)
def test_who_was_served_goes_behind_those_who_were_not(queue: list[list[W]], limit: Limits) -> None:
    picks = take(queue, limit)
    served = {j for j, _ in picks}
    left = [j for j, job in enumerate(queue) if any((j, i) not in picks for i in range(len(job)))]
    assert turns(queue, picks) == [j for j in left if j not in served] + [j for j in left if j in served]


def test_one_key_cannot_starve_another() -> None:
    """However many rows of another key keep coming, the oldest row's batch comes within the rows before it."""
    queue = [[W(key="a")] for _ in range(20)] + [[W(key="b")]]
    batches = 0
    while True:
        batches += 1
        picks = take(queue, ROOMY)
        if queue[picks[0][0]][0].key == "b":
            break
        queue = [job for j, job in enumerate(queue) if (j, 0) not in picks] + [[W(key="a")] for _ in range(8)]
    assert batches == 4


@given(queues, st.integers(0, 8), st.integers(0, 200))
def test_joining_rows_keep_to_the_room_and_to_the_order(queue: list[list[W]], rows: int, tokens: int) -> None:
    picks = refill(queue, "a", Room(rows, tokens))
    assert len(picks) <= rows
    assert sum(queue[j][i].tokens for j, i in picks) <= tokens
    assert all(queue[j][i].key == "a" for j, i in picks)
    if picks:
        assert picks[0] == (0, 0)


def test_a_row_without_room_is_not_overtaken_by_joining_rows() -> None:
    assert refill([[W(50)], [W(1)]], "a", Room(rows=4, tokens=20)) == []


def behind(*tokens: int, key: str = "a") -> list[W]:
    return [W(each, key, background=True) for each in tokens]


def test_background_rows_come_after_all_others_and_leave_a_seat() -> None:
    queue = [behind(1, 1, 1, 1, 1, 1, 1, 1, 1), [W(), W()], behind(1)]
    assert take(queue, ROOMY) == [(1, 0), (1, 1), (0, 0), (2, 0), (0, 1), (0, 2), (0, 3)]
    assert len(take([behind(*[1] * 20)], ROOMY)) == 7
    assert len(take([[W()] * 20], ROOMY)) == 8
    assert len(take([behind(1)], Limits(rows=1, tokens=10))) == 1


def test_background_rows_near_in_length_do_not_displace_others() -> None:
    queue = [[W(5)], behind(5, 5, 5, 5), [W(40)], [W(50)]]
    assert take(queue, Limits(rows=3, tokens=1000)) == [(0, 0), (2, 0), (3, 0)]


def test_background_rows_join_a_running_batch_only_where_seats_are_left() -> None:
    queue = [behind(1, 1, 1), [W(), W()]]
    assert refill(queue, "a", Room(4, 100), 1) == [(1, 0), (1, 1), (0, 0)]
    assert refill([behind(1, 1, 1)], "a", Room(1, 100), 1) == []
    assert refill([[W()]], "a", Room(1, 100), 1) == [(0, 0)]


def test_a_background_row_that_does_not_fit_holds_up_no_other() -> None:
    assert refill([behind(90), [W(5)]], "a", Room(4, 50), 1) == [(1, 0)]


def test_free_seats_are_filled_with_background_rows_of_the_same_key() -> None:
    assert take([[W(key="b")], behind(1, key="a"), behind(1, key="b")], ROOMY) == [(0, 0), (2, 0)]


def test_the_key_of_a_batch_is_never_that_of_background_rows_while_others_wait() -> None:
    assert take([behind(1, key="b"), [W(key="a")]], ROOMY) == [(1, 0)]
