"""What the machine tells of itself: memory of processes, energy of processors; and what it cannot do for a server."""

import importlib.util
import os
import platform
import signal
from collections.abc import Iterator
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
PROC = Path("/proc")


def why_not_served() -> str | None:
    """Why no server can run here, for the person who starts it; None where one can."""
    if platform.system() != "Windows":
        return None
    return (
        "a server needs Linux or macOS: engines are handed their pipes as POSIX file descriptors. "
        "On Windows it runs in WSL 2 or in a container."
    )


def lacks() -> Iterator[str]:
    """What a server does without on this machine, a sentence each; on Linux nothing."""
    if not (PROC / "self" / "statm").exists():
        yield (
            "The memory of models is not measured: there is no /proc. memory_mb goes by the size of their files, "
            "and hearth_model_memory_bytes is 0."
        )
    if not hasattr(os, "sched_getaffinity"):
        yield "This process's affinity is not known: every core of the machine counts, unless cores says less."
    if importlib.util.find_spec("resource") is None:
        yield "The limit on open files is neither known nor raised: max_connections is taken as it stands."
    if not hasattr(signal, "SIGHUP"):
        yield "There is no SIGHUP: keys in api_keys_file that change are read at the next start."


def resident_bytes(pid: int | None) -> int:
    """The memory a process holds, 0 when there is none or no way to tell. Pages that several processes share (the
    interpreter's, the libraries') count in part for each, where the kernel says so, so that a sum is true."""
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        pages = int((PROC / str(pid) / "statm").read_text().split()[1])
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
