"""`hearth train classifier`: own labels from a file to a running server."""

import builtins
import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.learn.fit import CannotFit, fit
from models.registry import find_models, verify
from server.cli import main
from server.settings import SHIPPED_MODELS
from tests.server_process import serving

pytest.importorskip("sklearn")

MEALS = ["soup", "bread", "cheese", "apples", "fish", "rice", "pasta", "salad", "cake", "eggs"]
PLACES = ["Paris", "Rome", "the beach", "the lake", "Vienna", "the mountains", "Oslo", "Berlin", "the coast", "Spain"]


def rows() -> list[tuple[str, str]]:
    food = [(f"I would like to eat {meal} {when}", "food") for meal in MEALS for when in ("today", "for lunch")]
    travel = [(f"I want to travel to {place} {when}", "travel") for place in PLACES for when in ("today", "in June")]
    return food + travel


def train(tmp_path: Path, *more: str, name: str = "mine", lines: list[tuple[str, str]] | None = None) -> int:
    file = tmp_path / "feedback.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("text", "label"), *(rows() if lines is None else lines)])
    models = tmp_path / "models"
    models.mkdir(exist_ok=True)
    return main(
        ["train", "classifier", "--data", str(file), "--name", name, "--models-dir", str(models), *more]
    )  # fmt: skip


def test_a_running_server_serves_what_was_trained(tmp_path: Path, capsys: Any) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "embed").symlink_to(SHIPPED_MODELS / "embed")
    with serving(models_dir=models) as server, server.client() as client:
        assert train(tmp_path) == 0
        said = capsys.readouterr().out
        assert "accuracy 1.000" in said
        assert "| food | 20 | 0 |" in said
        [card] = [card for card in find_models(models) if card.id == "mine"]
        verify(card)
        body = {"model": "mine", "input": ["We had a nice pizza.", "Let us fly to Lisbon."]}
        assert client.post("/classify", json=body).status_code in (200, 503)
        while client.get("/v1/models/mine").json()["state"] == "loading":
            pass
        answer = client.post("/classify", json=body)
        assert [item["label"] for item in answer.json()["data"]] == ["food", "travel"]


def test_nothing_is_left_behind_and_a_name_is_not_taken_twice(tmp_path: Path, capsys: Any) -> None:
    assert train(tmp_path) == 0
    assert train(tmp_path) == 1
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]


def test_lines_that_cannot_be_used_are_named(tmp_path: Path, capsys: Any) -> None:
    assert train(tmp_path, lines=[*rows(), ("", "food"), ("no label", ""), ("word " * 300, "food")]) == 0
    captured = capsys.readouterr()
    assert "line 42: 'text' is empty" in captured.err
    assert "line 43: 'label' is missing or empty" in captured.err
    assert "1 texts have more than 256 tokens" in captured.err
    assert "40 rows (10 without near copies), 2 labels" in captured.out


@pytest.mark.parametrize(
    ("lines", "more", "name", "why"),
    [
        ([("a dog", "one")] * 3, [], "mine", "one label only"),
        ([*rows(), ("a dog", "rare")], [], "mine", "one row only for: rare"),
        (None, [], "../x", "--name"),
        (None, ["--text-column", "words"], "mine", "no column 'words'"),
        (None, ["--label-column", "mood"], "mine", "no line with both"),
        (None, ["--encoder", "sentiment"], "mine", "no such embedding model"),
    ],
)
def test_what_cannot_be_fitted_is_said(
    tmp_path: Path, capsys: Any, lines: list[tuple[str, str]] | None, more: list[str], name: str, why: str
) -> None:
    assert train(tmp_path, *more, name=name, lines=lines) == 1
    assert why in capsys.readouterr().err
    assert list((tmp_path / "models").iterdir()) == []


def test_without_the_library_the_command_to_install_it_is_said(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert train(tmp_path) == 1
    assert "to install: pip install 'scikit-learn>=1.6'" in capsys.readouterr().err


def test_the_head_takes_vectors_as_they_are() -> None:
    rng = np.random.default_rng(0)
    middles = rng.normal(3.0, 4.0, (3, 16))
    labels = ["a", "b", "c"] * 40
    vectors = np.stack([middles["abc".index(label)] + rng.normal(0, 0.5, 16) for label in labels]).astype(np.float32)
    fitted = fit(vectors, labels)
    assert fitted.accuracy == 1.0
    assert fitted.macro_f1 == 1.0
    logits = vectors @ fitted.weight.T + fitted.bias
    assert [fitted.labels[i] for i in logits.argmax(axis=1)] == labels
    assert fitted.confusion().tolist() == [[40, 0, 0], [0, 40, 0], [0, 0, 40]]


def test_figures_are_of_rows_not_seen() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 384)).astype(np.float32)
    fitted = fit(vectors, [str(i) for i in rng.integers(0, 2, 60)])
    assert fitted.accuracy < 0.8  # it could learn all of them by heart
    with pytest.raises(CannotFit, match="one label only"):
        fit(vectors, ["a"] * 60)
