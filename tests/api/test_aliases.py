"""A model answers under each of its names, and the answer has the name from the request."""

import json
from dataclasses import replace
from typing import Any

import pytest

from server.serving.served_model import Broken

pytestmark = pytest.mark.anyio

ALIASES = {"gpt-4o-mini": "assistant", "nmt": "translate", "mood": "sentiment", "text-embedding-3-small": "embed"}
CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}


@pytest.mark.parametrize(
    ("path", "name", "body"),
    [
        ("/v1/chat/completions", "gpt-4o-mini", CHAT),
        ("/v1/completions", "gpt-4o-mini", {"prompt": "Hi", "max_tokens": 3}),
        ("/v1/responses", "gpt-4o-mini", {"input": "Hi", "max_output_tokens": 16}),
        ("/v1/embeddings", "text-embedding-3-small", {"input": "Hi"}),
        ("/v1/sentiment", "mood", {"input": "Hi"}),
        ("/v1/translations", "nmt", {"input": "Hi.", "source": "en", "target": "de"}),
        ("/classify", "mood", {"input": "Hi"}),
        (
            "/v1/decisions",
            "text-embedding-3-small",
            {"input": "Hi", "questions": [{"type": "predicate", "instructions": "It greets."}]},
        ),
    ],
)
async def test_requests_by_alias_work_and_are_answered_under_it(
    serving: Any, path: str, name: str, body: dict[str, Any]
) -> None:
    async with serving(aliases=ALIASES) as served:
        response = await served.post(path, model=name, **body)
        assert response.status_code == 200, response.text
        assert response.json()["model"] == name
        assert served.metrics.value("prompt_tokens_total", ALIASES[name]) > 0, "metrics know models, not names"
        assert name not in (await served.http.get("/metrics")).text


async def test_each_chunk_of_a_stream_bears_the_name_it_was_asked_by(serving: Any) -> None:
    async with serving(aliases=ALIASES) as served:
        response = await served.post("/v1/chat/completions", model="gpt-4o-mini", stream=True, **CHAT)
        chunks = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
        assert {chunk["model"] for chunk in chunks} == {"gpt-4o-mini"}


async def test_without_a_name_the_answer_names_the_model(serving: Any) -> None:
    async with serving(aliases=ALIASES) as served:
        assert (await served.post("/v1/sentiment", input="Hi")).json()["model"] == "sentiment"


async def test_aliases_are_listed_with_the_model_behind_them(serving: Any) -> None:
    async with serving(aliases=ALIASES) as served:
        models = {model["id"]: model for model in (await served.http.get("/v1/models")).json()["data"]}
        assert set(models) == {*served.engines, *ALIASES}
        assert {name: models[name]["root"] for name in ALIASES} == ALIASES
        assert models["assistant"]["root"] == "assistant"
        assert (await served.http.get("/v1/models/mood")).json() == models["mood"]
        assert set((await served.http.get("/ready")).json()["models"]) == set(served.engines)


async def test_an_unknown_name_is_told_of_the_aliases_too(serving: Any) -> None:
    async with serving(aliases=ALIASES) as served:
        error = (await served.post("/v1/embeddings", model="ada", input="Hi")).json()["error"]
        assert "text-embedding-3-small" in error["message"]


async def test_an_unloaded_model_is_no_reason_not_to_be_ready(serving: Any) -> None:
    async with serving() as served:
        served.engines["sentiment"].state = "unloaded"
        ready = await served.http.get("/ready")
        assert ready.status_code == 200
        assert ready.json()["models"]["sentiment"] == {"state": "unloaded"}
        text = (await served.http.get("/metrics")).text
        assert 'hearth_model_state{model="sentiment",state="unloaded"} 1.0' in text
        assert 'hearth_model_state{model="sentiment",state="ready"} 0.0' in text


async def test_a_model_brings_names_of_its_own_and_the_operators_go_first(serving: Any, shipped: Any) -> None:
    card = replace(shipped["embed"][0], id="other", aliases=("mood", "other:1b", "assistant"))
    async with serving(aliases=ALIASES, broken=[Broken(card, "It has a cold.")]) as served:
        models = {model["id"]: model["root"] for model in (await served.http.get("/v1/models")).json()["data"]}
        assert (models["other:1b"], models["mood"], models["assistant"]) == ("other", "sentiment", "assistant")
