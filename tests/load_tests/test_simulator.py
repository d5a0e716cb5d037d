from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_tests.cache import Cache
from load_tests.policies import POLICIES
from load_tests.scenario import Cost, Scenario, Traffic
from load_tests.simulator import Report, simulate
from server.batching.policy import Limits

SCENARIOS = Path(__file__).parents[2] / "load_tests" / "scenarios" / "simulated"
COST = Cost(fixed_s=0.001, token_s=0.0001)


def scenario(*traffic: Traffic, **fields: object) -> Scenario:
    values = {"seconds": 20.0, "limits": Limits(rows=8, tokens=1000), "cost": COST, "lanes": 2}
    return Scenario(traffic=traffic, **(values | fields))  # type: ignore[arg-type]


def a_list(**fields: object) -> Traffic:
    values = {"rate_per_s": 1e6, "requests": 1, "rows": (2000, 2000), "tokens": (5, 60)}
    return Traffic("list", **(values | fields))  # type: ignore[arg-type]


def singles(**fields: object) -> Traffic:
    values = {"rate_per_s": 4.0, "begin_s": 0.05, "tokens": (5, 90)}
    return Traffic("single", **(values | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("file", sorted(SCENARIOS.glob("*.toml")), ids=lambda file: file.stem)
def test_the_same_scenario_gives_the_same_numbers(file: Path) -> None:
    values = Scenario.read(file)
    short = Scenario(**{name: getattr(values, name) for name in Scenario.__slots__} | {"seconds": 3.0})
    first, second = simulate(short), simulate(short)
    assert list(first.lines()) == list(second.lines())
    assert first.rows_per_s > 0


@pytest.mark.parametrize("name", POLICIES)
def test_no_lane_is_free_while_a_row_waits(name: str) -> None:
    report = simulate(scenario(a_list(), singles(keys=("", "other"))), POLICIES[name])
    assert report.idle_beside_work_s == 0
    assert report.kinds["list"].requests == 1


def test_a_single_text_beside_a_list_waits_a_batch_or_two() -> None:
    report = simulate(scenario(a_list(), singles()))
    assert report.kinds["single"].requests > 50
    assert max(report.kinds["single"].batches_waited) <= 2


def test_a_single_text_of_another_key_waits_a_batch_or_two() -> None:
    report = simulate(scenario(a_list(keys=("a",)), singles(keys=("b",))))
    assert max(report.kinds["single"].batches_waited) <= 2


def test_every_key_and_length_is_served_beside_a_flood_of_others() -> None:
    flood = Traffic("flood", clients=100, tokens=(10, 12))
    odd = Traffic("odd", clients=1, tokens=(200, 200), keys=("odd",))
    report = simulate(scenario(flood, odd))
    assert report.kinds["odd"].requests > 20
    # As many turns as there are others before it, but each turn serves a batch of them.
    assert max(report.kinds["odd"].batches_waited) <= 100 / 8 + 2


def test_lengths_that_go_together_save_padding_and_time() -> None:
    traffic = Traffic("mixed", clients=32, tokens=(5, 70))
    cost = Cost(fixed_s=0.0005, token_s=70e-6, padded_token_s=21e-6)
    by_length, dealt = (
        simulate(scenario(traffic, cost=cost), POLICIES[name]) for name in ("server", "turns-without-lengths")
    )
    assert padding(by_length) < 0.7 * padding(dealt)
    assert by_length.rows_per_s > 1.05 * dealt.rows_per_s


def test_rows_join_a_decode_at_its_next_step() -> None:
    chat = Traffic("chat", clients=8, tokens=(20, 20), steps=(1000, 1000))
    late = Traffic("late", rate_per_s=1.0, tokens=(20, 20), steps=(1, 1))
    report = simulate(scenario(chat, late, refill=True, lanes=1, limits=Limits(rows=16, tokens=10_000)))
    longest_step_s = COST.of([1] * 8 + [20])
    assert report.kinds["late"].requests > 5
    assert max(report.kinds["late"].waits_s) <= longest_step_s


def decoding(*traffic: Traffic, cache: Cache, **fields: object) -> Report:
    """On the step engine's own schedule, which also refuses a step over its budget (``load_tests.cache``)."""
    limits = Limits(rows=16, tokens=10_000)
    return simulate(scenario(*traffic, refill=True, lanes=1, limits=limits, cache=cache, **fields))


def test_with_a_full_cache_the_youngest_are_preempted_and_every_row_still_ends() -> None:
    many = Traffic("many", rate_per_s=1e6, requests=60, tokens=(20, 100), steps=(100, 200))
    report = decoding(many, cache=Cache(blocks=40, budget_tokens=64), seconds=1e6)
    assert report.preemptions > 10
    assert report.kinds["many"].requests == 60


def test_with_room_for_all_nobody_is_preempted() -> None:
    many = Traffic("many", rate_per_s=1e6, requests=60, tokens=(20, 100), steps=(100, 200))
    report = decoding(many, cache=Cache(blocks=16 * 19, budget_tokens=64), seconds=1e6)
    assert report.preemptions == 0
    assert report.kinds["many"].requests == 60


def test_a_row_that_needs_the_whole_cache_is_not_starved_by_a_stream_of_small_ones() -> None:
    small = Traffic("small", clients=64, tokens=(10, 40), steps=(5, 60))
    large = Traffic("large", clients=1, tokens=(600, 600), steps=(30, 30))
    report = decoding(small, large, cache=Cache(blocks=40, budget_tokens=64))
    alone = decoding(large, cache=Cache(blocks=40, budget_tokens=64))
    assert report.kinds["large"].requests >= alone.kinds["large"].requests / 20
    assert report.kinds["small"].requests > 500


sizes = st.tuples(st.integers(1, 120), st.integers(1, 120)).map(lambda pair: (min(pair), max(pair)))


@given(
    st.lists(st.tuples(sizes, sizes, st.sampled_from([("a",), ("a", "b")])), min_size=1, max_size=3),
    st.integers(240 // 16, 60),
    st.integers(1, 200),
    st.integers(0, 5),
)
def test_whatever_comes_through_the_line_every_row_makes_its_tokens(
    kinds: list[tuple[tuple[int, int], tuple[int, int], tuple[str, ...]]], blocks: int, budget: int, seed: int
) -> None:
    traffic = [
        Traffic(str(i), rate_per_s=100.0, requests=6, rows=(1, 2), tokens=tokens, steps=steps, keys=keys)
        for i, (tokens, steps, keys) in enumerate(kinds)
    ]
    report = decoding(*traffic, cache=Cache(blocks, budget), seconds=1e6, seed=seed)
    assert [seen.requests for seen in report.kinds.values()] == [6] * len(kinds)


def padding(report: Report) -> float:
    return 1 - report.tokens / report.padded_tokens
