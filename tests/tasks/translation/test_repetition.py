"""The server finds runaway repetition and keeps one occurrence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tasks.translation.quality import Loop, cut_loops, find_loop


@pytest.mark.parametrize(
    ("items", "loop"),
    [
        ("abc" * 5, Loop(0, 3, 15)),
        ("xyz" + "ab" * 6, Loop(3, 2, 15)),
        ("xyz" + "ab" * 6 + "a", Loop(3, 2, 16)),
        ("a" * 10, Loop(0, 1, 10)),
        ("one two " * 3, None),
        ("no, no, no, no", None),
        ("a" * 9, None),
        ("the cat sat on the mat and the dog sat on the cat", None),
        ("", None),
    ],
)
def test_a_loop_is_said_four_times_and_is_ten_items_long(items: str, loop: Loop | None) -> None:
    assert find_loop(items) == loop


@given(
    head=st.lists(st.integers(100, 999), unique=True, max_size=10), period=st.integers(1, 24), times=st.integers(4, 8)
)
def test_the_loop_that_was_put_in_is_cut_out(head: list[int], period: int, times: int) -> None:
    said = list(range(period))
    if period * times >= 10:
        assert cut_loops([*head, *said * times, *said[: period // 2]]) == head + said


@given(items=st.lists(st.integers(0, 3), max_size=60))
def test_what_is_left_has_no_loop_and_no_new_items(items: list[int]) -> None:
    left = cut_loops(items)
    assert find_loop(left) is None
    assert len(left) == len(items) if find_loop(items) is None else len(left) < len(items)
    assert set(left) == set(items)


def test_what_follows_a_loop_stays() -> None:
    assert "".join(cut_loops("so " + "ha " * 8 + "it goes on")) == "so ha it goes on"


def test_a_source_that_loops_may_be_translated_as_it_is() -> None:
    assert cut_loops("la" * 10, "na" * 10) == list("la" * 10)
    assert cut_loops("la" * 10, "nothing") == list("la")
