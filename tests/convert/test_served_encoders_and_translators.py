"""From a hub's repositories to answers: what was converted is served, and real clients call it."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from libretranslatepy import LibreTranslateAPI
from openai import OpenAI

from models.convert import Request, convert, read_source
from tests.convert import encoder_repositories as encoders
from tests.convert import translator_repositories as translators
from tests.convert.test_encoders import original
from tests.server_process import serving

TEXT = "The harbour was quiet when the ferry came in."


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Four converted models in one server, and the repositories they come from."""
    hub, models = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("models")
    kinds = encoders.KINDS
    encoders.write(
        hub / "moods", kinds["DistilBert"], "ForSequenceClassification", id2label={0: "NEGATIVE", 1: "POSITIVE"}
    )
    encoders.write(hub / "vectors", kinds["XLMRoberta"], "Model")
    encoders.write_pipeline(hub / "vectors")
    translators.write_marian(hub / "opus-mt-en-mul", ("deu", "fra"), source_lang="eng")
    translators.write_m2m100(hub / "m2m100")
    for repository in sorted(hub.iterdir()):
        convert(read_source(repository), models, repository.name, Request())
    with serving(models_dir=models) as served, served.client() as client:
        yield SimpleNamespace(url=served.url, client=client, hub=hub)


def test_a_mood_is_that_of_the_original(world: SimpleNamespace) -> None:
    wanted = original(world.hub / "moods", [TEXT])[0].logits[0].softmax(0).numpy()
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
    assert np.allclose([scores["negative"], scores["positive"]], wanted, atol=0.1)  # int8 on random weights
    predicted = {each["label"]: each["score"] for each in answers["/predict"]}
    assert predicted["NEGATIVE"] == pytest.approx(scores["negative"], abs=1e-6)  # the repository's own label
    assert answers["/classify"]["data"][0]["probs"] == pytest.approx(list(scores.values()), abs=1e-6)
    assert answers["/v1/moderations"]["error"]["code"] == "model_not_found"


def test_a_vector_is_that_of_the_original(world: SimpleNamespace) -> None:
    hidden = original(world.hub / "vectors", [TEXT], "AutoModel")[0].last_hidden_state[0].numpy().mean(0)
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
