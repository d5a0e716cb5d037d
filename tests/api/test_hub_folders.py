"""Served models from hubs: clients get the same results as direct calls of the libraries."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ctranslate2
import httpx
import numpy as np
import pytest
import sentencepiece
import tokenizers

from models.cards import TranslationSpec
from models.families import m2m100
from models.registry import load_family, read_card
from models.tokenizers import load_tokenizer
from server.engines.ct2 import TranslatorEngine
from server.engines.kinds import EngineSpec
from server.engines.rows import Translated
from server.tasks.translation.marks import Marked
from server.tasks.translation.rows import Rows
from tests.hub_folders import POSITIONS, SENTENCES, write_classifier, write_translator
from tests.server_process import serving

LABELS = ("NEGATIVE", "POSITIVE")
CODES = {"en": "eng_Latn", "de": "deu_Latn", "zh-Hant": "zho_Hant"}

MOST = POSITIONS - 2
ONE_WAY = TranslationSpec(("en", "de"), "", 1, 3.0, (("en", "de"),), max_target_tokens=MOST)
NLLB = TranslationSpec(tuple(CODES), "{language}", 1, 3.0, codes=CODES, max_target_tokens=MOST)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    folder: Path = tmp_path_factory.mktemp("models")
    write_classifier(folder / "moods", LABELS, "relu")
    write_translator(folder / "one-way", "marian", ONE_WAY)
    write_translator(folder / "nllb", "m2m100", NLLB)
    with serving(models_dir=folder) as served, served.client() as client:
        yield SimpleNamespace(folder=folder, client=client)


class Sink:
    """An outbox that keeps the outcomes."""

    def __init__(self) -> None:
        self.outcomes: dict[int, Translated] = {}

    def done(self, row: int, outcome: Translated) -> None:
        self.outcomes[row] = outcome


def decoded(folder: Path, *directions: tuple[str, str]) -> list[list[str]]:
    """The tokens that the engine makes of the rows that the task makes, all in one call."""
    card = read_card(folder)
    assert card.translation is not None
    rows = Rows(load_tokenizer(card), load_family(card), card.translation, POSITIONS)
    engine, sink = TranslatorEngine(EngineSpec("ct2-translator", str(folder))), Sink()
    engine.run([rows.row(Marked(SENTENCES[0]), *pair, 1) for pair in directions], sink)  # type: ignore[arg-type]
    engine.close()
    return [list(sink.outcomes[i].hypotheses[0].tokens) for i in range(len(directions))]


def by_hand(folder: Path, row: list[str], prefix: list[str]) -> list[str]:
    translator = ctranslate2.Translator(str(folder), inter_threads=1, intra_threads=1)
    options: dict[str, Any] = {"target_prefix": [prefix]} if prefix else {}
    most = MOST + len(prefix)
    tokens: list[str] = translator.translate_batch([row], beam_size=1, max_decoding_length=most, **options)[
        0
    ].hypotheses[0]
    del translator
    return tokens[len(prefix) :]


def ask(client: httpx.Client, **fields: Any) -> Any:
    return client.post("/v1/translations", json={"input": SENTENCES[0], "beam_size": 1, **fields}).json()


def pieces(folder: Path) -> list[str]:
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.model"))
    found: list[str] = model.encode(SENTENCES[0], out_type=str)
    return found


def test_a_head_after_relu_scores_the_first_token(world: SimpleNamespace) -> None:
    folder = world.folder / "moods"
    ids = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode(SENTENCES[0]).ids
    encoder = ctranslate2.Encoder(str(folder), inter_threads=1, intra_threads=1)
    first = np.array(encoder.forward_batch([ids]).last_hidden_state)[0, 0]
    del encoder
    with np.load(folder / "head.npz") as head:
        hidden = np.maximum(head["dense_weight"] @ first + head["dense_bias"], 0)
        powers = np.exp(head["weight"] @ hidden + head["bias"])
    wanted = powers / powers.sum()
    scores = world.client.post("/v1/sentiment", json={"input": SENTENCES[0]}).json()["data"][0]["scores"]
    assert [scores["negative"], scores["positive"]] == pytest.approx(wanted, abs=1e-4)
    predicted = world.client.post("/predict", json={"inputs": SENTENCES[0]}).json()
    assert {each["label"]: each["score"] for each in predicted} == pytest.approx(
        dict(zip(LABELS, wanted, strict=True)), abs=1e-4
    )


def test_marian_reads_pieces_and_an_end(world: SimpleNamespace) -> None:
    folder = world.folder / "one-way"
    assert decoded(folder, ("en", "de")) == [by_hand(folder, [*pieces(folder), "</s>"], [])]


def test_nllb_is_told_both_languages_by_its_own_names(world: SimpleNamespace) -> None:
    folder = world.folder / "nllb"
    directions = (("en", "zh-Hant"), ("en", "de"), ("de", "zh-Hant"))
    made = decoded(folder, *directions)
    for (source, target), tokens in zip(directions, made, strict=True):
        assert tokens == by_hand(folder, [CODES[source], *pieces(folder), "</s>"], [CODES[target]])
    assert made[0] != made[1]
    assert m2m100.source_row(NLLB, ["x"], source="de", target="en") == ["deu_Latn", "x", "</s>"]


def test_a_translation_never_outgrows_the_decoders_positions(world: SimpleNamespace) -> None:
    words = " ".join(SENTENCES[0].rstrip(".").split() * 2)
    for model in ("nllb", "one-way"):
        assert "data" in ask(world.client, model=model, source="en", target="de", input=words)


def test_the_model_of_a_direction_is_found(world: SimpleNamespace) -> None:
    assert ask(world.client, source="en", target="de")["model"] == "one-way"
    assert ask(world.client, source="en", target="zh-Hant")["model"] == "nllb"
    assert ask(world.client, source="zh-Hant", target="xx")["error"]["param"] == "target"
    listed = world.client.get("/v1/models/nllb").json()
    assert listed["languages"] == list(CODES)
