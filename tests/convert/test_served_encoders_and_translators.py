"""From a hub's repositories to answers: a server serves the converted models, and real clients call it."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from libretranslatepy import LibreTranslateAPI
from openai import OpenAI

from models.convert import Request, convert, open_path
from models.convert.contract import Quantization
from models.registry import read_card
from models.tokenizers import load_tokenizer
from tests.convert import bare_encoders as encoders
from tests.convert import bare_translators as translators
from tests.convert.encoder_repositories import write_pipeline
from tests.server_process import serving

TEXT = "The harbour was quiet when the ferry came in."


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Four converted models in one server, and the repositories they come from."""
    hub, models = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("models")
    encoders.write(hub / "moods", "distilbert", labels=("NEGATIVE", "POSITIVE"))
    encoders.write(hub / "vectors", "mpnet")
    write_pipeline(hub / "vectors")
    translators.write_marian(hub / "opus-mt-en-mul", ("deu", "fra"), source_lang="eng")
    translators.write_m2m100(hub / "m2m100")
    for repository in sorted(hub.iterdir()):
        # Random weights make a classifier sharp, and trained tokenizers differ from run to run: int8 is too rough.
        exact: Quantization = "float32" if repository.name == "moods" else "int8_float32"
        convert(open_path(repository), models, repository.name, Request(exact, check="structure"))
    with serving(models_dir=models) as served, served.client() as client:
        yield SimpleNamespace(url=served.url, client=client, models=models)


def states(world: SimpleNamespace, model: str, kind: str, labels: int = 0) -> np.ndarray:
    """What the weights compute of the text."""
    ids = load_tokenizer(read_card(world.models / model)).encode_row(TEXT)
    return encoders.hidden(kind, encoders.arrays_of(kind, labels), ids)


def test_a_mood_is_that_of_the_original(world: SimpleNamespace) -> None:
    arrays = encoders.arrays_of("distilbert", 2)
    first = states(world, "moods", "distilbert", 2)[0]
    inner = np.maximum(first @ arrays["pre_classifier.weight"].T + arrays["pre_classifier.bias"], 0)
    powers = np.exp(inner @ arrays["classifier.weight"].T + arrays["classifier.bias"])
    wanted = powers / powers.sum()
    answers = {
        route: world.client.post(route, json=body).json()
        for route, body in {
            "/v1/sentiment": {"input": TEXT},
            "/predict": {"inputs": TEXT},
            "/classify": {"model": "moods", "input": TEXT},
            "/v1/moderations": {"input": TEXT},
        }.items()
    }
    scores = answers["/v1/sentiment"]["data"][0]["scores"]
    assert np.allclose([scores["negative"], scores["positive"]], wanted, atol=1e-3)
    predicted = {each["label"]: each["score"] for each in answers["/predict"]}
    assert predicted["NEGATIVE"] == pytest.approx(scores["negative"], abs=1e-6)  # the repository's own label
    assert answers["/classify"]["data"][0]["probs"] == pytest.approx(list(scores.values()), abs=1e-6)
    assert answers["/v1/moderations"]["error"]["code"] == "model_not_found"


def test_a_vector_is_that_of_the_original(world: SimpleNamespace) -> None:
    hidden = states(world, "vectors", "mpnet").mean(0)
    client = OpenAI(base_url=f"{world.url}/v1", api_key="none", max_retries=0)
    found = np.array(client.embeddings.create(model="vectors", input=TEXT).data[0].embedding)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-3)
    assert found @ hidden / np.linalg.norm(hidden) > 0.97
    client.close()


def test_the_model_of_a_direction_translates(world: SimpleNamespace) -> None:
    def ask(**fields: object) -> dict:
        return world.client.post("/v1/translations", json={"input": TEXT, **fields}).json()

    assert ask(source="en", target="fr")["model"] == "opus-mt-en-mul"
    assert ask(source="en", target="ja")["model"] == "m2m100"
    assert ask(source="fr", target="zu")["model"] == "m2m100"
    assert ask(model="opus-mt-en-mul", source="en", target="ja")["error"]["param"] == "target"
    assert ask(source="en", target="xx")["error"]["param"] == "target"
    first = ask(model="opus-mt-en-mul", source="en", target="de")
    assert first["data"][0]["text"] != ask(model="opus-mt-en-mul", source="en", target="fr")["data"][0]["text"]


def test_the_peers_list_the_languages_of_all_and_translate(world: SimpleNamespace) -> None:
    libre = LibreTranslateAPI(world.url)
    listed = {language["code"]: language["targets"] for language in libre.languages()}
    assert len(listed) == 100
    assert {"de", "fr", "ja"} <= set(listed["en"])
    assert isinstance(libre.translate(TEXT, "en", "ja"), str)
