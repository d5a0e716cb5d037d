"""A running server, as the commands see it: one call, one answer, one kind of failure. ``hearth chat`` needs no
more.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import httpx

TRIES = 5
"""A call is sent at most so many times while the server is busy or restarting."""

FAINT, PLAIN = "\x1b[2m", "\x1b[0m"
"""How a terminal is told to write a thought, and what comes after it."""


class CallFailed(Exception):
    """The server is not there, or refuses; the message is for the person at the terminal."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_refusal(self) -> bool:
        """Whether the fault is in this request, so that another one may succeed."""
        return self.status in (400, 413, 422)


def event(line: str) -> Any:
    """The JSON of one line of a stream of server-sent events; None for a line without data.

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
        error = answer.json()["error"]
        return str(error if isinstance(error, str) else error["message"])  # a text: as LibreTranslate writes it
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}"


class Client:
    """Calls a server. When the server is busy, it waits for as long as the answer says."""

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
        return self._send(method, path, json=body).json()

    def send_file(self, path: str, name: str, content: bytes | BinaryIO, fields: Mapping[str, str]) -> Any:
        """Send a file in a form, and return the JSON of the answer; see ``call``."""
        return self._send("POST", path, files={"file": (name, content)}, data=fields).json()

    def fetch(self, path: str) -> bytes:
        """Fetch a file; see ``call``."""
        return self._send("GET", path).content

    def save(self, path: str, target: Path) -> None:
        """Fetch a file piece by piece into another, which is there only once it is whole; see ``call``."""
        part = target.with_name(target.name + ".part")
        with self._problems(), self._http.stream("GET", path) as answer, part.open("wb") as opened:
            if answer.status_code != 200:
                answer.read()
                self._require_good(answer)
            for piece in answer.iter_bytes():
                opened.write(piece)
        part.replace(target)

    def _send(self, method: str, path: str, **what: Any) -> httpx.Response:
        for left in range(TRIES - 1, -1, -1):
            with self._problems():
                answer = self._http.request(method, path, **what)
            if answer.status_code in (429, 503) and left:
                time.sleep(min(30.0, float(answer.headers.get("retry-after", 1))))
                continue
            self._require_good(answer)
            return answer
        raise CallFailed("the server stays busy")

    @contextmanager
    def stream(self, path: str, body: Any) -> Iterator[Iterator[Any]]:
        """Call, and yield the events of a stream as they come. An error among them raises ``CallFailed``."""
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
    """Talk until the end of input. Empty lines are ignored; ``/new`` begins a new conversation."""
    with Client(url, api_key) as client:
        client.call("GET", f"/v1/models/{model}")  # fails at once if there is no server or no such model
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
    """The answer, printed as it comes; on a terminal the thought before it, too, in a faint colour."""
    said, thinks = "", False
    with client.stream("/v1/chat/completions", {"model": model, "messages": messages, "stream": True}) as events:
        for event in events:
            for choice in event["choices"]:
                text = choice["delta"].get("content") or ""
                if sys.stdout.isatty() and (thought := choice["delta"].get("reasoning_content")):
                    print(f"{'' if thinks else FAINT}{thought}", end="", flush=True)
                    thinks = True
                if thinks and text:
                    print(f"{PLAIN}\n", flush=True)
                    thinks = False
                said += text
                print(text, end="", flush=True)
    print(PLAIN if thinks else "")
    return said
