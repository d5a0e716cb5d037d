"""The facts of the machine that every result states."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from server.batching.cores import usable_cores


def describe() -> str:
    """Processor, cores, system and the versions that matter, in a line."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("ctranslate2", "fastapi", "uvicorn"))
    load = os.getloadavg()[0]
    return (
        f"{_processor()}, {usable_cores()} cores; {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {versions}; load {load:.1f} at the start"
    )


def _processor() -> str:
    """Linux names it in /proc; elsewhere the platform's own name has to do."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
