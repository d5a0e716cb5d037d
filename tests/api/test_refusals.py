"""Errors that people and libraries can use: the right status, the right shape, a remedy, no internal details."""

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.api.errors import OPENAI, PEERS, peer_of
from server.serving.folders import Folders
from server.serving.registry import Broken, ModelRegistry
from tests.poison import copied, damage

pytestmark = pytest.mark.anyio

CHAT: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}
KEY = "sk-key"


def shape_of(response: httpx.Response) -> set[str]:
    body = response.json()
    return {f"error.{name}" for name in body["error"]} if isinstance(body.get("error"), dict) else set(body)


SHAPES = {
    "/translate": {"error"},
    "/detect": {"error"},
    "/translate_file": {"error"},
    "/v2/translate": {"message"},
    "/v2/glossaries/x": {"message"},
    "/v2/rerank": {"message"},
    "/embed": {"error", "error_type"},
    "/pipeline/token-classification": {"error", "error_type"},
    "/v3/nothing": {"message"},
    "/predict": {"error", "error_type"},
    "/rerank": {"error", "error_type"},
    "/classify": {"error.message", "error.type", "error.param", "error.code"},
    "/api/chat": {"error"},
    "/api/pull": {"error"},
    "/v1/messages": {"error.type", "error.message"},
    "/v1/messages/batches": {"error.type", "error.message"},
    "/v1/nothing": {"error.message", "error.type", "error.param", "error.code"},
}


@pytest.mark.parametrize("path", SHAPES)
async def test_each_refusal_of_a_path_has_the_shape_of_its_peer(serving: Any, path: str) -> None:
    """404 or 405, 413, a name that is not ours, no key: whoever refuses."""
    refused = []
    async with serving(max_body_bytes=100) as served:
        refused.append(await served.http.delete(path))
        refused.append(await served.http.post(path, content=b" " * 200, headers={"content-type": "application/json"}))
        refused.append(await served.http.post(path, headers={"host": "evil.example"}, json={}))
    async with serving(api_keys=(hashlib.sha256(KEY.encode()).hexdigest(),)) as served:
        refused.append(await served.http.post(path, json={"text": "Hi", "q": "Hi", "target": "de", "source": "en"}))
    for response in refused:
        assert response.status_code >= 400
        assert shape_of(response) == SHAPES[path], (response.status_code, response.text)


def test_the_description_and_the_answers_come_from_one_table() -> None:
    assert peer_of("/v1/chat/completions") is OPENAI
    paths = ("/v2/rerank", "/translate", "/v2/usage", "/predict", "/api/tags", "/v1/messages")
    for path, peer in zip(paths, PEERS, strict=True):
        assert peer_of(path) is peer


@pytest.mark.parametrize(
    ("path", "body", "param", "says"),
    [
        ("/v1/chat/completions", {**CHAT, "stop": 5}, "stop", "a string or a list"),
        ("/v1/chat/completions", {**CHAT, "stop": ["a", 5]}, "stop.1", "a string"),
        ("/v1/chat/completions", {**CHAT, "stop": ["a", ""]}, "stop.1", "at least 1 character"),
        ("/v1/chat/completions", {**CHAT, "tool_choice": 5}, "tool_choice", "a string or an object"),
        ("/v1/chat/completions", {**CHAT, "messages": [{"role": "king"}]}, "messages.0.role", "'tool'"),
        ("/v1/responses", {"input": 5}, "input", "a string or a list"),
        ("/v1/responses", {"input": [{"role": "user", "content": 5}]}, "input.0.content", "a string"),
        ("/v1/responses", {"input": []}, "input", "at least 1"),
        ("/v1/decisions", {"model": "embed", "input": "Hi", "questions": [{"type": "choice", "instructions": "?",
         "choices": [{"value": 5}, {"value": "b"}]}]}, "questions.0.choices.0.value", "a string or true or false"),
        ("/predict", {"inputs": ["a", "b"]}, None, "Input 0 is a pair of texts"),
        ("/predict", {"inputs": 5}, None, "'inputs': must be"),
    ],
)  # fmt: skip
async def test_the_error_of_a_union_names_the_branch_that_was_meant(
    served: Any, path: str, body: dict[str, Any], param: str | None, says: str
) -> None:
    response = await served.post(path, **body)
    error = response.json()["error"]
    assert response.status_code in (400, 422)
    assert says in (error if isinstance(error, str) else error["message"])
    assert isinstance(error, str) or error["param"] == param


async def test_a_reference_to_a_stored_item_is_refused_with_the_way_out(served: Any) -> None:
    items = [{"role": "user", "content": "Hi"}, {"type": "item_reference", "id": "msg_1"}]
    error = (await served.post("/v1/responses", model="assistant", input=items)).json()["error"]
    assert error["param"] == "input.1.type"
    assert "'store': false" in error["message"]


@pytest.mark.parametrize("sent", ["org/model-1.5", "org%2Fmodel-1.5"])
async def test_a_model_id_with_a_slash_can_be_asked_for(serving: Any, sent: str) -> None:
    async with serving(aliases={"org/model-1.5": "assistant"}) as served:
        found = await served.http.get(f"/v1/models/{sent}")
        assert found.status_code == 200, found.text
        assert found.json()["id"] == "org/model-1.5"
        assert (await served.http.get(f"/v1/models/{sent}-b")).json()["error"]["code"] == "model_not_found"
        for path in ("/models/load", "/models/unload"):
            assert (await served.post(path, model="org/model-1.5")).status_code == 200


@pytest.mark.parametrize("name", ["omni-moderation-latest", "text-moderation-latest", "text-moderation-stable"])
async def test_openais_names_of_moderation_mean_the_model_that_moderates(serving: Any, name: str) -> None:
    async with serving() as served:
        answer = (await served.post("/v1/moderations", model=name, input="Hi")).json()
        assert answer["model"] == name
        assert served.metrics.value("prompt_tokens_total", "moderation") > 0
    async with serving(aliases={name: "sentiment"}) as served:
        assert (await served.post("/v1/moderations", model=name, input="Hi")).status_code == 404


@pytest.mark.parametrize("file", ["model.bin", "tokenizer.json", "vocabulary.json", "model.toml"])
def test_what_is_wrong_with_a_folder_is_for_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    folder = copied("embed", tmp_path)
    damage(folder, file) if file != "model.toml" else (folder / "more.txt").write_text("not listed")

    def build(_: object) -> Any:
        raise OSError(2, "No such file or directory", str(folder / "heads"))

    folders = Folders([tmp_path], build)
    folders.look()
    (broken,) = folders.entries.values()
    for told in ("No such file", str(tmp_path), "Error", file):
        assert told not in broken.reason  # type: ignore[union-attr]
    assert "log" in broken.reason  # type: ignore[union-attr]
    assert caplog.records[-1].message.count(file) or str(folder) in caplog.records[-1].message


async def test_a_broken_model_tells_its_kind_of_trouble_on_every_way_to_it(serving: Any, shipped: Any) -> None:
    async with serving(broken=[Broken(shipped["embed"][0], "Its files could not be read.")]) as served:
        for response in (
            await served.http.get("/ready"),
            await served.http.get("/v1/models/embed"),
            await served.post("/v1/embeddings", model="embed", input="Hi"),
        ):
            assert "Its files could not be read." in response.text


async def test_a_lookup_without_a_name_knows_only_the_models_it_may(serving: Any) -> None:
    async with serving() as served:
        registry: ModelRegistry = served.registry
        mine = registry.only(lambda name: name in ("sentiment", "translate"))
        assert mine.classifier(None).card.id == "sentiment"
        assert [task.card.id for task in mine.translators()._tasks] == ["translate"]
        assert mine.model("embed").id == "embed"  # named: whether it may be used is said by its key
