"""The event loop answers other requests while one request runs, whatever that request contains."""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from server.api import request
from tests.hostile import digits, shape

pytestmark = pytest.mark.anyio

LARGEST = 1_990_000
"""With its frame, just below the default ``max_body_bytes``."""
LARGE = 30_000
"""Of other shapes, and of what is cut into sentences: the largest would take the test minutes, off the event loop."""
WHOLE = ("digits", "words")
"""Come as large as a body can be."""
TRIES = 8
TEXTS = {
    "digits": digits, "words": lambda n: shape("Hello there. ", n), "one word": lambda n: shape("a", n),
    "spaces": lambda n: "a" + shape(" ", n - 2) + "a", "marks": lambda n: shape("<b>x</b>", n),
    "points": lambda n: shape("<b></b>", n), "names": lambda n: shape("a_b.", n),
}  # fmt: skip
PREDICATE = [{"type": "predicate", "instructions": "The text is positive."}]
ROUTES: dict[str, tuple[int, Any]] = {
    "/v1/chat/completions": (LARGEST, lambda t: {"model": "assistant", "messages": [{"role": "user", "content": t}]}),
    "/v1/completions": (LARGEST, lambda t: {"prompt": t}),
    "/v1/responses": (LARGE, lambda t: {"model": "assistant", "input": t}),
    "/v1/messages": (LARGE, lambda t: {"model": "assistant", "max_tokens": 9, "messages": [
        {"role": "user", "content": t}]}),
    "/v1/messages/count_tokens": (LARGE, lambda t: {"model": "assistant", "messages": [
        {"role": "user", "content": t}]}),
    "/api/chat": (LARGE, lambda t: {"model": "assistant", "messages": [{"role": "user", "content": t}]}),
    "/api/generate": (LARGE, lambda t: {"model": "assistant", "prompt": t, "raw": True}),
    "/api/embed": (LARGE, lambda t: {"input": t, "truncate": False}),
    "/api/embed?": (LARGE, lambda t: {"input": t}),
    "/api/embeddings": (LARGE, lambda t: {"prompt": t}),
    "/v1/embeddings": (LARGEST, lambda t: {"input": t}),
    "/v1/moderations": (LARGE, lambda t: {"input": t}),
    "/v1/sentiment": (LARGE, lambda t: {"input": t}),
    "/v1/summaries": (LARGE, lambda t: {"input": t}),
    "/v1/summaries?": (LARGE, lambda t: {"input": t, "model": "assistant"}),
    "/mcp": (LARGE, lambda t: {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "summarize", "arguments": {"text": t}}}),
    "/predict": (LARGE, lambda t: {"inputs": t}),
    "/classify": (LARGE, lambda t: {"input": t}),
    "/v1/decisions": (LARGE, lambda t: {"model": "embed", "input": t, "questions": PREDICATE}),
    "/v1/decisions?": (LARGE, lambda t: {"model": "sentiment", "input": t, "questions": PREDICATE}),
    "/detect": (LARGEST, lambda t: {"q": t}),
    "/tokenize": (LARGEST, lambda t: {"model": "embed", "prompt": t}),
    "/tokenize?": (LARGE, lambda t: {"model": "assistant", "prompt": t}),
    "/v1/translations": (LARGE, lambda t: {"input": t, "target": "de"}),
    "/v1/chat/completions?": (LARGE, lambda t: {"model": "translate", "messages": [
        {"role": "system", "content": "Translate to German."}, {"role": "user", "content": t}]}),
    "/translate": (LARGE, lambda t: {"q": t, "source": "en", "target": "de", "format": "html"}),
    "/v2/translate": (LARGE, lambda t: {"text": [t], "target_lang": "DE", "tag_handling": "xml"}),
}  # fmt: skip
MANY: dict[str, tuple[str, Any]] = {
    "ids": ("/detokenize", {"model": "assistant", "tokens": [300] * 200_000}),
    "messages": ("/v1/chat/completions", {"model": "assistant", "messages": [
        {"role": "user", "content": "a"}] * 10_000}),
    "items": ("/v1/responses", {"model": "assistant", "input": [{"role": "user", "content": "a"}] * 10_000}),
    "parts": ("/v1/chat/completions", {"model": "assistant", "messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}] * 50_000}]}),
    "blocks": ("/v1/messages", {"model": "assistant", "max_tokens": 9, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}] * 50_000}]}),
    "turns": ("/v1/messages/count_tokens", {"model": "assistant", "messages": [
        {"role": "user", "content": "a"}] * 10_000}),
    "options": ("/api/chat", {"model": "assistant", "messages": [{"role": "user", "content": "a"}],
        "options": {f"o{id}": 1 for id in range(100_000)}}),
    "results": ("/api/chat", {"model": "assistant", "messages": [
        {"role": "assistant", "tool_calls": [{"function": {"name": "a"}}] * 5000},
        *[{"role": "tool", "content": "a", "tool_name": "a"}] * 5000]}),
    "sentences": ("/v1/summaries", {"input": ["A: one two. B three four."] * 30, "max_words": 2000}),
    "documents": ("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "rank", "arguments": {"query": "a", "documents": ["b"] * 2000}}}),
    "biases": ("/v1/chat/completions", {"model": "assistant", "messages": [{"role": "user", "content": "a"}],
        "logit_bias": {str(id): 1 for id in range(100_000)}}),
    "terms": ("/v1/translations", {"input": "Hi there.", "source": "en", "target": "de",
        "glossary": [{"source": f"a {i} " + "b" * 180, "target": "x"} for i in range(1000)]}),
    "texts": ("/v1/translations", {"input": ["Hi there."] * 2000, "target": "de"}),
}  # fmt: skip


class Turns:
    """The event loop's turns, and the most that this process worked between two of them."""

    def __init__(self) -> None:
        self.count = 0
        self.longest_s = 0.0
        self._last_s = time.process_time()
        self._goes_on = True
        asyncio.get_running_loop().call_soon(self._turn)

    def begin(self) -> None:
        self.count, self.longest_s = 0, 0.0

    def end(self) -> None:
        self._goes_on = False

    def _turn(self) -> None:
        now_s = time.process_time()
        self.longest_s = max(self.longest_s, now_s - self._last_s)
        self._last_s = now_s
        self.count += 1
        if self._goes_on:
            asyncio.get_running_loop().call_soon(self._turn)


@pytest.fixture
def switching() -> Iterator[None]:
    """As ``hearth serve`` has it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    yield
    sys.setswitchinterval(before)


def yardstick_s() -> float:
    """What this machine takes to parse the largest body once: it is what one call of a library may hold up others."""
    raw = json.dumps([{"a": 0}] * (LARGEST // 10)).encode()

    def parse_s() -> float:
        began_s = time.process_time()
        request.parse(raw)
        return time.process_time() - began_s

    return min(parse_s() for _ in range(3))


@contextmanager
def turning() -> Iterator[Turns]:
    turns = Turns()
    gc.collect()
    gc.freeze()  # what the tests before have left is no server's, and a collection would go through all of it
    try:
        yield turns
    finally:
        turns.end()
        gc.unfreeze()


async def stands_s(served: Any, turns: Turns, path: str, body: Any) -> float:
    """How long the event loop stood at most while the body was answered, in processor time; the least of some tries."""
    raw = json.dumps(body, ensure_ascii=False).encode()
    least_s = float("inf")
    for _ in range(TRIES):
        turns.begin()
        answer = await served.http.post(path, content=raw, headers={"content-type": "application/json"})
        assert answer.status_code in (200, 400, 413, 422), answer.text
        least_s = min(least_s, turns.longest_s)
        if least_s <= served.most_s:
            break
    return least_s


@pytest.mark.parametrize("route", ROUTES)
async def test_the_event_loop_goes_on_whatever_a_text_is(serving: Any, switching: None, route: str) -> None:
    characters, body = ROUTES[route]
    async with serving(patience_s=600) as served:
        served.most_s = 2 * yardstick_s()
        with turning() as turns:
            stood = {
                name: await stands_s(
                    served, turns, route.rstrip("?"), body(make(characters if name in WHOLE else LARGE))
                )
                for name, make in TEXTS.items()
            }
        assert {name: seconds for name, seconds in stood.items() if seconds > served.most_s} == {}, served.most_s


@pytest.mark.parametrize("name", MANY)
async def test_the_event_loop_goes_on_however_many_things_come(serving: Any, switching: None, name: str) -> None:
    path, body = MANY[name]
    async with serving(patience_s=600) as served:
        served.most_s = 2 * yardstick_s()
        with turning() as turns:
            assert await stands_s(served, turns, path, body) <= served.most_s
