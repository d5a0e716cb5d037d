"""Step 2, evaluate: `python -m models.recipes.embed.evaluate --data DIR --work DIR --out FOLDER`.

Contract: compares the shipped int8 folder with the float original, and both on finding answers
and intents; prints the figures and writes WORK/figures.json. With `--sample N` it measures on
fewer rows and writes nothing.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.recipes.classifier.infer import EngineEncoder
from models.recipes.classifier.reference import torch_pooled
from models.recipes.classifier.report import Figure, Measured, save_measured
from models.recipes.classifier.speed import texts_per_second
from models.recipes.classifier.tokens import encode_rows, load_tokenizer
from models.recipes.classifier.weights import encoder_from_huggingface
from models.recipes.embed.convert import convert, packaged_model
from models.recipes.embed.section import CONTEXT_TOKENS
from models.recipes.embed.sentences import intents, mixed_sentences, questions_and_answers

Vectors = NDArray[np.float32]
COMPARED_ROWS = 1000
SEARCH_ROWS = 1000
SPEED_ROWS = 300
EXAMPLES_PER_INTENT = 10


def original_embeddings(base: Path, texts: list[str]) -> Vectors:
    """The float original, in torch."""
    ids = encode_rows(load_tokenizer(base / "tokenizer.json"), texts, CONTEXT_TOKENS)
    pooled = torch_pooled(encoder_from_huggingface(base), ids)
    normalised: Vectors = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    return normalised


def nearest(vectors: Vectors) -> NDArray[np.intp]:
    """The most similar other row of each row."""
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -1.0)
    best: NDArray[np.intp] = similar.argmax(axis=1)
    return best


def fidelity(shipped: EngineEncoder, plain: EngineEncoder, base: Path, texts: list[str]) -> list[Figure]:
    """How close the conversions are to the float original."""
    original = original_embeddings(base, texts)
    first, second = ([*_against(encoder.embeddings(texts), original)] for encoder in (shipped, plain))
    names = ("mean cosine", "lowest cosine", "same nearest neighbour")
    return [
        Figure("mixed sentences, against the original", name, ours, len(texts), theirs)
        for name, ours, theirs in zip(names, first, second, strict=True)
    ]


def _against(vectors: Vectors, original: Vectors) -> tuple[float, float, float]:
    cosines = (vectors * original).sum(axis=1)
    same = float((nearest(vectors) == nearest(original)).mean())
    return round(float(cosines.mean()), 4), round(float(cosines.min()), 4), round(same, 4)


def search(shipped: EngineEncoder, plain: EngineEncoder, data: Path, rows: int) -> list[Figure]:
    """Search as users do it: the nearest answer to a question, among the answers to all questions."""
    questions, answers = questions_and_answers(data, rows)
    ours, theirs = (
        (encoder.embeddings(questions) @ encoder.embeddings(answers).T).argmax(axis=1) for encoder in (shipped, plain)
    )
    right = np.arange(len(questions))
    accuracies = [round(float((found == right).mean()), 4) for found in (ours, theirs)]
    same = round(float((ours == theirs).mean()), 4)
    return [
        Figure(f"dolly, its answer among {len(answers)}", "accuracy", accuracies[0], len(questions), accuracies[1]),
        Figure("dolly, the same answer as float32", "agreement", same, len(questions)),
    ]


def intent_accuracy(encoder: EngineEncoder, data: Path, name: str, sample: int | None) -> tuple[float, int]:
    """Few-shot decisions: the intent whose mean of ten examples is nearest to the request."""
    texts, labels = intents(data, name, "train")
    seen: dict[str, list[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        if len(seen.setdefault(label, [])) < EXAMPLES_PER_INTENT:
            seen[label].append(text)
    seen.pop("oos", None)  # "none of these" has no place in the space
    order = sorted(seen)
    examples = encoder.embeddings([text for label in order for text in seen[label]])
    bounds = itertools.accumulate((len(seen[label]) for label in order), initial=0)
    centres = np.stack([examples[start:end].mean(axis=0) for start, end in itertools.pairwise(bounds)])
    asked, wanted = intents(data, name, "test")
    kept = [index for index, label in enumerate(wanted) if label in seen]
    kept = kept if sample is None else kept[:: max(1, len(kept) // sample)]
    chosen = (encoder.embeddings([asked[index] for index in kept]) @ centres.T).argmax(axis=1)
    hits = [order[place] == wanted[index] for place, index in zip(chosen, kept, strict=True)]
    return round(float(np.mean(hits)), 4), len(hits)


def measure(base: Path, out: Path, data: Path, sample: int | None) -> Measured:
    """Every figure of the card."""
    texts = mixed_sentences(data, sample or COMPARED_ROWS)
    shipped = EngineEncoder(out, CONTEXT_TOKENS)
    with tempfile.TemporaryDirectory() as folder:
        convert(base, Path(folder), "float32")
        plain = EngineEncoder(Path(folder), CONTEXT_TOKENS)
        figures = fidelity(shipped, plain, base, texts)
        figures += search(shipped, plain, data, sample or SEARCH_ROWS)
        for name in ("banking77", "clinc150"):
            ours, rows = intent_accuracy(shipped, data, name, sample)
            theirs, _ = intent_accuracy(plain, data, name, sample)
            figures.append(
                Figure(f"{name}-test, nearest mean of {EXAMPLES_PER_INTENT} examples", "accuracy", ours, rows, theirs)
            )
        notes = {
            "int8_texts_per_s": texts_per_second(shipped, texts[:SPEED_ROWS]),
            "float32_texts_per_s": texts_per_second(plain, texts[:SPEED_ROWS]),
            "int8_mb": (out / "model.bin").stat().st_size / 1e6,
            "float32_mb": (Path(folder) / "model.bin").stat().st_size / 1e6,
        }
    return Measured(figures, notes=notes)


def main() -> None:
    """Read the options, measure, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", type=Path, help="a Hugging Face BertModel folder instead of the package")
    parser.add_argument("--sample", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measured = measure(arguments.base or packaged_model(), arguments.out, arguments.data, arguments.sample)
    for figure in measured.figures:
        print(figure.line())
    print(measured.notes)
    if arguments.sample is None:
        save_measured(arguments.work, arguments.out, measured)


if __name__ == "__main__":
    main()
