"""Repositories of encoders, translators and T5 with wrong files: the result is a model or one clear sentence."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.convert import CannotConvert, Request, convert
from models.convert.opened import SAFE, open_path
from models.convert.source import SourceError
from models.registry import ManifestError
from tests.convert import bare_encoders, bare_translators, test_decoder_embedders, test_static

REPOSITORIES: dict[str, Callable[[Path], Any]] = {
    "bert": lambda folder: bare_encoders.write(folder, "bert"),
    "mpnet classifier": lambda folder: bare_encoders.write(folder, "mpnet", labels=("a", "b")),
    "marian": bare_translators.write_marian,
    "m2m100": bare_translators.write_m2m100,
    "nllb": bare_translators.write_nllb,
    "t5": bare_translators.write_t5,
    "static": lambda folder: test_static.repository(
        folder, {"mapping": test_static.MAPPING, "weights": test_static.WEIGHTS, "embeddings": test_static.WHOLE}
    ),
    "decoder": test_decoder_embedders.repository,
}
ABSURD: tuple[Any, ...] = (0, -1, 3, 2**31, 10**30, 0.5, float("nan"), True, "8", None, [], [1], {}, "a" * 1000)


def outcome(folder: Path, models: Path) -> str:
    try:
        convert(open_path(folder), models, "opus-mt-en-de", Request(check="structure"))
    except (SourceError, CannotConvert, ManifestError):
        made = "refused"
    else:
        shutil.rmtree(models / "opus-mt-en-de")
        made = "made"
    assert not models.exists() or list(models.iterdir()) == []
    return made


def damaged(content: bytes, random: np.random.Generator) -> Iterator[bytes]:
    """The content cut off, and with numbers replaced by absurd ones, most of them in the header."""
    for at in random.integers(0, len(content), 12):
        yield content[: int(at)]
    for at in random.integers(0, min(len(content), 8000) - 8, 12):
        absurd = random.choice(np.array([0, 2**31, 2**62, 2**64 - 1], np.uint64))
        yield content[:at] + absurd.tobytes() + content[at + 8 :]


@pytest.mark.parametrize("kind", REPOSITORIES)
def test_damaged_weights_are_a_model_or_a_sentence(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "opus-mt-en-de"
    REPOSITORIES[kind](folder)
    file = folder / SAFE
    whole, random = file.read_bytes(), np.random.default_rng(1)
    found = []
    for content in damaged(whole, random):
        file.write_bytes(content)
        found.append(outcome(folder, tmp_path / "models"))
    assert found.count("refused") >= 12  # all that are cut off
    file.write_bytes(whole)
    assert outcome(folder, tmp_path / "models") == "made"


@pytest.mark.parametrize("kind", REPOSITORIES)
def test_a_configuration_of_absurd_values_is_a_model_or_a_sentence(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "opus-mt-en-de"
    REPOSITORIES[kind](folder)
    config, random = json.loads((folder / "config.json").read_text()), np.random.default_rng(2)
    others = json.loads((folder / "tokenizer_config.json").read_text()) if kind != "static" else {}
    found = []
    for name in config:
        value = ABSURD[int(random.integers(len(ABSURD)))]
        (folder / "config.json").write_text(json.dumps(config | {name: value}))
        found.append(outcome(folder, tmp_path / "models"))
    (folder / "config.json").write_text(json.dumps(config))
    for name in others:
        for value in ABSURD:
            (folder / "tokenizer_config.json").write_text(json.dumps(others | {name: value}))
            found.append(outcome(folder, tmp_path / "models"))
    assert found.count("refused") >= 1


@pytest.mark.parametrize("name", ["source.spm", "target.spm", "vocab.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff" * 50, b"{}" + bytes(9)])
def test_damaged_files_of_a_tokenizer_are_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    folder = tmp_path / "opus-mt-en-de"
    bare_translators.write_marian(folder)
    (folder / name).write_bytes(content)
    assert outcome(folder, tmp_path / "models") == "refused"
