"""Ids and headers of every answer, and the access line and key of every request."""

import hashlib
import json
import logging
from typing import Any

import pytest

from server import logs

pytestmark = pytest.mark.anyio

WORD = "xylophone"


async def test_a_sane_request_id_of_the_caller_is_kept(served: Any, logged: Any) -> None:
    response = await served.http.get("/health", headers={"x-request-id": "trace-1/a:b"})
    assert response.headers["x-request-id"] == "trace-1/a:b"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'a"b', "a\x7fb"])
async def test_an_odd_request_id_is_replaced(served: Any, given: str) -> None:
    response = await served.http.get("/health", headers={"x-request-id": given})
    assert response.headers["x-request-id"].startswith("req_")


async def test_every_answer_has_an_id_a_version_and_a_time(served: Any) -> None:
    ids = set()
    for path in ("/health", "/nix", "/metrics", "/v1/models", "/v1/chat/completions"):
        headers = (await served.http.get(path)).headers
        assert headers["openai-version"]
        assert int(headers["openai-processing-ms"]) >= 0
        ids.add(headers["x-request-id"])
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/sentiment", {"input": ["a", "b", "c"]}),
        ("/v1/embeddings", {"input": ["a", "b", "c"]}),
        ("/v1/translations", {"input": ["ab", "cd", "ef"], "source": "en", "target": "de"}),
        ("/v1/completions", {"prompt": ["ab", "cd", "ef"]}),
        ("/v1/completions", {"prompt": ["ab", "cd", "ef"], "stream": True}),
    ],
)
async def test_inference_routes_tell_where_the_time_went(served: Any, path: str, body: dict[str, Any]) -> None:
    headers = (await served.post(path, **body)).headers
    names = ["x-queue-time", "x-tokenization-time", "x-total-time"]
    if not body.get("stream"):
        names.append("x-inference-time")
    times = [float(headers[name]) for name in names]
    assert all(time >= 0 for time in times)
    assert headers["x-batch-size"] == "3"


async def test_the_access_line_has_facts_and_no_text(served: Any, logged: Any) -> None:
    await served.post("/v1/sentiment", input=f"I like the {WORD}.")
    await served.http.get(f"/{WORD}?q={WORD}")
    await served.http.get(f"/v1/models/{WORD}")
    done, lost, unknown = logged()
    assert {"method": "POST", "endpoint": "/v1/sentiment", "status": 200, "model": "sentiment"}.items() <= done.items()
    assert done["prompt_tokens"] > 0
    assert done["batch_rows"] == 1
    assert lost["endpoint"] == "unmatched"
    assert unknown["endpoint"] == "/v1/models/{name}"
    assert WORD not in repr(logged())


async def test_no_text_gets_into_the_metrics(served: Any) -> None:
    await served.post("/v1/sentiment", input=WORD, model=None)
    await served.post("/v1/sentiment", input="a", model=WORD)
    await served.http.request(WORD.upper(), f"/{WORD}")
    await served.post("/v1/translations", input=WORD, source=WORD, target=WORD)
    assert WORD not in (await served.http.get("/metrics")).text.lower()


def record() -> logging.LogRecord:
    made = logging.LogRecord("server.x", logging.INFO, "", 0, "done %d", (3,), None)
    made.facts = {"status": 200, "model": None}
    return made


def test_a_json_line_has_the_requests_id_and_the_facts() -> None:
    token = logs.request_id.set("req_7")
    line = json.loads(logs.JsonLines().format(record()))
    logs.request_id.reset(token)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info", "logger": "server.x", "message": "done 3", "request_id": "req_7", "status": 200,
    }  # fmt: skip


def test_a_text_line_can_be_read() -> None:
    assert logs.TextLines().format(record()).endswith("INFO    done 3 status=200")


@pytest.mark.parametrize("form", [logs.JsonLines(), logs.TextLines()])
def test_an_exception_is_in_the_log(form: logging.Formatter) -> None:
    try:
        raise RuntimeError("why")
    except RuntimeError as error:
        made = record()
        made.exc_info = (RuntimeError, error, error.__traceback__)
    assert "RuntimeError: why" in form.format(made)


KEY = "sk-hearth"
HASH = hashlib.sha256(KEY.encode()).hexdigest()


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer wrong"}, {"authorization": KEY}, {"authorization": f"Basic {KEY}"},
     {"authorization": f"Bearer {HASH}"}, {"authorization": "Bearer "}],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/nix", "/v1/sentiment"])
async def test_without_a_known_key_there_is_a_401(serving: Any, headers: dict[str, str], path: str) -> None:
    async with serving(api_keys=(HASH,)) as served:
        response = await served.http.get(path, headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["type"] == "authentication_error"
        assert response.headers["www-authenticate"] == "Bearer"
        assert served.metrics.value("requests_rejected_total", "invalid_api_key") == 1


async def test_a_known_key_opens_and_probes_need_none(serving: Any) -> None:
    async with serving(api_keys=("0" * 64, HASH)) as served:
        assert (await served.http.get("/v1/models", headers={"authorization": f"Bearer {KEY}"})).status_code == 200
        assert (await served.http.get("/v1/models", headers={"authorization": f"bearer {KEY}"})).status_code == 200
        for path in ("/health", "/ready", "/docs", "/openapi.json"):
            assert (await served.http.get(path)).status_code == 200


async def test_browsers_of_a_named_origin_may_ask_also_with_keys(serving: Any) -> None:
    headers = {
        "origin": "https://a.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    async with serving(api_keys=(HASH,), cors_origins=("https://a.example",)) as served:
        preflight = await served.http.options("/v1/chat/completions", headers=headers)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://a.example"
        refused = await served.http.get("/v1/models", headers={"origin": "https://a.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://a.example"
        foreign = await served.http.options("/v1/chat/completions", headers={**headers, "origin": "https://b.example"})
        assert "access-control-allow-origin" not in foreign.headers


async def test_no_origin_may_ask_unless_told(served: Any) -> None:
    response = await served.http.get("/v1/models", headers={"origin": "https://a.example"})
    assert "access-control-allow-origin" not in response.headers
