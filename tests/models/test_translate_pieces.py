"""Putting new pieces behind those of a shipped tokenizer."""

from pathlib import Path

import pytest
import sentencepiece

from models.recipes.translate import tokenizer
from models.recipes.translate.pieces import CHARACTERS, parts_of
from models.recipes.translate.sheet import read_sheet

SHIPPED = Path(__file__).parents[2] / "models" / "weights" / "translate"


def load(folder: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))


def pieces_of(model: sentencepiece.SentencePieceProcessor) -> list[str]:
    return [model.id_to_piece(place) for place in range(model.vocab_size())]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tokenizer that was learnt from half of the sheet and lacks most signs."""
    work = tmp_path / "small"
    work.mkdir()
    rows = [(texts["de"], texts["en"]) for topic, texts in read_sheet() if topic == "support"]
    lines = [f"1.0\tde\t{english.lower()}\t{german.lower()}\n" for german, english in rows * 4]
    (work / "train.tsv").write_text("".join(lines), "utf-8")
    monkeypatch.setattr(tokenizer, "CHARACTERS", ())
    monkeypatch.setattr("sys.argv", ["tokenizer", "--work", str(work), "--vocabulary", "450"])
    tokenizer.main()
    monkeypatch.undo()
    return work


def test_every_letter_and_sign_is_a_piece_of_an_extended_tokenizer(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load(small)
    assert "<0xC3>" in before.encode("Ärger", out_type=str)
    work = tmp_path / "work"
    work.mkdir()
    rows = [(texts["de"], texts["en"]) for _, texts in read_sheet()]
    (work / "train.tsv").write_text("".join(f"1.0\tde\t{en}\t{de} 2035\n" for de, en in rows * 4), "utf-8")
    monkeypatch.setattr("sys.argv", ["t", "--work", str(work), "--vocabulary", "700", "--extend", str(small)])
    tokenizer.main()
    after = load(work)
    assert after.vocab_size() == 700
    assert pieces_of(after)[: before.vocab_size()] == pieces_of(before)
    assert len(set(pieces_of(after))) == 700
    for character in CHARACTERS:
        assert not any(piece.startswith("<0x") for piece in after.encode(f"a{character}", out_type=str)), character
    added = pieces_of(after)[before.vocab_size() :]
    assert not any(len(piece) > 1 and any(c.isdigit() for c in piece) for piece in added)
    for _, texts in read_sheet():
        assert after.decode(after.encode(texts["de"])) == texts["de"]
        assert len(after.encode(texts["de"])) <= len(before.encode(texts["de"]))


def test_a_new_piece_begins_as_the_pieces_its_text_had() -> None:
    shipped = load(SHIPPED)
    known = set(pieces_of(shipped))
    for text in ("Konfigurationsdatei", "untranslatable", "ajournement", "desbloquear"):
        assert f"▁{text}" not in known
        assert parts_of(f"▁{text}", shipped) == shipped.encode(text)
    assert [shipped.id_to_piece(place) for place in parts_of("▁", shipped)] == ["▁"]


def test_a_letter_that_was_bytes_begins_as_its_small_letter(small: Path) -> None:
    old = load(small)
    assert [old.id_to_piece(place) for place in parts_of("Ü", old)] == ["ü"]
    assert [old.id_to_piece(place) for place in parts_of("¥", old)] == ["<0xC2>", "<0xA5>"]


def test_reuse_takes_the_shipped_tokenizer_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["tokenizer", "--work", str(tmp_path), "--reuse", str(SHIPPED)])
    tokenizer.main()
    assert (tmp_path / "tokenizer.model").read_bytes() == (SHIPPED / "tokenizer.model").read_bytes()
