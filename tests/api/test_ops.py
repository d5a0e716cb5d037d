"""Liveness, readiness, the list of models, and documentation that needs no network."""

import re
from typing import Any

import pytest
from openai.types import Model

from server.errors import Unavailable
from server.serving.registry import Broken

pytestmark = pytest.mark.anyio


async def test_health_says_that_the_process_answers(served: Any) -> None:
    served.engines["sentiment"].state = "failed"
    response = await served.http.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_ready_says_yes_when_every_model_answers(served: Any) -> None:
    response = await served.http.get("/ready")
    assert response.status_code == 200
    assert set(response.json()["models"]) == set(served.engines)


@pytest.mark.parametrize("state", ["loading", "restarting", "failed"])
async def test_ready_says_why_not(served: Any, state: str) -> None:
    served.engines["sentiment"].state = state
    served.engines["sentiment"].reason = "It has a cold."
    response = await served.http.get("/ready")
    assert response.status_code == 503
    assert response.json()["reasons"] == ["sentiment: It has a cold."]
    assert response.json()["models"]["sentiment"]["state"] == state


async def test_ready_says_that_the_server_drains(served: Any) -> None:
    served.registry.refuse(Unavailable("The server is shutting down."))
    response = await served.http.get("/ready")
    assert response.status_code == 503
    assert "shutting down" in response.json()["reasons"][0]


async def test_a_broken_model_is_listed_with_its_reason(serving: Any, shipped: Any) -> None:
    card, _ = shipped["embed"]
    async with serving(broken=[Broken(card, "Its weights are damaged.")]) as served:
        ready = await served.http.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["models"]["embed"] == {"state": "failed", "reason": "Its weights are damaged."}
        [listed] = [one for one in (await served.http.get("/v1/models")).json()["data"] if one["id"] == "embed"]
        assert (listed["state"], listed["reason"]) == ("failed", "Its weights are damaged.")


async def test_models_are_listed_once_in_openais_shape(served: Any) -> None:
    body = (await served.http.get("/v1/models")).json()
    assert body["object"] == "list"
    ids = [model["id"] for model in body["data"]]
    assert sorted(ids) == sorted(served.engines)
    for model in body["data"]:
        Model.model_validate(model, strict=True)
        assert (await served.http.get(f"/v1/models/{model['id']}")).json() == model


async def test_a_model_says_what_it_can(served: Any) -> None:
    models = {model["id"]: model for model in (await served.http.get("/v1/models")).json()["data"]}
    assert models["sentiment"]["labels"] == {"sentiment": ["negative", "neutral", "positive"]}
    assert "de" in models["translate"]["languages"]
    assert models["embed"]["dimensions"] == 384
    assert models["assistant"]["context_length"] == 1024
    assert models["assistant"]["license"]


async def test_the_documentation_names_no_other_host(served: Any) -> None:
    page = await served.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.findall(r"(?:https?:)?//[a-z]", page.text.replace("// ", ""))


async def test_every_field_of_every_request_is_described_with_an_example(served: Any) -> None:
    api = (await served.http.get("/openapi.json")).json()
    assert api["openapi"].startswith("3.1")
    schemas = api["components"]["schemas"]
    seen = set()

    def look(schema: Any) -> None:
        if isinstance(schema, list):
            for one in schema:
                look(one)
        elif isinstance(schema, dict):
            if (name := schema.get("$ref", "").rsplit("/", 1)[-1]) and name not in seen:
                seen.add(name)
                for field, described in schemas[name].get("properties", {}).items():
                    assert described.get("description"), f"{name}.{field}"
                    inner = "$ref" in str(described)
                    assert described.get("examples") or inner or "default" in described, f"{name}.{field}"
            for one in schema.values():
                look(one)
        for name in list(seen):
            if name not in done:
                done.add(name)
                look(schemas[name])

    done: set[str] = set()
    for methods in api["paths"].values():
        for route in methods.values():
            look(route.get("requestBody", {}))
    assert {"ChatRequest", "UserMessage", "Function", "TranslationRequest"} <= seen


async def test_every_route_is_in_the_description_with_a_sentence(served: Any) -> None:
    api = (await served.http.get("/openapi.json")).json()
    assert {"/v1/chat/completions", "/v1/sentiment", "/metrics", "/tokenize"} <= set(api["paths"])
    for path, methods in api["paths"].items():
        for route in methods.values():
            assert route.get("description"), path


async def test_no_shape_is_named_after_a_module_of_ours(served: Any) -> None:
    """FastAPI takes the module into the name where two classes have one: a move would then change what clients see."""
    api = (await served.http.get("/openapi.json")).json()
    assert [name for name in api["components"]["schemas"] if "__" in name] == []


async def test_the_description_has_our_errors_and_none_that_are_never_sent(served: Any) -> None:
    api = (await served.http.get("/openapi.json")).json()
    answers_422 = {path for path, route in api["paths"].items() for way in route.values() if "422" in way["responses"]}
    theirs = {"decode", "embed", "embed_all", "embed_sparse", "pipeline/token-classification", "predict", "rerank"}
    assert answers_422 == {f"/{path}" for path in (*theirs, "similarity")}  # as text-embeddings-inference does
    assert "HTTPValidationError" not in api["components"]["schemas"]
    route = api["paths"]["/v1/sentiment"]["post"]
    assert {"200", "400", "404", "429", "503"} <= set(route["responses"])
    assert "ProblemBody" in str(route["responses"]["400"])
