"""Token classifiers without torch: the served logits equal those of a second implementation in numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.cards import ModelCard
from models.convert import CannotConvert, Request, convert, open_path
from models.registry import read_card
from models.tokenizers import load_tokenizer
from server.engines.ct2 import EncoderEngine
from server.engines.kinds import EngineSpec
from server.engines.rows import EncoderRow
from server.serving.build import engine_for
from tests.convert.bare_encoders import CLASSES, POSITIONS, TEXTS, Sink, arrays_of, hidden, write_tagger

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def converted(tmp_path: Path, kind: str, **request: Any) -> ModelCard:
    source = open_path(write_tagger(tmp_path / "hub", kind, TAGS))
    return read_card(convert(source, tmp_path / "models", "mine", Request(**request)))


def served(card: ModelCard, rows: list[list[int]]) -> list[np.ndarray]:
    """The logits of each row's tokens, by the engine that the server has for the model."""
    spec, _, _ = engine_for(card, 1, 8)
    engine, sink = EncoderEngine(EngineSpec(spec.kind, spec.folder, options=spec.options)), Sink()
    engine.run([EncoderRow(row, "none") for row in rows], sink)  # type: ignore[arg-type]
    engine.close()
    return [sink.vectors[i] for i in range(len(rows))]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_token_gets_what_the_weights_say(tmp_path: Path, kind: str) -> None:
    card = converted(tmp_path, kind, quantization="float32")
    assert (card.task, card.license, card.context_length_tokens) == ("entities", "mit", POSITIONS)
    assert card.entities is not None
    assert card.entities.tags == TAGS
    tokenizer = load_tokenizer(card)
    rows = [tokenizer.encode_row(text) for text in TEXTS]
    arrays = arrays_of(kind, tags=len(TAGS))
    for row, found in zip(rows, served(card, rows), strict=True):
        wanted = hidden(kind, arrays, row) @ arrays["classifier.weight"].T + arrays["classifier.bias"]
        assert found.shape == (len(row), len(TAGS))
        assert np.abs(found - wanted).max() < 1e-4


def test_int8_is_held_to_the_same_weights_in_float32(tmp_path: Path) -> None:
    figures = {figure.metric: figure for figure in converted(tmp_path, "bert").figures}
    figure = figures["root mean square difference of a token's probability as served"]
    assert 0 < figure.value < 0.05
    assert figure.rows > 200
    assert figures["share of tokens with the same tag as in float32"].value > 0.85


def test_tags_can_have_other_names_and_must_have_some(tmp_path: Path) -> None:
    named = tuple("OABCD")
    card = converted(tmp_path, "bert", labels=named, check="structure")
    assert card.entities is not None
    assert card.entities.tags == named
    with pytest.raises(CannotConvert, match="has 5 labels"):
        convert(open_path(tmp_path / "hub"), tmp_path / "models", "other", Request(labels=("a",)))
    nameless = open_path(write_tagger(tmp_path / "nameless", "bert", TAGS, id2label=None))
    with pytest.raises(CannotConvert, match="has no labels"):
        convert(nameless, tmp_path / "models", "other", Request())
