"""``POST /mcp`` by its messages: tools, keys, metrics, cancellation. The official client is in ``tests/compat``."""

import asyncio
import hashlib
import importlib.util
import json
from typing import Any

import pytest

from server.errors import Unavailable
from tests.api.raw_connection import Connection

pytestmark = pytest.mark.anyio

ACCEPT = {"accept": "application/json, text/event-stream"}


async def send(served: Any, method: str, headers: dict[str, str] | None = None, **params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    return await served.http.post("/mcp", json=body, headers=ACCEPT | (headers or {}))


async def call(served: Any, name: str, headers: dict[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
    answer = await send(served, "tools/call", headers, name=name, arguments=arguments)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()["result"]
    return result


async def test_the_tools_are_those_that_a_model_serves(served: Any) -> None:
    tools = {tool["name"]: tool for tool in (await send(served, "tools/list")).json()["result"]["tools"]}
    assert list(tools) == ["translate", "classify", "moderate", "decide", "rank", "summarize", "chat"]
    for tool in tools.values():
        assert tool["inputSchema"]["additionalProperties"] is False
        assert all(field["description"] for field in tool["inputSchema"]["properties"].values())
        assert tool["annotations"]["readOnlyHint"] is True
    models = tools["classify"]["inputSchema"]["properties"]["model"]["enum"]
    assert models == ["moderation", "sentiment", "sentiment-multilingual"]


@pytest.mark.parametrize(
    ("name", "arguments", "key"),
    [
        ("translate", {"text": "Good morning.", "source": "en", "target": "de"}, "translations"),
        ("translate", {"text": ["Good morning.", "Bye."], "target": "de"}, "translations"),
        ("classify", {"text": ["a", "b"]}, "classifications"),
        ("classify", {"text": "a", "model": "moderation"}, "classifications"),
        ("moderate", {"text": "a"}, "results"),
        ("decide", {"text": "a", "question": "What?", "choices": ["x", "y"]}, "probabilities"),
        (
            "decide",
            {"text": "a", "question": "What?", "choices": ["positive", "negative"], "model": "sentiment"},
            "choice",
        ),
        ("rank", {"query": "a", "documents": ["b", "a"]}, "results"),
        ("summarize", {"text": "One is here. Two is there.", "max_sentences": 1}, "sentences"),
        ("chat", {"prompt": "Hi", "model": "assistant", "system": "Be kind."}, "text"),
    ],
)
async def test_each_tool_answers_in_words_and_in_data(
    served: Any, name: str, arguments: dict[str, Any], key: str
) -> None:
    result = await call(served, name, **arguments)
    assert not result.get("isError"), result
    (content,) = result["content"]
    assert content["text"]
    assert result["structuredContent"][key]


async def test_the_nearest_document_comes_first(served: Any) -> None:
    result = await call(served, "rank", query="a", documents=["b", "a", "c"], top_n=2)
    ranked = result["structuredContent"]["results"]
    assert ranked[0]["index"] == 1
    assert ranked[0]["score"] == pytest.approx(1, abs=1e-3)
    assert len(ranked) == 2


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("translate", {"text": "a"}, "'target' is missing"),
        ("translate", {"text": "a", "target": "xx"}, "xx"),
        ("translate", {"txt": "a", "target": "de"}, "Did you mean 'text'?"),
        ("classify", {"text": "", "model": "sentiment"}, "empty"),
        ("classify", {"text": "a", "model": "nobody"}, "nobody"),
        ("rank", {"query": "a", "documents": []}, "documents"),
        ("decide", {"text": "a", "question": "?", "choices": ["x"]}, "choices"),
        ("summarize", {"text": "...", "max_words": 5}, "no sentence"),
        ("chat", {"prompt": "a", "model": "embed"}, "embed"),
    ],
)
async def test_a_wrong_call_is_told_to_the_model(served: Any, name: str, arguments: dict[str, Any], words: str) -> None:
    result = await call(served, name, **arguments)
    assert result["isError"] is True
    assert words in result["content"][0]["text"]


async def test_an_unknown_tool_or_method_is_an_error_of_the_protocol(served: Any) -> None:
    answer = (await send(served, "tools/call", name="magic", arguments={})).json()
    assert answer["error"]["message"] == "There is no tool 'magic'."
    assert (await send(served, "magic/list")).json()["error"]["code"] == -32601


async def test_a_failure_of_an_engine_tells_nothing_of_the_inside(served: Any) -> None:
    served.engines["embed"].fails = True
    result = await call(served, "rank", query="a", documents=["b"])
    assert result["isError"] is True
    assert "secret" not in json.dumps(result)


async def test_a_server_that_drains_tells_the_model_so(served: Any) -> None:
    served.registry.refuse(Unavailable("The server is shutting down."))
    assert (await send(served, "tools/list")).status_code == 200
    result = await call(served, "rank", query="a", documents=["b"])
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith("The server is shutting down.")
    served.registry.refuse(None)


async def test_there_is_nothing_to_get_and_no_session_to_end(served: Any) -> None:
    for method in ("GET", "DELETE"):
        assert (await served.http.request(method, "/mcp", headers=ACCEPT)).status_code == 405


async def test_a_notification_is_accepted(served: Any) -> None:
    body = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = await served.http.post("/mcp", json=body, headers=ACCEPT)
    assert (answer.status_code, answer.content) == (202, b"")


@pytest.mark.parametrize("body", [b"{", b"[]", b"1", b'{"a": 1, "a": 2}', b"null", b'{"jsonrpc": "2.0", "id": 1}'])
async def test_what_is_no_message_is_refused(served: Any, body: bytes) -> None:
    headers = {"content-type": "application/json", **ACCEPT}
    answer = await served.http.post("/mcp", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


async def test_a_call_counts_at_its_own_route(served: Any) -> None:
    await call(served, "classify", text="a", model="sentiment")
    assert served.metrics.value("http_requests_total", "/mcp", "POST", "200") == 1
    assert served.metrics.value("http_requests_total", "/predict", "POST", "200") == 1
    assert served.metrics.value("prompt_tokens_total", "sentiment") == 3


async def test_a_key_opens_its_models_and_pays_for_calls_alone(serving: Any, tmp_path: Any) -> None:
    secret = hashlib.sha256(b"sk-a").hexdigest()
    file = tmp_path / "keys.toml"
    file.write_text(f'[[keys]]\nsha256 = "{secret}"\nname = "a"\nmodels = ["sentiment"]\nrate_rpm = 2\n')
    async with serving(api_keys_file=str(file), clock=lambda: 0.0) as served:
        assert (await send(served, "tools/list")).status_code == 401
        key = {"authorization": "Bearer sk-a"}
        for _ in range(3):
            tools = (await send(served, "tools/list", key)).json()["result"]["tools"]
        assert [tool["name"] for tool in tools] == ["classify", "decide"]
        assert tools[0]["inputSchema"]["properties"]["model"]["enum"] == ["sentiment"]
        assert not (await call(served, "classify", key, text="a")).get("isError")
        other = await call(served, "decide", key, text="a", question="?", choices=["x", "y"], model="embed")
        assert other["isError"] is True
        late = await call(served, "classify", key, text="a")
        assert late["isError"] is True
        assert "2 requests a minute" in late["content"][0]["text"]


async def test_pages_of_other_servers_are_refused(serving: Any) -> None:
    async with serving(cors_origins=("https://ours.example",)) as served:
        for origin, status in (
            ("http://t", 200), ("https://ours.example", 200), ("https://evil.example", 403), ("null", 403),
        ):  # fmt: skip
            answer = await send(served, "tools/list", {"origin": origin})
            assert answer.status_code == status, origin
        answer = await send(served, "tools/list", {"host": "evil.example", "origin": "http://evil.example"})
        assert answer.status_code == 403, "the page made its own name point here"


async def test_a_caller_that_leaves_ends_the_work_of_its_tool(served: Any, connection: Connection, until: Any) -> None:
    engine = served.engines["embed"]
    engine.gate.clear()
    params = {"name": "rank", "arguments": {"query": "a", "documents": ["b"]}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    task = asyncio.create_task(connection.run(served.app, "/mcp", body))
    await until(lambda: engine.began.is_set())
    connection.gone.set()
    await until(lambda: served.metrics.value("client_disconnected_total", "/v1/rerank") == 1)
    await until(lambda: served.metrics.value("client_disconnected_total", "/mcp") == 1)
    await until(lambda: len(engine.dropped) == 2)
    await task


async def test_without_the_extra_the_route_says_what_to_install(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("server.api.mcp.route.find_spec", lambda name: None if name == "mcp" else found(name))
    answer = await send(served, "tools/list")
    assert answer.status_code == 404
    assert "pip install 'mcp<3,>=2.3'" in answer.json()["error"]["message"]
