"""What is done next follows from the rows alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.jobs.plan import Step, claims, step_of
from server.store.batches import Batch

NONE = dict.fromkeys(
    [
        "ending",
        "model",
        "output_file_id",
        "error_file_id",
        "output_lives_s",
        "in_progress_at",
        "finalizing_at",
        "completed_at",
        "failed_at",
        "expired_at",
        "cancelling_at",
        "cancelled_at",
    ]
)
WORKING = Batch(
    number=1, id="b", owner="", endpoint="/v1/embeddings", input_file_id="f", status="in_progress",
    created_at=0, expires_at=100, total=10, completed=0, failed=0, leased=0, **NONE,
)  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "now", "step"),
    [
        ({"status": "validating", "total": 0}, 0, Step("validate")),
        ({"status": "validating", "total": 0}, 100, Step("write", "expired")),
        ({"status": "cancelling", "total": 0}, 0, Step("write", "cancelled")),
        ({}, 0, Step("work")),
        ({"completed": 7, "failed": 3}, 0, Step("write", "completed")),
        ({"completed": 7, "failed": 2, "leased": 1}, 0, Step("work")),
        ({"leased": 2}, 100, Step("stop")),
        ({"completed": 2}, 100, Step("write", "expired")),
        ({"status": "cancelling", "leased": 2}, 0, Step("stop")),
        ({"status": "cancelling", "completed": 2}, 200, Step("write", "cancelled")),
        ({"status": "finalizing", "ending": "expired"}, 0, Step("write", "expired")),
        ({"status": "cancelling", "ending": "cancelled"}, 0, Step("write", "cancelled")),
        ({"status": "finalizing", "ending": "completed", "completed": 10}, 200, Step("write", "completed")),
    ],
)
def test_the_next_step_follows_from_the_row(facts: dict[str, object], now: int, step: Step) -> None:
    assert step_of(replace(WORKING, **facts), now) == step  # type: ignore[arg-type]


def test_a_long_batch_keeps_no_other_waiting() -> None:
    long = replace(WORKING, total=1000, leased=60)
    short = replace(WORKING, number=2, total=3)
    late = replace(WORKING, number=3, total=100)
    assert claims([long, short, late], 0, 4) == {1: 0, 2: 2, 3: 2}
    assert claims([long, short, late], 0, 4, {2, 3}) == {1: 4}
    assert claims([replace(long, status="cancelling")], 0, 4) == {}


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6),
    st.integers(0, 64),
)
def test_free_places_are_filled_and_no_line_is_claimed_twice(sizes: list[tuple[int, int]], free: int) -> None:
    batches = [
        replace(WORKING, number=i, total=waiting + leased, leased=leased)
        for i, (waiting, leased) in enumerate(sizes)
        if waiting + leased
    ]
    made = claims(batches, 0, free)
    assert sum(made.values()) == min(free, sum(batch.waiting for batch in batches))
    for batch in batches:
        assert made.get(batch.number, 0) <= batch.waiting
