"""The facts that the server reads about its machine."""

import os
from pathlib import Path

from server.machine import energy_joules, resident_bytes


def test_the_memory_of_this_process_is_told() -> None:
    assert resident_bytes(os.getpid()) > 1_000_000


def test_no_process_has_no_memory() -> None:
    assert resident_bytes(None) == 0


def test_packages_are_told_and_their_parts_are_not(tmp_path: Path) -> None:
    for name, microjoules in {"intel-rapl:0": 2_500_000, "intel-rapl:1": 1_000_000, "intel-rapl:0:0": 9}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{microjoules}\n")
    (tmp_path / "intel-rapl:2").mkdir()  # one we may not read
    assert dict(energy_joules(tmp_path)) == {"rapl:0": 2.5, "rapl:1": 1.0}
