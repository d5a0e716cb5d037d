"""``hearth chat``: a conversation in the terminal, streamed."""

import sys
from typing import Any

from server.cli.client import CallFailed, Client


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
