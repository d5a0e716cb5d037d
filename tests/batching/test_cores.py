import os
import threading
from pathlib import Path

import pytest

from server.batching.cores import CoreBudget, usable_cores

ALL = len(os.sched_getaffinity(0))


def cgroup(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_max", ".max")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_without_a_quota_affinity_says_how_many(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == ALL
    assert usable_cores(cgroup(tmp_path, cpu_max="max 100000\n")) == ALL


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("150000", 1), ("20000", 1)])
def test_a_quota_is_respected_and_never_gives_less_than_one(tmp_path: Path, quota: str, cores: int) -> None:
    assert usable_cores(cgroup(tmp_path, cpu_max=f"{quota} 100000\n")) == cores


def test_the_older_kind_of_cgroup_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == 1


def waiter(budget: CoreBudget, cores: int, name: str, order: list[str]) -> threading.Thread:
    """A thread in the queue for cores; it notes when it got them."""

    def run() -> None:
        budget.acquire(cores)
        order.append(name)
        budget.release(cores)

    before = len(budget.queue)
    thread = threading.Thread(target=run)
    thread.start()
    while len(budget.queue) == before:
        pass
    return thread


def test_cores_are_granted_in_the_order_of_asking() -> None:
    """A batch that wants all cores is not overtaken for ever by batches that want one."""
    budget, order = CoreBudget(2), list[str]()
    budget.acquire(1)
    threads = [waiter(budget, cores, name, order) for cores, name in ((2, "wide"), (1, "narrow"))]
    assert order == []
    budget.release(1)
    for thread in threads:
        thread.join(10)
    assert order == ["wide", "narrow"]


def test_more_than_the_machine_has_counts_as_all_of_it() -> None:
    budget, order = CoreBudget(2), list[str]()
    asked = budget.grant(16)
    taken = threading.Thread(target=asked.__enter__, daemon=True)
    taken.start()
    taken.join(10)
    assert not taken.is_alive(), "it waits for cores that there are not"
    other = waiter(budget, 1, "other", order)
    assert order == [], "there are cores that it has not taken"
    asked.__exit__(None, None, None)
    other.join(10)
    assert order == ["other"]


def test_giving_way_lets_those_in_line_go_first() -> None:
    budget, order = CoreBudget(1), list[str]()
    with budget.grant(1) as grant:
        assert not grant.contended
        thread = waiter(budget, 1, "short", order)
        assert grant.contended
        grant.give_way()
        order.append("long")
    thread.join(10)
    assert order == ["short", "long"]


def test_cores_come_back_when_a_batch_fails() -> None:
    budget = CoreBudget(1)
    with pytest.raises(RuntimeError), budget.grant(1):
        raise RuntimeError
    again = threading.Thread(target=budget.acquire, args=(1,), daemon=True)
    again.start()
    again.join(10)
    assert not again.is_alive(), "the core has not come back"
