"""What the machine tells of itself: memory of processes, energy of processors. Linux only; elsewhere it is silent."""

import os
from collections.abc import Iterator
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


def resident_bytes(pid: int | None) -> int:
    """The memory a process holds, 0 when there is none or no way to tell. Pages that several processes share (the
    interpreter's, the libraries') count in part for each, where the kernel says so, so that a sum is true."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def energy_joules(root: Path = POWERCAP) -> Iterator[tuple[str, float]]:
    """Each processor package's energy counter, where the kernel shows it and we may read it."""
    for zone in sorted(root.glob("intel-rapl:[0-9]*")):
        if zone.name.count(":") > 1:  # a part of a package, counted there already
            continue
        try:
            yield zone.name.removeprefix("intel-"), int((zone / "energy_uj").read_text()) / 1e6
        except (OSError, ValueError):
            continue
