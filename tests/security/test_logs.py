"""The log never has users' texts, and has one line for each event, whatever the users send."""

import hashlib
import io
import json
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server import logs
from server.settings import Settings
from tests.server_process import serving as process

pytestmark = pytest.mark.anyio

WORD = "xylophone"
OURS = ("server", "models", "uvicorn", "fastapi", "asyncio", "root", "py.warnings")


@pytest.fixture(params=[logs.TextLines(), logs.JsonLines()], ids=["text", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """All that is logged, down to the last detail."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param)
    handler.addFilter(lambda record: record.name.startswith(OURS))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def bodies(schema: Any, schemas: Any) -> list[dict[str, Any]]:
    """Bodies for a route, with the word wherever a text can be: good ones, bad ones, odd ones."""
    schema = schemas.get(schema.get("$ref", "").rsplit("/", 1)[-1], schema)
    names = list(schema.get("properties", {}))
    messages = [{"role": "user", "content": WORD}]
    good = {"messages": messages, "input": WORD, "prompt": WORD, "q": WORD, "text": [WORD], "inputs": WORD}
    languages = {"source": "en", "target": "de", "target_lang": "DE", "source_lang": "EN"}
    base = {name: value for name, value in (good | languages).items() if name in names}
    if "messages" in base and "prompt" in base:
        del base["prompt"]
    made = [base, base | {"model": "assistant"}, base | {"model": WORD}, {WORD: WORD}, {}]
    made += [base | {name: WORD} for name in names]
    made += [base | {name: {WORD: [WORD]}} for name in names]
    made += [base | {"stream": True, "model": name} for name in ("assistant", "translate")] if "stream" in names else []
    return made


async def test_no_word_of_a_user_gets_into_logs_or_metrics(served: Any, written: io.StringIO) -> None:
    served.say(WORD)
    api = (await served.http.get("/openapi.json")).json()
    headers = {"x-a": WORD, "user-agent": WORD, "authorization": f"Bearer {WORD}", "cookie": WORD, "referer": WORD}
    statuses = set()
    for path, methods in api["paths"].items():
        for method, route in methods.items():
            content = route.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            url = path.replace("{name}", WORD) + f"?{WORD}={WORD}&model={WORD}"
            for body in bodies(schema, api["components"]["schemas"]) if schema else [None]:
                raw = None if body is None else json.dumps(body)
                kind = {"content-type": "application/json"}
                answer = await served.http.request(method, url, content=raw, headers=headers | kind)
                statuses.add(answer.status_code)
    for fails in (False, True):
        for name, engine in served.engines.items():
            engine.fails = fails
            await served.post("/v1/completions", model=name, prompt=WORD, stream=True)
        await served.post("/v1/sentiment", input=WORD)
    for raw in (f'{{"input": "{WORD}"', f"{WORD}", f'{{"input": "{WORD}", "input": "{WORD}"}}', f'["{WORD}"]'):
        await served.http.post("/v1/sentiment", content=raw, headers={"content-type": "application/json"})
    await served.http.post("/v1/sentiment", content=WORD, headers={"content-type": WORD})
    await served.http.request(WORD.upper(), f"/{WORD}/%2e%2e/{WORD}")
    assert {200, 400, 404} <= statuses
    lines = written.getvalue()
    assert "/v1/sentiment" in lines
    assert WORD not in lines.lower()
    assert WORD not in (await served.http.get("/metrics")).text.lower()


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x00", "\x1b[2J", "\x85", "\u2028", "\x9b2J"])
async def test_nothing_in_a_request_makes_a_line_of_its_own(served: Any, written: io.StringIO, end: str) -> None:
    forged = f"a{end}2026-01-01T00:00:00.000Z ERROR forged"
    scope_headers = [(b"x-request-id", forged.encode("utf-8")), (b"host", b"t")]
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])
    sent = []

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    path = f"/v1/models/{forged}"
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
        "raw_path": b"/", "query_string": b"", "root_path": "", "scheme": "http", "headers": scope_headers,
        "client": ("127.0.0.1", 1), "server": ("t", 80),
    }  # fmt: skip
    await served.app(scope, receive, send)
    assert sent[0]["status"] == 404
    assert "forged" not in written.getvalue()
    assert not any(b"forged" in value for _, value in sent[0]["headers"])


@pytest.mark.parametrize("end", ["\n", "\r", "\x1b[2J", "\x85", "\u2028"])
def test_a_line_of_text_stays_one_whatever_is_in_it(end: str) -> None:
    record = logging.LogRecord("server.x", logging.INFO, "", 0, "a%s", (end,), None)
    record.facts = {"detail": f"b{end}c"}
    line = logs.TextLines().format(record)
    assert len(line.splitlines()) == 1
    assert end not in line


def test_cors_is_off_and_only_this_machine_is_listened_to_unless_told() -> None:
    assert Settings().cors_origins == ()
    assert (Settings().host, Settings().metrics_host) == ("127.0.0.1", "127.0.0.1")


def test_a_running_server_reads_its_keys_again_and_writes_none_down(tmp_path: Path) -> None:
    def write(secret: str) -> None:
        digest = hashlib.sha256(secret.encode()).hexdigest()
        file.write_text(f'[[keys]]\nname = "mobile"\nsha256 = "{digest}"\n')

    file = tmp_path / "keys.toml"
    write("sk-old")
    with process("--models", "sentiment", "--api-keys-file", str(file), "--log-format", "json") as served:
        ask = {"input": f"I like the {WORD}."}
        with served.client() as client:
            headers = {"authorization": "Bearer sk-new"}
            assert client.post("/v1/sentiment", json=ask, headers=headers).status_code == 401
            write("sk-new")
            served.process.send_signal(signal.SIGHUP)
            served.wait_for("there are 1 API keys")
            tries = (client.post("/v1/sentiment", json=ask, headers=headers).status_code for _ in range(1000))
            assert 200 in tries
            assert client.post("/v1/sentiment", json=ask, headers={"authorization": "Bearer sk-old"}).status_code == 401
            file.write_text("nonsense")
            served.process.send_signal(signal.SIGHUP)
            served.wait_for("stay as they were")
            assert client.post("/v1/sentiment", json=ask, headers=headers).status_code == 200
        served.wait_for('"key": "mobile"')
        assert served.process.poll() is None
        assert not any(word in line for line in served.lines for word in ("sk-", WORD))
