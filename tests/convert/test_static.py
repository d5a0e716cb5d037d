"""Static embedders: a text's vector is the mean of its tokens' rows, also where tokens share rows and have weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import tokenizers

from models.cards import ModelCard
from models.convert import CannotConvert, Request, convert, open_path
from models.registry import read_card
from tests.convert.decoder_repositories import write_json
from tests.convert.encoder_repositories import word_piece
from tests.convert.test_hostile_files import safetensors_file
from tests.server_process import serving

TEXTS = ["The harbour was quiet when the ferry came in.", "Why do we sleep?", "漢"]
ROWS, WIDTH, SHARED = 408, 16, 50
RANDOM = np.random.default_rng(0)
TABLE = RANDOM.normal(0, 1, (ROWS, WIDTH)).astype(np.float32)
WHOLE = RANDOM.integers(-127, 128, (SHARED, WIDTH)).astype(np.int8)
MAPPING = RANDOM.integers(0, SHARED, ROWS)
WEIGHTS = RANDOM.uniform(0.1, 1, ROWS).astype(np.float32)
KINDS = {"float32": "F32", "int8": "I8", "int64": "I64"}


def repository(folder: Path, arrays: dict[str, np.ndarray], **config: Any) -> Path:
    folder.mkdir(parents=True)
    word_piece().save(str(folder / "tokenizer.json"))
    about = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True, "seq_length": 1000000}
    write_json(folder / "config.json", {**about, **config})
    header, at = {}, 0
    for name, array in arrays.items():
        place = [at, at + array.nbytes]
        header[name] = {"dtype": KINDS[array.dtype.name], "shape": list(array.shape), "data_offsets": place}
        at += array.nbytes
    data = b"".join(array.tobytes() for array in arrays.values())
    (folder / "model.safetensors").write_bytes(safetensors_file(header, data))
    return folder


def imported(folder: Path, models: Path, name: str = "mine") -> ModelCard:
    return read_card(convert(open_path(folder), models, name, Request()))


def wanted(hub: Path, table: np.ndarray, text: str) -> np.ndarray:
    tokenizer = tokenizers.Tokenizer.from_file(str(hub / "tokenizer.json"))
    ids = [id for id in tokenizer.encode(text, add_special_tokens=False).ids if id != tokenizer.token_to_id("[UNK]")]
    mean = table[ids].mean(0) if ids else np.zeros(WIDTH)
    return mean / (np.linalg.norm(mean) or 1)


def test_a_vector_is_the_mean_of_rows(tmp_path: Path) -> None:
    card = imported(repository(tmp_path / "plain", {"embeddings": TABLE}), tmp_path / "models", "plain")
    assert card.embedding is not None
    assert (card.family, card.embedding.dimensions, card.context_length_tokens) == ("static", WIDTH, 512)
    shared = {"mapping": MAPPING, "weights": WEIGHTS, "embeddings": WHOLE}
    imported(repository(tmp_path / "shared", shared), tmp_path / "models", "shared")
    tables = {"plain": TABLE, "shared": WHOLE[MAPPING] * WEIGHTS[:, None]}
    with serving("--log-level", "error", models_dir=tmp_path / "models") as served:
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
        for model, table in tables.items():
            for text, each in zip(TEXTS, client.embeddings.create(model=model, input=TEXTS).data, strict=True):
                assert np.abs(np.array(each.embedding) - wanted(tmp_path / model, table, text)).max() < 0.02, (
                    model,
                    text,
                )
        client.close()


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"embeddings": TABLE, "mapping": MAPPING * 100}, "name rows that the table has not"),
        ({"embeddings": TABLE, "weights": WEIGHTS[:5]}, "are not one number for each token"),
        ({"embeddings": TABLE, "layer.weight": TABLE}, "no table of vectors alone: layer.weight"),
        ({"embeddings": TABLE[:100]}, "tokens more than the model has embeddings"),
        ({"embeddings": TABLE * np.float32(np.nan)}, "infinite, or none"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, arrays: dict[str, np.ndarray], why: str) -> None:
    with pytest.raises(CannotConvert, match=why):
        imported(repository(tmp_path / "hub", arrays), tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_no_token_stands_around_a_text(tmp_path: Path) -> None:
    card = imported(repository(tmp_path / "hub", {"embeddings": TABLE}), tmp_path / "models")
    assert json.loads((card.folder / "tokenizer.json").read_text())["post_processor"] is None
