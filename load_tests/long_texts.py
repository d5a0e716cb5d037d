"""Which rule should pool the chunks of a long text? ``python -m load_tests.long_texts --data DIR``.

Sentiment: documents made of labelled dev sentences, either all of the document's label or six of ten of them, and
film reviews, read at once and in small chunks. Moderation: documents of harmless sentences, half of them with one
harmful sentence. It calls the shipped models directly and prints their figures.
"""

import argparse
import json
import lzma
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from models.learn.vectors import Vectors
from models.registry import find_models
from models.tokenizers import load_tokenizer
from server.settings import SHIPPED_MODELS
from server.tasks.encoding import Floats, Head
from server.tasks.text.sentences import chunk

LABELS = ("negative", "neutral", "positive")
DOCUMENT_TOKENS = 600
HARMLESS = 24
"""Harmless sentences in a document for moderation: some 600 tokens."""
CHUNK_TOKENS = (256, 128, 64, 48)
"""Sizes to compare, the models' own limit first."""

Rule = Callable[[Head, Floats, Floats], Floats]
"""The head, vectors (chunks, d) and tokens (chunks,) of a document to its probabilities (labels,)."""


def _logits(probabilities: Floats, kind: str) -> Floats:
    safe = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)) if kind == "sigmoid" else np.log(safe), np.float32)


def _probabilities(logits: Floats, kind: str) -> Floats:
    powers = np.exp(logits)
    return np.asarray(powers / (1 + powers) if kind == "sigmoid" else powers / powers.sum(), np.float32)


def _of_chunks(pool: Callable[[Floats, Floats], Floats]) -> Rule:
    return lambda head, vectors, tokens: pool(head.probabilities(vectors), tokens)


def _of_logits(pool: Callable[[Floats, Floats], Floats]) -> Rule:
    def rule(head: Head, vectors: Floats, tokens: Floats) -> Floats:
        kind = head.spec.kind
        return _probabilities(pool(_logits(head.probabilities(vectors), kind), tokens), kind)

    return rule


def _mean(rows: Floats, tokens: Floats) -> Floats:
    return np.asarray(rows.mean(axis=0), np.float32)


def _weighted(rows: Floats, tokens: Floats) -> Floats:
    return np.asarray(tokens @ rows / tokens.sum(), np.float32)


def _surest(rows: Floats, tokens: Floats) -> Floats:
    return np.asarray(rows[rows.max(axis=1).argmax()], np.float32)


def _largest(rows: Floats, tokens: Floats) -> Floats:
    return np.asarray(rows.max(axis=0), np.float32)


RULES: dict[str, Rule] = {
    "mean of probabilities": _of_chunks(_mean),
    "mean of probabilities, by tokens": _of_chunks(_weighted),
    "mean of logits": _of_logits(_mean),
    "mean of logits, by tokens": _of_logits(_weighted),
    "head on the mean vector, by tokens": lambda head, vectors, tokens: head.probabilities(
        _weighted(vectors, tokens)[None]
    )[0],
    "surest chunk": _of_chunks(_surest),
    "largest of each label": _of_chunks(_largest),
    "first chunk alone": lambda head, vectors, tokens: head.probabilities(vectors[:1])[0],
}


class Reader:
    """One shipped classifier, called directly."""

    def __init__(self, name: str) -> None:
        card = next(card for card in find_models(SHIPPED_MODELS) if card.id == name)
        self.head = Head(card.heads[0], card.folder)
        self._tokenizer = load_tokenizer(card)
        self._vectors = Vectors(card, 1)
        self._limit_tokens = card.context_length_tokens

    def tokens(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self._tokenizer.encode(text))

    def read(self, texts: Sequence[str], limit_tokens: int | None = None) -> list[tuple[Floats, Floats]]:
        """Vectors and tokens of each text's chunks."""
        limit = (limit_tokens or self._limit_tokens) - 2
        chunks = [chunk(text, "en", self.tokens, limit) for text in texts]
        rows = [self._tokenizer.encode_row(each) for parts in chunks for each in parts]
        vectors = self._vectors.encode(rows)
        ends = np.cumsum([len(parts) for parts in chunks])[:-1]
        sizes = np.split(np.array([len(row) for row in rows], np.float32), ends)
        return list(zip(np.split(vectors, ends), sizes, strict=True))


def calibration_error(probabilities: Floats, right: Floats, bins: int = 10) -> float:
    """Expected calibration error of the likeliest labels."""
    sure = probabilities.max(axis=1)
    places = np.minimum((sure * bins).astype(int), bins - 1)
    inside = [places == place for place in set(places)]
    return float(sum(abs(sure[each].mean() - right[each].mean()) * each.mean() for each in inside))


def sentences(data: Path, split: str, keep: str) -> dict[str, list[str]]:
    """Labelled texts of the sources whose name contains ``keep``, by label."""
    found: dict[str, list[str]] = {label: [] for label in LABELS}
    with lzma.open(data / "sentiment" / f"en.{split}.tsv.xz", "rt", encoding="utf-8") as lines:
        for text, label, source in (line.rstrip("\n").split("\t") for line in lines):
            if label in found and keep in source:
                found[label].append(text)
    return found


def documents(reader: Reader, data: Path, same: float, count: int, rng: random.Random) -> tuple[list[str], list[int]]:
    """Documents of each label in turn, of which so many sentences have it; and the labels."""
    pools, texts, truth = sentences(data, "dev", ""), [], []
    for i in range(count):
        label, parts, tokens = i % len(LABELS), [], 0
        while tokens < DOCUMENT_TOKENS:
            own = rng.random() < same
            other = rng.choice([each for each in LABELS if each != LABELS[label]])
            part = rng.choice(pools[LABELS[label] if own else other])
            parts.append(part if part[-1:] in ".!?" else f"{part}.")
            tokens += reader.tokens(part)
        texts.append(" ".join(parts))
        truth.append(label)
    return texts, truth


def reviews(data: Path, count: int, rng: random.Random) -> tuple[list[str], list[int]]:
    """Film reviews, as many bad ones as good ones."""
    pools = sentences(data, "train-research", "imdb")
    rows = []
    for label in ("negative", "positive"):
        rows += [(text, LABELS.index(label)) for text in rng.sample(pools[label], count // 2)]
    return [text for text, _ in rows], [label for _, label in rows]


def tell_sentiment(name: str, reader: Reader, texts: list[str], truth: list[int]) -> None:
    """A row a size of chunks and rule; of two labels only, where the truth has no third."""
    wanted = np.array(truth)
    polar = 1 not in truth
    for limit in CHUNK_TOKENS:
        read = reader.read(texts, limit)
        for rule in RULES:
            found = np.stack([RULES[rule](reader.head, vectors, tokens) for vectors, tokens in read])
            found = found / found.sum(axis=1, keepdims=True)
            chosen = np.where(found[:, 0] > found[:, 2], 0, 2) if polar else found.argmax(axis=1)
            error = "" if polar else f"{calibration_error(found, chosen == wanted):.3f}"
            print(f"| {name} | {limit} | {rule} | {(chosen == wanted).mean():.3f} | {error} |", flush=True)


def tell_moderation(data: Path, count: int, rng: random.Random) -> None:
    """A row a rule: how well documents with one harmful sentence are told from those without."""
    reader = Reader("moderation")
    head, place = reader.head, reader.head.spec.labels.index("harassment")
    with lzma.open(data / "moderation" / "dev.jsonl.xz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    harm = {i: max(row["labels"].get(name, 0) for name in ("offensive", "toxic", "hate")) for i, row in enumerate(rows)}
    harmful = [rows[i]["text"] for i, is_harmful in harm.items() if is_harmful]
    plain = sentences(data, "dev", "goemotions")["neutral"]
    texts, truth = [], []
    for i in range(count):
        parts = rng.sample(plain, HARMLESS)
        if i % 2:
            parts[rng.randrange(HARMLESS)] = rng.choice(harmful)
        texts.append(" ".join(part if part[-1:] in ".!?" else f"{part}." for part in parts))
        truth.append(i % 2)
    wanted = np.array(truth, bool)
    threshold = head.spec.thresholds["harassment"]
    for limit in CHUNK_TOKENS:
        read = reader.read(texts, limit)
        for rule in RULES:
            scores = np.array([RULES[rule](head, vectors, tokens)[place] for vectors, tokens in read])
            above = (scores[wanted][:, None] > scores[~wanted][None]).mean()
            flagged = scores >= threshold
            recall, alarms = flagged[wanted].mean(), flagged[~wanted].mean()
            print(f"| {limit} | {rule} | {above:.3f} | {recall:.2f} | {alarms:.2f} |", flush=True)


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=150, help="of each kind")
    options = parser.parse_args()
    rng = random.Random(1)
    reader = Reader("sentiment")
    print("| documents | chunk tokens | rule | accuracy | ECE |\n|---|---|---|---|---|")
    for name, same in (("one label", 1.0), ("six of ten", 0.6)):
        tell_sentiment(name, reader, *documents(reader, options.data, same, options.documents, rng))
    tell_sentiment("reviews", reader, *reviews(options.data, options.documents, rng))
    print("\n| chunk tokens | rule | AUC | found | false alarms |\n|---|---|---|---|---|")
    tell_moderation(options.data, options.documents, rng)


if __name__ == "__main__":
    main()
