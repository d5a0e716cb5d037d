"""Model folders with faults that a checksum does not show: their manifests have matching checksums."""

import hashlib
import re
import shutil
import struct
from pathlib import Path

import numpy as np

WEIGHTS = Path(__file__).parents[1] / "models" / "weights"


def copied(name: str, root: Path) -> Path:
    """A copy of a shipped model's folder."""
    return Path(shutil.copytree(WEIGHTS / name, root / name))


def damage(folder: Path, name: str) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)


def fill(folder: Path, variable: str, value: float) -> None:
    """Set all values of a float32 variable and state the new checksum in the manifest."""
    file = folder / "model.bin"
    content = bytearray(file.read_bytes())
    at, size = _find(content, variable)
    content[at : at + size] = np.full(size // 4, value, "<f4").tobytes()
    file.write_bytes(content)
    state(folder, "model.bin")


def state(folder: Path, name: str) -> None:
    """Write a file's checksum into the manifest."""
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    manifest = folder / "model.toml"
    pattern = rf'("?{re.escape(name)}"? = )"[0-9a-f]{{64}}"'
    text, times = re.subn(pattern, rf'\g<1>"{digest}"', manifest.read_text("utf-8"))
    assert times == 1
    manifest.write_text(text, "utf-8")


def _find(content: bytearray, variable: str) -> tuple[int, int]:
    """Where the bytes of a float32 variable begin, and how many they are."""
    name = struct.pack("<H", len(variable) + 1) + variable.encode() + b"\0"
    at = content.index(name) + len(name)
    rank = content[at]
    kind, size = struct.unpack_from("<BI", content, at + 1 + 4 * rank)
    assert kind == 0
    return at + 1 + 4 * rank + 5, size
