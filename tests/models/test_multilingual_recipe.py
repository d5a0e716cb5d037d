"""The multilingual recipe: what it reads out of the encoder's package, and the sentences that teach and measure."""

import random
import re
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.recipes.sentiment.data import EMOJI
from models.recipes.sentiment.sentences import LANGUAGES, ROWS, key, rows, written
from models.recipes.sentiment_multilingual import base

PIECES = [*base.SPECIAL, "▁gut", "▁", "x", "é", "▁строка", "😡"]
WIDE, LAYERS, HEADS, FEED, POSITIONS = 32, 1, 2, 64, 4


def packed(weights: np.ndarray) -> bytes:
    """Whole numbers from -8 to 7 in blocks of four bits with the scale 0.5."""
    blocks = np.zeros(weights.size // 32, base.BLOCK)
    rows = (weights.reshape(-1, 32) + 8).astype(np.uint8)
    blocks["scale"], blocks["halves"] = 0.5, rows[:, :16] | rows[:, 16:] << 4
    return blocks.tobytes()


@pytest.fixture
def model(tmp_path: Path) -> base.PackedModel:
    """A file as the package has it, with few pieces."""
    rng = np.random.default_rng(0)
    tensors = {"emb.word": packed(rng.integers(-8, 8, len(PIECES) * WIDE))}
    plain = {"emb.pos": POSITIONS * WIDE, "emb.type": 2 * WIDE, "emb.ln.w": WIDE, "emb.ln.b": WIDE}
    tensors |= {name: np.full(numbers, 0.25, "<f4").tobytes() for name, numbers in plain.items()}
    shapes = {**dict.fromkeys(("q", "k", "v", "ao"), (WIDE, WIDE)), "fi": (FEED, WIDE), "fo": (WIDE, FEED)}
    for short, (out, into) in shapes.items():
        tensors[f"l0.{short}.w"] = packed(rng.integers(-8, 8, out * into))
        tensors[f"l0.{short}.b"] = np.zeros(out, "<f4").tobytes()
    for short in ("aln", "oln"):
        tensors |= {f"l0.{short}.{kind}": np.ones(WIDE, "<f4").tobytes() for kind in "wb"}
    text = [piece.encode() for piece in PIECES]
    ends = np.cumsum([0, *map(len, text)]).astype("<u4").tobytes()
    begin = b"E5S1" + struct.pack("<I7ifi", 1, WIDE, LAYERS, HEADS, FEED, len(PIECES), POSITIONS, 2, 1e-12, 32)
    begin += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(b"".join(text))) + ends
    begin += np.zeros(len(PIECES), "<f4").tobytes() + b"".join(text) + struct.pack("<2I", 0, 0)
    directory, body = b"", b""
    size = len(begin) + 4 + sum(2 + len(name) + 21 for name in tensors)
    for name, data in tensors.items():
        is_packed = name == "emb.word" or (name.endswith(".w") and "ln" not in name)
        numbers = len(data) // base.BLOCK.itemsize * 32 if is_packed else len(data) // 4
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", 0, numbers, size + len(body), len(data))
        body += data
    file = tmp_path / base.WEIGHTS
    file.write_bytes(begin + struct.pack("<i", len(tensors)) + directory + body)
    return base.PackedModel(file)


def test_the_packages_file_is_read(model: base.PackedModel) -> None:
    assert [piece for piece, _ in model.pieces] == PIECES
    whole = np.random.default_rng(0).integers(-8, 8, len(PIECES) * WIDE)
    assert np.array_equal(model.tensor("emb.word"), whole / 2)
    arrays = base.arrays_of(model, [0, 4])
    assert np.array_equal(arrays["embeddings.word_embeddings.weight"], whole.reshape(-1, WIDE)[[0, 4]] / 2)
    assert arrays["encoder.layer.0.intermediate.dense.weight"].shape == (FEED, WIDE)
    assert arrays["encoder.layer.0.output.dense.weight"].shape == (WIDE, FEED)


def test_pieces_of_texts_letters_and_emoji_are_kept(model: base.PackedModel) -> None:
    kept = base.kept_rows(model.pieces, iter(["gut gut"]))
    assert [PIECES[row] for row in kept] == [*base.SPECIAL, "▁gut", "x", "é", "😡"]
    tokenizer = base.tokenizer_of([model.pieces[row] for row in kept])
    assert tokenizer.encode("gut").tokens == ["<s>", "▁gut", "</s>"]


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="no file of this format"):
        base.PackedModel(tmp_path / "other")


def test_sentences_fill_their_slots_and_none_of_them_measures() -> None:
    made = list(rows(random.Random(1), 0.5, EMOJI))
    assert len(made) == len(LANGUAGES) * sum(ROWS.values())
    assert not any(re.search(r"[{}]", row.text) for row in made)
    assert not {key(row.text) for row in made} & {key(text) for text, _, _ in written()}


def test_as_many_written_sentences_have_each_label() -> None:
    counts = Counter((language, label) for _, label, language in written())
    assert counts == {(each, label): 15 if each == "en" else 20 for each in LANGUAGES for label in ROWS}
    assert len({key(text) for text, _, _ in written()}) == len(written())
