"""The official client with a full server and with an engine that dies: it retries, or raises a typed exception."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.server_process import LIMIT_S, Served, serving

ASK: Any = [{"role": "user", "content": "Hello, how are you?"}]
LONG: Any = {"model": "assistant", "max_tokens": 900, "extra_body": {"ignore_eos": True}}
SHORT: Any = {"model": "assistant", "max_tokens": 4}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """One row at work, and a line that one more fills."""
    with serving("--models", "assistant", "--queue-rows", "1", "--batch-rows", "1") as served:
        yield served


def waiting(server: Served, rows: int) -> None:
    """Wait until so many rows are in line: another process has no event to await."""
    line = f'hearth_queue_rows{{model="assistant"}} {rows}.0'
    end_s = time.monotonic() + LIMIT_S
    with server.client() as http:
        while line not in http.get("/metrics").text:
            assert time.monotonic() < end_s


@contextmanager
def full(server: Served, client: OpenAI) -> Iterator[Callable[[], None]]:
    """One stream at work and one request in line: nothing more is let in until what this gives is called."""
    stream = client.chat.completions.create(messages=ASK, stream=True, **LONG)
    next(iter(stream))
    frozen = ExitStack()
    frozen.enter_context(server.frozen("assistant"))

    def make_room() -> None:
        stream.close()
        frozen.close()

    second = threading.Thread(target=lambda: client.chat.completions.create(messages=ASK, **SHORT))
    second.start()
    try:
        waiting(server, 1)
        yield make_room
    finally:
        make_room()
        second.join(LIMIT_S)


class Watched(httpx.HTTPTransport):
    """Keeps what the client got, and when; makes room after the first refusal."""

    def __init__(self, make_room: Any) -> None:
        super().__init__()
        self._make_room = make_room
        self.answers: list[tuple[int, float, float]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent_s = time.monotonic()
        response = super().handle_request(request)
        self.answers.append((response.status_code, float(response.headers.get("retry-after", 0)), sent_s))
        if response.status_code == 429:
            self._make_room()
        return response


def test_a_full_server_raises_rate_limit_error(server: Served, client: OpenAI) -> None:
    with full(server, client), pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(messages=ASK, **SHORT)
    assert raised.value.code == "overloaded"
    assert int(raised.value.response.headers["retry-after"]) >= 1


def test_the_client_waits_as_long_as_it_is_told_and_is_answered(server: Served, client: OpenAI) -> None:
    with full(server, client) as make_room:

        def until_there_is_room() -> None:
            make_room()
            waiting(server, 0)

        watched = Watched(until_there_is_room)
        with httpx.Client(transport=watched, timeout=LIMIT_S) as http:
            patient = client.with_options(max_retries=3, http_client=http)
            answer = patient.chat.completions.create(messages=ASK, **SHORT)
    assert answer.usage is not None
    (refused, retry_after_s, first_s), *_, (answered, _, last_s) = watched.answers
    assert (refused, answered) == (429, 200)
    assert last_s - first_s >= retry_after_s >= 1


def test_a_draining_server_raises_a_503_that_may_be_tried_again(client: OpenAI) -> None:
    with serving("--models", "assistant") as served:
        leaving = client.with_options(base_url=f"{served.url}/v1")
        stream = leaving.chat.completions.create(messages=ASK, stream=True, **LONG)
        chunks = iter(stream)
        next(chunks)
        with served.frozen("assistant"):
            served.terminate()
            served.wait_for("draining")
            with pytest.raises(openai.InternalServerError) as raised:
                leaving.chat.completions.create(messages=ASK, **SHORT)
            assert (raised.value.status_code, raised.value.code) == (503, "unavailable")
            assert int(raised.value.response.headers["retry-after"]) >= 1
            assert raised.value.response.headers.get("x-should-retry") != "false"
        assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "length"


def kill(server: Served) -> None:
    """Kill the engine; one that was killed before is waited for."""
    end_s = time.monotonic() + LIMIT_S
    while (pid := server.engine("assistant")) is None:
        assert time.monotonic() < end_s
    os.kill(pid, signal.SIGKILL)


def broken(
    server: Served, begin: Callable[[], Iterable[Any]], has_text: Callable[[Any], bool]
) -> tuple[Any, list[Any]]:
    """The error that a stream ends with when its engine is killed at its first text, and what came before.

    Not sooner: a row that has no token yet is run again, and nobody notices. A fast engine may have written all before
    it is killed; then there is nothing to see, and another try.
    """
    for _ in range(10):
        seen: list[Any] = []
        try:
            for event in begin():
                if has_text(event) and not any(map(has_text, seen)):
                    kill(server)
                seen.append(event)
        except openai.APIError as error:
            return error, seen
    pytest.fail("no engine that died ended a stream with an error")


def test_an_engine_that_dies_in_a_chat_stream_raises(server: Served, client: OpenAI) -> None:
    def begin() -> Iterable[Any]:
        return client.chat.completions.create(messages=ASK, stream=True, **LONG)

    raised, seen = broken(server, begin, lambda chunk: bool(chunk.choices[0].delta.content))
    assert type(raised) is openai.APIError
    assert raised.code == "engine_failed"
    assert not any(chunk.choices[0].finish_reason for chunk in seen)


def test_an_engine_that_dies_in_a_responses_stream_is_told_and_raised(server: Served, client: OpenAI) -> None:
    properties = {"text": {"type": "string", "minLength": 3000}}
    schema = {"type": "object", "properties": properties, "required": ["text"], "additionalProperties": False}
    endless: Any = {"format": {"type": "json_schema", "name": "long", "schema": schema, "strict": True}}

    def begin() -> Iterable[Any]:
        return client.responses.create(
            model="assistant", input="Hello", stream=True, max_output_tokens=900, text=endless
        )

    raised, seen = broken(server, begin, lambda event: event.type == "response.output_text.delta")
    assert raised.code == "engine_failed"
    assert seen[-1].type == "response.failed"
    assert "response.completed" not in {event.type for event in seen}


def test_an_engine_that_dies_before_the_first_token_costs_nothing(server: Served, client: OpenAI) -> None:
    kill(server)
    assert client.chat.completions.create(messages=ASK, **SHORT).choices[0].message.content is not None
    assert client.responses.create(model="assistant", input="Hi", max_output_tokens=4).output_text


def test_raw_responses_parse_and_stream(client: OpenAI) -> None:
    raw = client.responses.with_raw_response.create(model="assistant", input="Hi", max_output_tokens=4)
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    assert raw.http_response.json()["id"] == raw.parse().id
    with client.chat.completions.with_streaming_response.create(messages=ASK, stream=True, **SHORT) as streamed:
        lines = [line for line in streamed.iter_lines() if line]
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


def test_a_responses_stream_ends_with_its_last_event(client: OpenAI) -> None:
    """OpenAI's has no [DONE]; each event has its type as its name."""
    fields: Any = {"model": "assistant", "input": "Hi", "stream": True, "max_output_tokens": 4}
    with client.responses.with_streaming_response.create(**fields) as streamed:
        lines = [line for line in streamed.iter_lines() if line]
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names[-1] == "response.incomplete"
    assert not any("[DONE]" in line for line in lines)
    assert len(lines) == 2 * len(names)
