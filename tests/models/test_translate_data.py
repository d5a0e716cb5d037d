"""The translation recipe's data step: the sources that it takes, and the rows that it keeps out of training."""

import argparse
import json
import lzma
import random
from pathlib import Path

import pytest

from models.recipes.translate import data
from models.recipes.translate.section import FOREIGN, LANGUAGES
from models.recipes.translate.sheet import NEAR, NearCopies, near_the_sheet, read_sheet, words
from models.recipes.translate.sources import COPYLEFT, allowed, sources

SHEET = read_sheet()
PAIRS = {
    "train": [
        ("The dog of Anna sleeps.", "Der Hund von Anna schläft.", "tatoeba"),
        ("Open the tab now, please.", "Tab.", "mozilla"),
    ],
    "software.train": [("Close every window first.", "Alle Fenster schließen.", "apps/evince")],
    "dictionary": [("dog", "Hund", "n")],
    "dictionary2": [("to bark", "bellen", "v")],
}


def write_data(folder: Path, pairs: dict[str, list[tuple[str, str, str]]]) -> Path:
    (folder / "translation").mkdir(parents=True)
    for language in FOREIGN:
        for part in PAIRS:
            with lzma.open(folder / "translation" / f"en-{language}.{part}.tsv.xz", "wt", encoding="utf-8") as file:
                file.writelines("\t".join(row) + "\n" for row in pairs.get(part, []))
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    for made in ("COPIED_ROWS", "DATED_PAIRS", "AMOUNT_PAIRS"):
        monkeypatch.setattr(data, made, 5)
    monkeypatch.setattr("sys.argv", ["data", *options])
    data.main()


def counts_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copyleft: str) -> dict[str, int]:
    folder = write_data(tmp_path / "data", PAIRS)
    run(monkeypatch, "--data", str(folder), "--work", str(tmp_path / "work"), "--copyleft", copyleft)
    found: dict[str, int] = json.loads((tmp_path / "work" / data.SOURCE_ROWS).read_text("utf-8"))
    return {name: count // len(FOREIGN) for name, count in found.items()}


@pytest.mark.parametrize(
    ("copyleft", "taken"),
    [
        ("none", {"tatoeba"}),
        ("weak", {"tatoeba", "mozilla"}),
        ("strong", {"tatoeba", "mozilla", "apps", "dictionary", "dictionary2"}),
    ],
)
def test_sources_under_more_copyleft_than_asked_for_stay_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copyleft: str, taken: set[str]
) -> None:
    assert counts_of(monkeypatch, tmp_path, copyleft) == dict.fromkeys(taken, 1)
    text = (tmp_path / "work" / "train.tsv").read_text("utf-8")
    assert ("Alle Fenster" in text) == ("apps" in taken)
    assert ("bellen" in text) == ("dictionary2" in taken)


def test_a_source_whose_licence_nobody_wrote_down_is_not_trained_on(tmp_path: Path) -> None:
    folder = write_data(tmp_path, {"software.train": [("Yes.", "Ja.", "newcomer/package")]})
    with pytest.raises(KeyError, match="newcomer"):
        list(data.sourced_pairs(folder, "de", "strong"))


def test_every_source_has_a_weight_and_a_licence() -> None:
    for source in sources().values():
        assert 0.0 < source.weight <= 1.0
        assert source.licence
        assert source.origin
        assert allowed(source, "strong")
        free = not any(mark in source.licence for mark in ("GPL", "GFDL", "SA ", "MPL", "Sharing"))
        assert allowed(source, "none") == free, source
    assert COPYLEFT[0] == "none"


def test_the_sheet_has_fifty_sentences_of_each_topic_in_every_language() -> None:
    assert [topic for topic, _ in SHEET].count("support") == [topic for topic, _ in SHEET].count("travel") == 50
    assert all(set(texts) == set(LANGUAGES) and all(texts.values()) for _, texts in SHEET)


def test_a_sentence_of_the_sheet_is_not_trained_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, texts = SHEET[0]
    kept, near_english = "The strike in Berlin lasts until Thursday.", texts["en"].replace("Thursday", "Monday").upper()
    rows = [
        (kept, "Bis Donnerstag in Berlin.", "tatoeba"),
        (near_english, "x", "tatoeba"),
        ("y", texts["de"], "tatoeba"),
    ]
    folder = write_data(tmp_path / "data", {"train": rows})
    run(monkeypatch, "--data", str(folder), "--work", str(tmp_path / "work"))
    text = (tmp_path / "work" / "train.tsv").read_text("utf-8")
    assert kept in text
    assert near_english not in text
    assert texts["de"] not in text


def test_near_copies_are_found_however_the_words_are_exchanged() -> None:
    """The index looks at the rarest words only; it must find what a comparison with every sentence finds."""
    near = near_the_sheet()
    kept = [words(text) for _, texts in SHEET for text in texts.values()]
    rng, seen = random.Random(1), 0
    for text in (text for _, texts in SHEET for text in texts.values()):
        for _ in range(3):
            others = rng.choice(SHEET)[1][rng.choice(LANGUAGES)].split()
            changed = [word if rng.random() < 0.8 else rng.choice(others) for word in text.split()]
            own = words(" ".join(changed))
            expected = any(len(own & other) >= NEAR * len(own | other) for other in kept)
            assert (" ".join(changed) in near) == expected
            seen += expected
    assert 300 < seen < 1100
    assert "" not in NearCopies(["One sentence."])


def test_menus_and_placeholders_are_taken_less_often() -> None:
    apps, tatoeba = sources()["apps"], sources()["tatoeba"]
    whole = data.pair_weight("Close every window before you go.", apps)
    assert data.pair_weight("Close window", apps) < whole
    assert data.pair_weight("Close the window {name} before you go.", apps) < whole
    assert data.pair_weight("Close it.", tatoeba) == tatoeba.weight


def test_own_pairs_name_their_language() -> None:
    assert data.own_file("de=pairs.tsv") == ("de", Path("pairs.tsv"))
    with pytest.raises(argparse.ArgumentTypeError, match="LANGUAGE=FILE"):
        data.own_file("it=pairs.tsv")
