from pathlib import Path

import pytest

from load_tests.policies import POLICIES
from load_tests.simulator import Cost, Report, Scenario, Traffic, simulate
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


def padding(report: Report) -> float:
    return 1 - report.tokens / report.padded_tokens
