"""If no model serves a direction, two models do, through every API; each pass waits in its own model's queue."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.settings import SHIPPED_MODELS
from tests.server_process import serving

GERMAN = "Guten Morgen. Wo ist der Bahnhof?"
ENGLISH = "Where is the station?"
FRENCH = "Bonjour. Où est la gare ?"


def restricted(root: Path, source: str, target: str) -> None:
    """The shipped translator with one direction, under its name."""
    folder = root / f"{source}-{target}"
    folder.mkdir()
    for file in (SHIPPED_MODELS / "translate").iterdir():
        if file.name != "model.toml":
            shutil.copyfile(file, folder / file.name)
    manifest = (SHIPPED_MODELS / "translate" / "model.toml").read_text("utf-8")
    manifest = manifest.replace('id = "translate"', f'id = "{folder.name}"')
    manifest = re.sub(r"languages = \[[^]]*\]", f'languages = ["{source}", "{target}"]', manifest)
    manifest = re.sub(r"\npairs = \[(?:[^][]|\[[^]]*\])*\]", "", manifest)
    pairs = f'pairs = [["{source}", "{target}"]]'
    (folder / "model.toml").write_text(manifest.replace("[translation]", f"[translation]\n{pairs}"), "utf-8")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    restricted(root, "de", "en")
    restricted(root, "en", "fr")
    return root


@pytest.fixture(scope="module")
def client(models: Path) -> Iterator[httpx.Client]:
    with serving("--log-level", "error", models_dir=models) as served, served.client() as made:
        yield made


def translate(client: httpx.Client, given: Any, source: str | None, target: str, **fields: Any) -> dict[str, Any]:
    response = client.post("/v1/translations", json={"input": given, "source": source, "target": target, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_two_models_translate_what_neither_does_and_the_answer_says_so(client: httpx.Client) -> None:
    answer = translate(client, GERMAN, "de", "fr")
    between = translate(client, GERMAN, "de", "en")
    by_hand = translate(client, between["data"][0]["text"], "en", "fr")
    assert answer["model"] == "de-en+en-fr"
    [item], [first], [second] = answer["data"], between["data"], by_hand["data"]
    assert (item["source"], item["target"], item["pivot"]) == ("de", "fr", "en")
    assert (item["via"], first["via"], second["via"]) == (["de-en", "en-fr"], ["de-en"], ["en-fr"])
    assert item["text"] == second["text"]
    assert item["confidence"] == pytest.approx(first["confidence"] * second["confidence"])
    tokens = [each["usage"]["total_tokens"] for each in (answer, between, by_hand)]
    assert tokens[0] == tokens[1] + tokens[2]


def test_a_direct_model_is_taken_alone(client: httpx.Client) -> None:
    answer = translate(client, ENGLISH, None, "fr")
    assert (answer["model"], answer["data"][0]["pivot"]) == ("en-fr", None)


def test_each_text_of_a_list_goes_its_own_way(client: httpx.Client) -> None:
    texts = ["Wo ist der nächste Bahnhof, bitte?", "Where is the nearest station, please?", "12:30"]
    items = translate(client, texts, None, "fr")["data"]
    assert [item["pivot"] for item in items] == ["en", None, None]
    assert [item["via"] for item in items] == [["de-en", "en-fr"], ["en-fr"], []]
    assert items[1]["text"] == translate(client, texts[1], "en", "fr")["data"][0]["text"]
    assert items[2]["text"] == "12:30"


def test_markup_goes_through_both(client: httpx.Client) -> None:
    made = translate(client, "<p>Wo ist der <b>Bahnhof</b>?</p>", "de", "fr", format="html")["data"][0]["text"]
    assert re.fullmatch(r"<p>.*<b>.+</b>.*</p>", made)


def test_a_stream_gives_what_the_whole_answer_has(client: httpx.Client) -> None:
    body = {"input": GERMAN, "source": "de", "target": "fr", "stream": True}
    lines = client.post("/v1/translations", json=body).text.split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    parts = "".join(part["text"] for chunk in chunks[:-1] for part in chunk["data"])
    assert parts == chunks[-1]["data"][0]["text"] == translate(client, GERMAN, "de", "fr")["data"][0]["text"]


def test_other_dialects_chain_as_well(client: httpx.Client) -> None:
    wanted = translate(client, GERMAN, "de", "fr")["data"][0]["text"]
    libre = client.post("/translate", json={"q": GERMAN, "source": "de", "target": "fr"}).json()
    libre.pop("flags", None)  # the model doubts it
    assert libre == {"translatedText": wanted, "via": ["de-en", "en-fr"]}
    several = client.post("/translate", json={"q": [GERMAN, "12"], "source": "de", "target": "fr"}).json()
    assert several["via"] == [["de-en", "en-fr"], ["de-en", "en-fr"]]
    assert "via" not in client.post("/translate", json={"q": GERMAN, "source": "de", "target": "en"}).json()
    deepl = client.post("/v2/translate", json={"text": [GERMAN], "source_lang": "DE", "target_lang": "FR"}).json()
    assert (deepl["translations"][0]["text"], deepl["translations"][0]["via"]) == (wanted, ["de-en", "en-fr"])
    messages = [{"role": "system", "content": "Translate to French."}, {"role": "user", "content": GERMAN}]
    chat = client.post("/v1/chat/completions", json={"model": "de-en", "messages": messages}).json()
    assert chat["choices"][0]["message"]["content"] == wanted


def test_directions_through_two_models_are_listed(client: httpx.Client) -> None:
    targets = {each["code"]: set(each["targets"]) for each in client.get("/languages").json()}
    assert targets["de"] == {"de", "en", "fr"}
    assert targets["fr"] == {"fr"}


def test_what_no_two_models_do_is_refused(client: httpx.Client) -> None:
    response = client.post("/v1/translations", json={"input": FRENCH, "source": "fr", "target": "en"})
    assert response.status_code == 400
    assert "from fr to en" in response.json()["error"]["message"]


def test_a_key_for_one_of_two_models_goes_through_neither(models: Path, tmp_path: Path) -> None:
    keys = []
    for name, ids in (("one", ["de-en"]), ("both", ["de-en", "en-fr"])):
        digest = hashlib.sha256(f"sk-{name}".encode()).hexdigest()
        keys.append(f'[[keys]]\nname = "{name}"\nsha256 = "{digest}"\nmodels = {json.dumps(ids)}\n')
    (tmp_path / "keys.toml").write_text("".join(keys))
    flags = ("--api-keys-file", str(tmp_path / "keys.toml"), "--load", "use", "--log-level", "error")
    body = {"input": GERMAN, "source": "de", "target": "fr"}
    with serving(*flags, models_dir=models) as served, served.client() as client:
        statuses = {}
        for name in ("one", "both"):
            headers = {"authorization": f"Bearer sk-{name}"}
            statuses[name] = client.post("/v1/translations", json=body, headers=headers).status_code
    assert statuses == {"one": 400, "both": 200}
