"""How good zero-shot decisions are, and the two constants they rest on: ``python -m load_tests.zero_shot --data DIR``.

For each intent set: accuracy of the choice among all labels, by their names alone, on rows of its test file. The
sharpness of choices and the middle and sharpness of predicates are fitted by likelihood on rows of the train files,
over random sets of at most ten labels, as users ask them.
"""

import argparse
import lzma
import random
from pathlib import Path

import ctranslate2
import numpy as np

from models.registry import find_models
from models.tokenizers import load_tokenizer
from server.tasks.decisions import CHOICE_SHARPNESS, PREDICATE_MIDDLE, PREDICATE_SHARPNESS, Option

SETS = {"banking77": "train", "clinc150": "dev", "snips": "train", "bitext-customer-service": "dev"}
ROWS = 400
OPTIONS = 10
MOST_TOKENS = 256
WEIGHTS = Path(__file__).parents[1] / "models" / "weights"


class Embedder:
    """The shipped embedding model, called directly."""

    def __init__(self) -> None:
        card = next(card for card in find_models(WEIGHTS) if card.id == "embed")
        self._tokenizer = load_tokenizer(card)
        self._encoder = ctranslate2.Encoder(str(card.folder), compute_type="int8_float32", intra_threads=1)

    def count(self, text: str) -> int:
        """The tokens of a text."""
        return len(self._tokenizer.encode(text))

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Unit vectors, shape (n, d)."""
        vectors = []
        for start in range(0, len(texts), 8):
            rows = [self._tokenizer.encode_row(text)[:MOST_TOKENS] for text in texts[start : start + 8]]
            hidden = np.asarray(self._encoder.forward_batch(rows).last_hidden_state)
            vectors += [hidden[i, : len(row)].mean(axis=0) for i, row in enumerate(rows)]
        stacked = np.stack(vectors)
        return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)


def read(data: Path, name: str, split: str, rng: random.Random) -> list[tuple[str, str]]:
    """A sample of a set's rows: text and label; ``oos`` has no name that says anything."""
    with lzma.open(data / "intent" / f"{name}.{split}.tsv.xz", "rt", encoding="utf-8") as file:
        rows = [(text, label) for text, label in (line.rstrip("\n").split("\t")[:2] for line in file)]
    rows = [row for row in rows if row[1] not in ("oos", "label")]
    return rng.sample(rows, min(ROWS, len(rows)))


def negative_log_likelihood(logits: np.ndarray, right: np.ndarray) -> float:
    """Mean over rows; ``logits`` (n, options)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(-(shifted[np.arange(len(right)), right] - np.log(np.exp(shifted).sum(axis=1))).mean())


def main() -> None:
    """Measure and fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data: Path = parser.parse_args().data
    rng, embed = random.Random(1), Embedder()
    cosines, rights, positives, negatives = [], [], [], []
    print("| set | labels | rows | zero-shot accuracy |\n|---|---|---|---|")
    for name, split in SETS.items():
        rows, fit = read(data, name, "test", rng), read(data, name, split, rng)
        labels = sorted({label for _, label in rows + fit})
        vectors = embed([Option(label).text for label in labels])
        place = {label: i for i, label in enumerate(labels)}
        found = (embed([text for text, _ in rows]) @ vectors.T).argmax(axis=1)
        accuracy = np.mean([labels[i] == label for i, (_, label) in zip(found, rows, strict=True)])
        print(f"| {name} | {len(labels)} | {len(rows)} | {accuracy:.3f} |")
        near = embed([text for text, _ in fit]) @ vectors.T
        for row, (_, label) in zip(near, fit, strict=True):
            others = [i for i in range(len(labels)) if i != place[label]]
            some = rng.sample(others, min(OPTIONS - 1, len(others)))
            if len(some) == OPTIONS - 1:
                cosines.append(row[[place[label], *some]])
                rights.append(0)
            positives.append(row[place[label]])
            negatives.append(row[some[0]])
    near, right = np.stack(cosines), np.array(rights)
    best = min(np.arange(5, 40, 1.0), key=lambda s: negative_log_likelihood(s * near, right))
    accuracy = float((near.argmax(axis=1) == right).mean())
    print(
        f"\nchoice among {OPTIONS}: accuracy {accuracy:.3f}; best sharpness {best:.0f}, in use {CHOICE_SHARPNESS:.0f}"
    )
    statements = np.array(positives + negatives, np.float64)
    true = np.array([1.0] * len(positives) + [0.0] * len(negatives))

    def loss(pair: tuple[float, float]) -> float:
        p = np.clip(1 / (1 + np.exp(-pair[0] * (statements - pair[1]))), 1e-9, 1 - 1e-9)
        return float(-(true * np.log(p) + (1 - true) * np.log(1 - p)).mean())

    grid = [(float(s), float(m)) for s in np.arange(5, 40, 1.0) for m in np.arange(0.1, 0.6, 0.01)]
    sharpness, middle = min(grid, key=loss)
    accuracy = float(((statements > middle) == true).mean())
    used = (PREDICATE_SHARPNESS, PREDICATE_MIDDLE)
    print(f"predicate: accuracy {accuracy:.3f}; best (sharpness, middle) {sharpness:.0f}, {middle:.2f}, in use {used}")
    print(f"loss at the best {loss((sharpness, middle)):.4f}, at those in use {loss(used):.4f}")


if __name__ == "__main__":
    main()
