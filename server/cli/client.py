"""A running server, as the commands see it: one call, one answer, one kind of failure. ``hearth chat`` needs no
more.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import httpx

TRIES = 5
"""How often a call is sent when the server says that it is busy or restarting."""


class CallFailed(Exception):
    """The server is not there, or refuses; the message is for the person at the terminal."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_refusal(self) -> bool:
        """Whether this very request is wrong: another one may be good."""
        return self.status in (400, 413, 422)


def event(line: str) -> Any:
    """The JSON of one line of a stream of server-sent events; None for a line without an event of ours.

    Raises:
        CallFailed: the event is an error.
    """
    if not line.startswith("data: ") or line == "data: [DONE]":
        return None
    said = json.loads(line.removeprefix("data: "))
    if "error" in said:
        raise CallFailed(said["error"]["message"])
    return said


def message(answer: httpx.Response) -> str:
    """The sentence of an error."""
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}"


class Client:
    """Calls a server; waits as long as it is told to when the server is busy."""

    def __init__(self, url: str, api_key: str = "") -> None:
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=600.0)
        self._url = url

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call and return the JSON of the answer.

        Raises:
            CallFailed: no server, or an error of it.
        """
        for left in range(TRIES - 1, -1, -1):
            with self._problems():
                answer = self._http.request(method, path, json=body)
            if answer.status_code in (429, 503) and left:
                time.sleep(min(30.0, float(answer.headers.get("retry-after", 1))))
                continue
            self._require_good(answer)
            return answer.json()
        raise CallFailed("the server stays busy")

    @contextmanager
    def stream(self, path: str, body: Any) -> Iterator[Iterator[Any]]:
        """Call and give the events of a stream as they come; an error among them is a ``CallFailed``."""
        with self._problems(), self._http.stream("POST", path, json=body) as answer:
            if answer.status_code != 200:
                answer.read()
                self._require_good(answer)
            yield filter(None, map(event, answer.iter_lines()))

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            raise CallFailed(f"there is no server at {self._url}; start one with 'hearth serve'") from None
        except httpx.HTTPError as error:
            raise CallFailed(f"the call failed: {type(error).__name__}") from None

    def _require_good(self, answer: httpx.Response) -> None:
        if answer.status_code < 400:
            return
        raise CallFailed(message(answer), answer.status_code)


def chat(model: str, system: str, url: str, api_key: str) -> int:
    """Talk until the end of input; an empty line is passed over, ``/new`` begins anew."""
    with Client(url, api_key) as client:
        client.call("GET", f"/v1/models/{model}")  # says at once when there is no server or no such model
        return _talk(client, model, [{"role": "system", "content": system}] if system else [])


def _talk(client: Client, model: str, beginning: list[dict[str, Any]]) -> int:
    messages = list(beginning)
    while True:
        try:
            text = input("> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return 0
        if text == "/new":
            messages = list(beginning)
        elif text:
            messages.append({"role": "user", "content": text})
            try:
                messages.append({"role": "assistant", "content": _answer(client, model, messages)})
            except CallFailed as error:
                messages.pop()
                print(f"hearth: {error}", file=sys.stderr)


def _answer(client: Client, model: str, messages: list[dict[str, Any]]) -> str:
    said = ""
    with client.stream("/v1/chat/completions", {"model": model, "messages": messages, "stream": True}) as events:
        for event in events:
            for choice in event["choices"]:
                text = choice["delta"].get("content") or ""
                said += text
                print(text, end="", flush=True)
    print()
    return said
