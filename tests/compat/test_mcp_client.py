"""The protocol's official client lists and calls the tools of a real server, in both forms of the protocol."""

from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest
from mcp import Client

from tests.server_process import Served, serving

pytestmark = pytest.mark.anyio

NOTE = "HISTORY\n\nHe has had a cough for 3 weeks. It is worse at night.\n\nPLAN\n\nChest X-ray tomorrow."
CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "translate": ({"text": "Good morning.", "source": "en", "target": "de"}, "Morgen"),
    "classify": ({"text": ["I love it.", "I hate it."], "model": "sentiment"}, "positive"),
    "moderate": ({"text": "You are a worthless idiot and everybody hates you."}, "flagged: harassment"),
    "decide": ({"text": "My card was charged twice.", "question": "What is it about?",
                "choices": ["payment", "weather", "football"]}, "payment"),
    "rank": ({"query": "How do I get a refund?", "documents": ["Opening hours", "Money back within 14 days"],
              "top_n": 1}, "[1]"),
    "summarize": ({"text": NOTE, "max_sentences": 2}, "PLAN\nChest X-ray tomorrow."),
    "chat": ({"prompt": "I'd like to book a table for two.", "model": "assistant", "max_tokens": 40}, ""),
}  # fmt: skip
"""For each tool its arguments, and words of its answer."""


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_lists_and_calls_every_tool(server: Served, mode: Literal["auto", "legacy"]) -> None:
    async with Client(f"{server.url}/mcp", mode=mode) as client:
        assert client.server_info.name == "hearth"
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == list(CALLS)
        for name, (arguments, words) in CALLS.items():
            result = await client.call_tool(name, arguments)
            assert not result.is_error, result
            assert words in result.content[0].text  # type: ignore[union-attr]
            assert result.structured_content
        wrong = await client.call_tool("translate", {"text": "Hi", "target": "xx"})
        assert wrong.is_error
    async with httpx.AsyncClient() as http:
        counted = (await http.get(f"{server.url}/metrics")).text
    assert 'http_requests_total{handler="/v1/translations"' in counted
    assert 'http_requests_total{handler="/mcp"' in counted
