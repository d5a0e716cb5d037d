"""Streams always say how they ended, and the server stops work for clients that left."""

import asyncio
import json
import re
from typing import Any

import pytest

from server.api import sse
from server.api.record import Record
from server.errors import EngineFailed

pytestmark = pytest.mark.anyio

CHAT = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}


async def test_a_failure_before_the_first_event_is_an_http_error(served: Any) -> None:
    served.engines["translate"].fails = True
    served.engines["assistant"].state = "failed"
    served.engines["assistant"].reason = "It does not start."
    response = await served.post("/v1/chat/completions", **CHAT, stream=True)
    assert response.status_code == 503
    assert "data:" not in response.text


async def test_a_failure_after_the_first_event_is_an_error_event_and_done(served: Any) -> None:
    served.engines["assistant"].fails = True
    response = await served.post("/v1/chat/completions", **CHAT, stream=True)
    assert response.status_code == 200
    *_, error, done = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert done == "[DONE]"
    assert json.loads(error)["error"]["code"] == "engine_failed"
    assert "secret" not in response.text
    assert served.metrics.value("request_failure_total", "assistant", "engine_failed") == 1
    assert served.metrics.value("request_success_total", "assistant", "stop") == 0


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/v1/chat/completions", CHAT, "assistant"),
        ("/v1/chat/completions", {**CHAT, "stream": True}, "assistant"),
        ("/v1/completions", {"model": "assistant", "prompt": "Hi"}, "assistant"),
        ("/v1/sentiment", {"input": "Hi"}, "sentiment"),
        ("/v1/embeddings", {"input": "Hi"}, "embed"),
        ("/v1/translations", {"input": "Hello.", "source": "en", "target": "de"}, "translate"),
        ("/v1/translations", {"input": "Hello.", "source": "en", "target": "de", "stream": True}, "translate"),
    ],
)
async def test_a_client_that_leaves_stops_its_running_work(
    served: Any, connection: Any, logged: Any, until: Any, path: str, body: dict[str, Any], model: str
) -> None:
    engine = served.engines[model]
    engine.gate.clear()
    request = asyncio.create_task(connection.run(served.app, path, body))
    await asyncio.to_thread(engine.began.wait)
    connection.gone.set()
    await request
    await until(lambda: engine.dropped)
    assert served.registry.models[model].batcher.running == 0
    assert served.metrics.value("client_disconnected_total", path) == 1
    assert served.metrics.value("request_failure_total", model, "client_left") == 1
    assert served.metrics.value("http_requests_total", path, "POST", "499") == 1
    assert logged()[-1]["status"] == 499


async def test_a_client_that_leaves_takes_its_waiting_work_out_of_the_line(
    served: Any, connection: Any, until: Any
) -> None:
    engine, batcher = served.engines["sentiment"], served.registry.models["sentiment"].batcher
    engine.gate.clear()
    first = asyncio.create_task(served.post("/v1/sentiment", input="Hi"))
    await asyncio.to_thread(engine.began.wait)
    request = asyncio.create_task(connection.run(served.app, "/v1/sentiment", {"input": ["a", "b"]}))
    await until(lambda: batcher.waiting[1] == 2)
    connection.gone.set()
    await request
    assert batcher.waiting == (0, 0, 0)
    engine.gate.set()
    assert (await first).status_code == 200


async def test_a_client_that_leaves_in_the_middle_of_a_stream_stops_it(
    served: Any, connection: Any, until: Any
) -> None:
    engine = served.engines["assistant"]
    engine.pauses_at = 3
    request = asyncio.create_task(connection.run(served.app, "/v1/chat/completions", {**CHAT, "stream": True}))
    await connection.body_came.wait()
    connection.gone.set()
    await request
    await until(lambda: engine.dropped)
    assert "[DONE]" not in connection.text
    assert served.registry.models["assistant"].batcher.running == 0
    made = served.metrics.value("generation_tokens_total", "assistant")
    assert 0 < made <= 3
    assert served.metrics.value("client_disconnected_total", "/v1/chat/completions") == 1
    assert served.metrics.value("http_requests_total", "/v1/chat/completions", "POST", "499") == 1


def record() -> Record:
    import time

    return Record("req_1", "POST", time.perf_counter())


async def sent_by(stream: sse.EventStream, pinged: asyncio.Event | None = None) -> str:
    """All that a stream sends; the event is set with each ping."""
    sent: list[bytes] = []
    never = asyncio.Event()

    async def receive() -> Any:
        await never.wait()

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if pinged is not None and sent[-1] == sse.PING:
            pinged.set()

    async with asyncio.timeout(10):
        await stream({"type": "http"}, receive, send)
    return b"".join(sent).decode()


async def test_an_idle_stream_gets_pings_also_before_its_first_event() -> None:
    pinged = asyncio.Event()

    async def slow() -> Any:
        """Two events, each only once a ping has been sent."""
        for number in (1, 2):
            await pinged.wait()
            pinged.clear()
            yield b"data: %d\n\n" % number

    text = await sent_by(await sse.begin(slow(), record(), 10, ping_s=0.01), pinged)
    assert re.fullmatch(r"(: ping\n\n)+data: 1\n\n(: ping\n\n)+data: 2\n\ndata: \[DONE\]\n\n", text)


async def test_a_stream_over_its_deadline_ends_with_an_error_event() -> None:
    closed = asyncio.Event()

    async def endless() -> Any:
        try:
            yield b"data: 1\n\n"
            await asyncio.Event().wait()
        finally:
            closed.set()

    about = record()
    text = await sent_by(await sse.begin(endless(), about, 0.05))
    assert '"code": "deadline_passed"' in text
    assert text.endswith("data: [DONE]\n\n")
    assert closed.is_set()
    assert about.error is not None


async def test_a_defect_in_a_stream_ends_it_with_an_error_event_without_internals() -> None:
    async def breaks() -> Any:
        yield b"data: 1\n\n"
        raise RuntimeError("the secret detail")

    text = await sent_by(await sse.begin(breaks(), record(), 10))
    assert '"code": "internal_error"' in text
    assert "secret" not in text
    assert text.endswith("data: [DONE]\n\n")


async def test_what_fails_at_once_never_begins_a_stream() -> None:
    async def fails() -> Any:
        raise EngineFailed("x")
        yield b""

    with pytest.raises(EngineFailed):
        await sse.begin(fails(), record(), 10)


async def test_a_stream_without_events_is_done() -> None:
    async def empty() -> Any:
        return
        yield b""

    assert await sent_by(await sse.begin(empty(), record(), 10)) == "data: [DONE]\n\n"


async def test_a_client_that_leaves_while_it_is_sent_to_ends_the_events_at_once() -> None:
    closed, sending, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def works() -> Any:
        try:
            yield b"data: 1\n\n"
        finally:
            closed.set()

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message.get("body"):
            sending.set()
            await asyncio.Event().wait()  # its buffers are full

    stream = await sse.begin(works(), record(), 10)
    answering = asyncio.create_task(stream({"type": "http"}, receive, send))
    await sending.wait()
    gone.set()
    async with asyncio.timeout(10):
        await answering
    assert closed.is_set()
