"""Rerankers (cross-encoders) without torch: the served scores equal those of a second implementation in numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from models.cards import ModelCard
from models.convert import CannotConvert, Request, convert, open_path
from models.registry import read_card
from models.tokenizers import load_tokenizer
from server.tasks.encoding import Head
from tests.convert.bare_encoders import CLASSES, POSITIONS, TEXTS, arrays_of, head_logits, hidden, vectors_of, write

QUERY = "Who slept in the shade?"
TEXT_RANKING = "---\nlicense: mit\npipeline_tag: text-ranking\n---\n"


def converted(tmp_path: Path, kind: str, labels: tuple[str, ...], quantization: Any = "float32") -> ModelCard:
    source = write(tmp_path / "hub", kind, labels=labels)
    (source / "README.md").write_text(TEXT_RANKING)
    folder = convert(open_path(source), tmp_path / "models", "mine", Request(quantization=quantization))
    return read_card(folder)


@pytest.mark.parametrize(("kind", "labels"), [*((kind, ("LABEL_0",)) for kind in CLASSES), ("bert", ("no", "yes"))])
def test_a_reranker_reads_pairs_and_gives_what_its_weights_say(
    tmp_path: Path, kind: str, labels: tuple[str, ...]
) -> None:
    card = converted(tmp_path, kind, labels)
    assert (card.task, card.license, card.context_length_tokens) == ("rerank", "mit", POSITIONS)
    reference = tokenizers.Tokenizer.from_file(str(tmp_path / "hub" / "tokenizer.json"))
    pairs = load_tokenizer(card).encode_pairs(QUERY, TEXTS)
    arrays, states = arrays_of(kind, len(labels)), []
    for text, pair in zip(TEXTS, pairs, strict=True):
        wanted = reference.encode(QUERY, text)
        assert (pair.ids, pair.types) == (wanted.ids, wanted.type_ids)
        states.append(hidden(kind, arrays, pair.ids, types=pair.types)[0])
    logits = head_logits(kind, arrays, np.stack(states))
    served = vectors_of(card.folder, [pair.ids for pair in pairs], "cls", [pair.types for pair in pairs])
    found = Head(card.heads[0], card.folder).logits(served)
    assert found.shape == (len(TEXTS), 1)
    wanted = logits[:, 0] if len(labels) == 1 else logits[:, 1] - logits[:, 0]
    assert np.abs(found[:, 0] - wanted).max() < 1e-4


def test_the_kind_of_each_text_matters_where_the_model_has_kinds(tmp_path: Path) -> None:
    card = converted(tmp_path, "bert", ("LABEL_0",))
    pairs = load_tokenizer(card).encode_pairs(QUERY, TEXTS)
    ids = [pair.ids for pair in pairs]
    plain = vectors_of(card.folder, ids, "cls")
    typed = vectors_of(card.folder, [*ids, ids[0]], "cls", [*(pair.types for pair in pairs), []])
    assert np.abs(plain - typed[:-1]).max() > 0.05
    assert np.abs(plain[0] - typed[-1]).max() < 1e-5, "a row without kinds, in a batch with rows that have them"


def test_kinds_of_text_are_left_out_where_the_model_has_one(tmp_path: Path) -> None:
    """RoBERTa's kin: the tokenizers of some of its models state two kinds."""
    card = converted(tmp_path, "xlm-roberta", ("LABEL_0",))
    row = load_tokenizer(card).encode_row(TEXTS[0])
    plain, typed = vectors_of(card.folder, [row], "cls"), vectors_of(card.folder, [row], "cls", [[1] * len(row)])
    assert np.array_equal(plain, typed)


def test_int8_is_held_to_the_same_weights_in_float32(tmp_path: Path) -> None:
    figures = {figure.metric: figure for figure in converted(tmp_path, "bert", ("LABEL_0",), "int8_float32").figures}
    figure = figures["largest difference of a probability as served"]
    assert 0 < figure.value < 0.1
    assert figure.rows >= 5


def test_what_is_no_reranker_stays_a_classifier(tmp_path: Path) -> None:
    source = write(tmp_path / "hub", "bert", labels=("no", "yes"))
    assert read_card(convert(open_path(source), tmp_path / "models", "mine", Request())).task == "classification"


def test_names_for_labels_and_a_context_without_room_are_refused(tmp_path: Path) -> None:
    source = open_path(write(tmp_path / "hub", "bert", labels=("LABEL_0",)))
    with pytest.raises(CannotConvert, match="it has no labels to name"):
        convert(source, tmp_path / "models", "mine", Request(labels=("x",)))
    with pytest.raises(CannotConvert, match="no room for a pair of texts"):
        convert(source, tmp_path / "models", "mine", Request(context_tokens=8))
