"""Which model folders the step engine serves, and why not the others.

Only headers are read: the answer costs milliseconds and no memory, so it can be asked before any weight is loaded.
"""

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType

NOT_COMPILED = (
    "the step engine was not compiled when the project was installed (it wants a C++20 compiler and CMake); "
    "install again with them to have it"
)


def core() -> ModuleType | None:
    """The compiled part, or None where the installation has none."""
    try:
        return import_module("server.engines.step._core")
    except ImportError:
        return None


def epsilon(folder: str | Path) -> float:
    """The model's norm epsilon; below 0 stands for the format's default.

    Raises:
        ValueError: config.json is not a JSON object, or the value is not a number.
    """
    value = _config(Path(folder)).get("layer_norm_epsilon")
    if value is None:
        return -1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError("config.json: layer_norm_epsilon is not a small number")
    return float(value)


def supports(folder: str | Path) -> str | None:
    """None when the step engine serves this model; otherwise the reason, for people to read."""
    compiled = core()
    if compiled is None:
        return NOT_COMPILED
    folder = Path(folder)
    try:
        if _config(folder).get("quantization_type"):
            return "it is quantized in a way other than CTranslate2's own (quantization_type in config.json)"
        facts = compiled.inspect(str(folder / "model.bin"), epsilon(folder))
        entries = json.loads((folder / "vocabulary.json").read_text("utf-8"))
    except (ValueError, OSError) as error:
        return str(error)
    if len(entries) != facts["vocabulary"]:
        return f"vocabulary.json has {len(entries)} entries and the model {facts['vocabulary']} embeddings"
    return None


def positions(folder: str | Path) -> int | None:
    """How many learned positions the model has; None when its positions have no end."""
    compiled = core()
    if compiled is None:
        return None
    count: int = compiled.inspect(str(Path(folder) / "model.bin"), epsilon(folder))["positions"]
    return count or None


def _config(folder: Path) -> dict[str, object]:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if not isinstance(config, dict):
        raise ValueError("config.json is not an object")
    return config
