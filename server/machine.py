"""Facts of the machine: the memory of processes, the energy of processors, and features that a server misses here."""

import importlib.util
import os
import platform
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

POWERCAP = Path("/sys/class/powercap")


def why_not_served() -> str | None:
    """Why no server can run here, for the person who starts it; None where one can."""
    if platform.system() != "Windows":
        return None
    return (
        "a server needs Linux or macOS: engines are handed their pipes as POSIX file descriptors. "
        "On Windows it runs in WSL 2 or in a container."
    )


def lacks() -> Iterator[str]:
    """The features that a server does without on this machine, a sentence each; on Linux there are none."""
    if not hasattr(os, "sched_getaffinity"):
        yield "This process's affinity is not known: every core of the machine counts, unless `cores` is set."
    if importlib.util.find_spec("resource") is None:
        yield "The limit on open files is neither known nor raised: `max_connections` is used as it is set."
    if not hasattr(signal, "SIGHUP"):
        yield "There is no SIGHUP: changed keys in `api_keys_file` are read at the next start."


def resident_bytes(pid: int | None) -> int:
    """The memory that a process holds; 0 when there is no such process or its memory may not be read.

    Pages that several processes share (the interpreter's, the libraries') count in part for each where the kernel says
    so (Linux), so that the sum over processes is true. Elsewhere each counts them whole.
    """
    if pid is None:
        return 0
    try:
        process = psutil.Process(pid)
        try:
            shared_once = getattr(process.memory_full_info(), "pss", 0)
        except psutil.AccessDenied:
            shared_once = 0
        return int(shared_once or process.memory_info().rss)
    except psutil.Error:
        return 0


def energy_joules(root: Path = POWERCAP) -> Iterator[tuple[str, float]]:
    """The energy counters of the processor packages, if the kernel shows them and this process may read them."""
    for zone in sorted(root.glob("intel-rapl:[0-9]*")):
        if zone.name.count(":") > 1:  # a part of a package, counted there already
            continue
        try:
            yield zone.name.removeprefix("intel-"), int((zone / "energy_uj").read_text()) / 1e6
        except (OSError, ValueError):
            continue
