"""``hearth list``, ``show`` and ``doctor`` say which models are served and could be; ``hearth key`` makes a key."""

import hashlib
import json
import platform
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server import machine
from server.cli.client import Client
from server.settings import Settings

COLUMNS = ("id", "task", "state", "memory", "quantization", "context", "engine", "knows", "license")
KNOWS_CHARACTERS = 32
KEY_PREFIX = "sk-hearth-"
KEY_BYTES = 32
"""Random bytes of a key: so many that nobody guesses them, and a plain SHA-256 keeps them."""


def list_models(as_json: bool, url: str, api_key: str) -> int:
    """List the models of a running server."""
    with Client(url, api_key) as client:
        models = client.call("GET", "/v1/models")["data"]
    if as_json:
        print(json.dumps(models, ensure_ascii=False, indent=2))
        return 0
    rows = [COLUMNS, *map(_row, _grouped(models))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _grouped(models: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The models, with the two directions of a pair of languages as one: ``firefox-en-pt``, ``firefox-pt-en``."""
    left = {model["id"]: model for model in models}
    found = []
    for model in models:
        if left.pop(model["id"], None) is None:
            continue
        back = left.pop(_way_back(model), None)
        found.append(model if back is None else _both(model, back))
    return found


def _way_back(model: dict[str, Any]) -> str:
    """The id of the model for the other direction; empty where the model is not one of a direction."""
    if model["task"] != "translation" or len(model["languages"]) != 2 or model["root"] != model["id"]:
        return ""
    a, b = model["languages"]
    return model["id"].replace(f"{a}-{b}", f"{b}-{a}") if f"{a}-{b}" in model["id"] else ""


def _both(model: dict[str, Any], back: dict[str, Any]) -> dict[str, Any]:
    states = dict.fromkeys((model["state"], back["state"]))
    names = f"{model['id']}, {back['id']}"
    memory = model["memory_bytes"] + back["memory_bytes"]
    return {**model, "id": names, "root": names, "state": ", ".join(states), "memory_bytes": memory}


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    """The cells of one model."""
    is_alias = model["root"] != model["id"]
    return (
        f"{model['id']} = {model['root']}" if is_alias else model["id"],
        model["task"],
        model["state"],
        f"{model['memory_bytes'] / 1e6:.0f} MB" if model["memory_bytes"] else "-",
        model["quantization"],
        str(model["context_length"]),
        model["engine"] or "-",
        _short(" ".join(model["languages"] or [label for head in model["labels"].values() for label in head]) or "-"),
        model["license"],
    )


def _short(text: str) -> str:
    return text if len(text) <= KNOWS_CHARACTERS else text[: KNOWS_CHARACTERS - 1] + "…"


def show_model(name: str, as_json: bool, url: str, api_key: str) -> int:
    """Show one model of a running server."""
    with Client(url, api_key) as client:
        model: dict[str, Any] = client.call("GET", f"/v1/models/{name}")
    if as_json:
        print(json.dumps(model, ensure_ascii=False, indent=2))
        return 0
    for field, value in model.items():
        print(f"{field:<16} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    return 0


def doctor(settings: Settings) -> int:
    """Say which engine would serve which model folder and why; exit code 1 when one cannot be served."""
    from models.registry import ManifestError, model_files, read_card, verify
    from models.tokenizers import load_tokenizer
    from server.batching.cores import usable_cores
    from server.serving.build import engine_for

    cores = settings.cores or usable_cores()
    print(f"machine   {platform.machine()}, {cores} usable cores, Python {platform.python_version()}")
    problem = machine.why_not_served()
    for sentence in [problem] if problem else machine.lacks():
        print(f"          {sentence}")
    files = model_files(settings.model_folders)
    if not files:
        print(f"there is no model in {settings.models_dir}")
    good = bool(files) and problem is None
    seen: dict[str, Path] = {}
    for file in files:
        name = file.parent.name
        try:
            card = read_card(file.parent)
            name = card.id
            if (other := seen.setdefault(name, file.parent)) != file.parent:
                if other.parent != file.parent.parent:
                    print(f"{name:<12}  {file.parent} is not served: {other} takes its place")
                    continue
                raise ManifestError(file, f"id '{name}' is already taken by {seen[name]}")
            spec, _, why = engine_for(card, cores, settings.batch_rows)
            verify(card)
            load_tokenizer(card)
        except (ManifestError, ValueError) as error:
            print(f"{name:<12}  cannot be served: {error}")
            good = False
            continue
        print(f"{name:<12}  ok")
        print(f"              engine {spec.kind}, {spec.lanes} lanes of {spec.lane_threads} threads: {why}")
    return 0 if good else 1


def make_key(name: str) -> int:
    """Print a new API key, which is kept nowhere, and the setting by which the server knows its hash."""
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    digest = hashlib.sha256(key.encode()).hexdigest()
    print(f"# for the client, shown only now: {key}")
    if name:
        print(f'[[keys]]\nname = {json.dumps(name)}\nsha256 = "{digest}"')
    else:
        print(f"sha256 {digest}")
    return 0
