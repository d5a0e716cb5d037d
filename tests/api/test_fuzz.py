"""Random bodies: the server never answers 5xx, always uses the error shape, and keeps running."""

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW = 40
CASES = int(os.environ.get("FUZZ_CASES", FEW))  # 2,000 and more by hand
URL = os.environ.get("FUZZ_URL")  # a running server, for its real engines; scripted ones otherwise
LIMIT_S = 20.0

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["auto", "none", "text", "user", "assistant", "de", "en", "function", "", "<|end|>", "\ufeff"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "developer", "x"]), "content": st.text() | VALUES},
    optional={"name": VALUES, "tool_calls": VALUES, "tool_call_id": VALUES, "refusal": VALUES},
)
SCHEMA = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["object", "string", "no"]) | VALUES,
                  "properties": st.dictionaries(st.text(max_size=3), st.just({"type": "string"}), max_size=2) | VALUES,
                  "required": VALUES, "enum": VALUES, "$ref": VALUES, "pattern": st.text(max_size=4) | VALUES}
)  # fmt: skip
FUNCTION = st.fixed_dictionaries(
    {"name": st.text(max_size=5) | st.just("f")}, optional={"parameters": SCHEMA | VALUES, "strict": st.booleans()}
)
TOOL = st.fixed_dictionaries({"type": st.just("function"), "function": FUNCTION})
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "function_call", "function_call_output", "reasoning"]) | VALUES,
        "role": st.sampled_from(["user", "assistant", "system", "tool"]) | VALUES,
        "content": st.text() | VALUES | st.lists(st.fixed_dictionaries(
            {"type": st.sampled_from(["input_text", "output_text", "x"]), "text": st.text() | VALUES},
            optional={"annotations": VALUES, "logprobs": VALUES}), max_size=2),
        "call_id": st.text(max_size=3) | VALUES, "name": st.just("f") | VALUES, "output": st.text() | VALUES,
        "arguments": st.sampled_from(["{}", "{", "[]", '{"a": 1}']) | VALUES, "status": VALUES,
    },
)  # fmt: skip
FORMAT = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "json_object", "json_schema"])},
    optional={"name": st.text(max_size=3) | VALUES, "schema": SCHEMA | VALUES, "strict": VALUES},
)
FLAT_TOOL = st.fixed_dictionaries(
    {"type": st.just("function"), "name": st.sampled_from(["f", "g"]) | VALUES},
    optional={"parameters": SCHEMA | VALUES, "strict": st.booleans() | VALUES, "description": VALUES},
)
CHAT_FORMAT = st.fixed_dictionaries(
    {"type": st.just("json_schema"), "json_schema": st.fixed_dictionaries({"name": st.just("x"), "schema": SCHEMA})}
)
NAMED = st.fixed_dictionaries({"type": st.just("function"), "name": st.just("f")}) | st.fixed_dictionaries(
    {"type": st.just("allowed_tools"), "mode": st.just("auto") | VALUES,
     "tools": st.lists(st.just({"type": "function", "name": "f"}) | VALUES, max_size=2)}
)  # fmt: skip
BLOCK = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_use", "tool_result", "image"]) | VALUES},
    optional={"text": st.text() | VALUES, "id": st.just("c") | VALUES, "name": st.just("f") | VALUES,
              "input": VALUES | st.just({}), "tool_use_id": st.just("c") | VALUES, "content": st.text() | VALUES,
              "is_error": st.booleans() | VALUES},
)  # fmt: skip
TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]) | VALUES,
     "content": st.text() | st.lists(BLOCK, max_size=2) | VALUES}
)  # fmt: skip
SCHEMA_TOOL = st.fixed_dictionaries({"name": st.just("f") | VALUES}, optional={"input_schema": SCHEMA | VALUES})
SAID = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]) | VALUES},
    optional={"content": st.text() | VALUES, "images": VALUES, "tool_name": VALUES, "tool_call_id": VALUES,
              "tool_calls": st.lists(st.fixed_dictionaries({"function": st.fixed_dictionaries(
                  {"name": st.just("f") | VALUES}, optional={"arguments": VALUES})}), max_size=2) | VALUES},
)  # fmt: skip
CHOSEN = st.fixed_dictionaries(
    {"num_predict": st.integers(1, 30) | VALUES},
    optional=dict.fromkeys(("temperature", "top_k", "top_p", "seed", "stop", "num_ctx", "repeat_penalty"), VALUES),
)
OLLAMA = {"format": st.just("json") | SCHEMA | VALUES, "stream": st.booleans() | VALUES, "think": VALUES,
          "keep_alive": VALUES, "logprobs": VALUES, "top_logprobs": VALUES}  # fmt: skip
QUESTION = st.fixed_dictionaries(
    {"type": st.sampled_from(["choice", "predicate", "score"]) | VALUES},
    optional={name: st.text(max_size=9) | VALUES
              for name in ("question", "name", "choices", "prompt", "instructions", "options", "levels", "labels")},
)  # fmt: skip
NAMES = (
    "temperature top_p top_k n stop seed max_tokens logit_bias presence_penalty stream stream_options logprobs "
    "min_tokens ignore_eos user"
)
SAMPLING = dict.fromkeys(NAMES.split(), VALUES)
BODIES = {
    "/v1/chat/completions": st.fixed_dictionaries(
        {"model": st.just("assistant"), "messages": st.lists(MESSAGE, max_size=3) | VALUES},
        optional={**SAMPLING, "tools": st.lists(TOOL, max_size=2) | VALUES, "tool_choice": VALUES,
                  "response_format": VALUES | CHAT_FORMAT, "top_logprobs": VALUES, "metadata": VALUES},
    ),
    "/v1/completions": st.fixed_dictionaries(
        {"prompt": st.text() | VALUES | st.lists(st.integers(0, 5000))},
        optional={**SAMPLING, "echo": VALUES, "best_of": VALUES, "suffix": VALUES},
    ),
    "/v1/responses": st.fixed_dictionaries(
        {"model": st.sampled_from(["assistant", "translate"]),
         "input": st.text() | st.lists(ITEM, max_size=3) | VALUES},
        optional={"temperature": VALUES, "top_p": VALUES, "instructions": st.text() | VALUES, "stream": VALUES,
                  "max_output_tokens": st.integers(1, 30) | VALUES, "tools": st.lists(FLAT_TOOL, max_size=2) | VALUES,
                  "tool_choice": VALUES | NAMED, "text": st.fixed_dictionaries({"format": FORMAT | VALUES}) | VALUES,
                  "include": st.just(["message.output_text.logprobs"]) | VALUES, "top_logprobs": VALUES,
                  "reasoning": VALUES, "metadata": VALUES, "store": VALUES, "parallel_tool_calls": VALUES},
    ),
    "/v1/messages": st.fixed_dictionaries(
        {"model": st.sampled_from(["assistant", "translate"]), "max_tokens": st.integers(1, 30) | VALUES,
         "messages": st.lists(TURN, max_size=3) | VALUES},
        optional={**dict.fromkeys(("temperature", "top_p", "top_k", "stop_sequences", "stream", "thinking"), VALUES),
                  "system": st.text() | st.lists(BLOCK, max_size=2) | VALUES,
                  "tools": st.lists(SCHEMA_TOOL, max_size=2) | VALUES,
                  "tool_choice": st.fixed_dictionaries({"type": st.just("any")}, optional={"name": VALUES}) | VALUES,
                  "output_config": st.fixed_dictionaries({"format": FORMAT | VALUES}) | VALUES},
    ),
    "/v1/messages/count_tokens": st.fixed_dictionaries(
        {"model": st.sampled_from(["assistant", "translate"]), "messages": st.lists(TURN, max_size=3) | VALUES}
    ),
    "/api/chat": st.fixed_dictionaries(
        {"model": st.sampled_from(["assistant", "translate", "assistant:latest"]),
         "messages": st.lists(SAID, max_size=3) | VALUES, "options": CHOSEN},
        optional={**OLLAMA, "tools": st.lists(TOOL, max_size=2) | VALUES},
    ),
    "/api/generate": st.fixed_dictionaries(
        {"model": st.sampled_from(["assistant", "translate"]), "prompt": st.text() | VALUES, "options": CHOSEN},
        optional={**OLLAMA, "system": st.text() | VALUES, "raw": st.booleans() | VALUES, "suffix": VALUES},
    ),
    "/api/embed": st.fixed_dictionaries(
        {"input": st.text() | st.lists(st.text()) | VALUES},
        optional={"truncate": st.booleans() | VALUES, "options": CHOSEN, "keep_alive": VALUES, "dimensions": VALUES},
    ),
    "/api/embeddings": st.fixed_dictionaries({"prompt": st.text() | VALUES}, optional={"options": CHOSEN}),
    "/api/show": st.fixed_dictionaries({}, optional={"model": st.text() | VALUES, "name": st.text() | VALUES}),
    "/v1/decisions": st.fixed_dictionaries(
        {"model": st.sampled_from(["sentiment", "embed", "assistant"]), "input": st.text() | VALUES,
         "questions": st.lists(QUESTION, max_size=2) | VALUES},
    ),
    "/v1/embeddings": st.fixed_dictionaries(
        {"input": st.text() | VALUES | st.lists(st.text())},
        optional={"encoding_format": VALUES, "dimensions": VALUES},
    ),
    "/v1/moderations": st.fixed_dictionaries({"input": VALUES}),
    "/mcp": st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": VALUES, "method": st.sampled_from(
        ["tools/list", "tools/call", "ping"]) | VALUES}, optional={"params": VALUES | st.fixed_dictionaries({
        "name": st.sampled_from(["translate", "rank", "decide", "chat"]) | VALUES, "arguments": VALUES})}),
    "/v1/summaries": st.fixed_dictionaries({"input": st.text() | VALUES | st.lists(st.text())}, optional={
        "max_sentences": VALUES, "max_words": VALUES, "mode": VALUES, "language": VALUES, "diversity": VALUES}),
    "/v1/sentiment": st.fixed_dictionaries({"input": st.text() | VALUES | st.lists(st.text())}),
    "/v1/translations": st.fixed_dictionaries(
        {"input": st.text() | VALUES | st.lists(st.text()), "target": st.sampled_from(["de", "en"]) | VALUES},
        optional={"source": VALUES, "alternatives": VALUES, "stream": VALUES, "format": VALUES},
    ),
    "/predict": st.fixed_dictionaries({"inputs": st.text() | st.lists(st.text()) | VALUES}),
    "/classify": st.fixed_dictionaries({"input": st.text() | st.lists(st.text()) | VALUES}),
    "/translate": st.fixed_dictionaries(
        {"q": st.text() | st.lists(st.text(), max_size=3) | VALUES, "source": st.just("en") | VALUES,
         "target": st.just("de") | VALUES},
        optional={"format": st.sampled_from(["text", "html"]) | VALUES, "alternatives": VALUES},
    ),
    "/detect": st.fixed_dictionaries({"q": st.text() | VALUES}),
    "/v2/translate": st.fixed_dictionaries(
        {"text": st.lists(st.text(), max_size=3) | VALUES, "target_lang": st.just("DE") | VALUES},
        optional={"source_lang": VALUES, "tag_handling": st.sampled_from(["html", "xml"]) | VALUES,
                  "formality": VALUES},
    ),
    "/tokenize": st.fixed_dictionaries(
        {"model": st.sampled_from(["assistant", "embed", "translate"])},
        optional={"prompt": st.text() | VALUES, "messages": st.lists(MESSAGE), "return_token_strs": VALUES},
    ),
    "/detokenize": st.fixed_dictionaries(
        {"model": st.sampled_from(["assistant", "embed"]), "tokens": st.lists(st.integers(0, 9000)) | VALUES}
    ),
}  # fmt: skip
PEERS = (
    "/predict", "/classify", "/translate", "/detect", "/v2/translate", "/v1/messages", "/v1/messages/count_tokens",
    "/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show", "/mcp",
)  # fmt: skip
"""Their errors have the shapes of the servers whose clients they are for (tests/compat)."""


@pytest.fixture
def ask(serving: Any) -> Iterator[Any]:
    """Post to a server that lives in a thread of its own, so that hypothesis may stay synchronous."""
    if URL:
        with httpx.Client(base_url=URL, timeout=LIMIT_S) as client:
            yield lambda path, body: client.post(path, json=body)
        return
    started = threading.Event()
    made: dict[str, Any] = {}

    async def live() -> None:
        async with serving(patience_s=3600) as served:
            made.update(served=served, loop=asyncio.get_running_loop(), stop=asyncio.Event())
            started.set()
            await made["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    assert started.wait(LIMIT_S)

    def post(path: str, body: Any) -> Any:
        asking = made["served"].http.post(path, json=body)
        return asyncio.run_coroutine_threadsafe(asking, made["loop"]).result(LIMIT_S)

    yield post
    made["loop"].call_soon_threadsafe(made["stop"].set)
    thread.join(LIMIT_S)


MORE = {"/mcp": (202,)}
"""Statuses of routes besides those of all; a notification of the protocol has no answer."""


@pytest.mark.parametrize("path", BODIES)
def test_no_body_breaks_the_server(ask: Any, path: str) -> None:
    @settings(
        max_examples=CASES, deadline=None, database=None, derandomize=CASES == FEW,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(body=BODIES[path])
    def check(body: Any) -> None:
        response = ask(path, body)
        assert response.status_code in (200, 400, 404, 413, *MORE.get(path, (422,) if path in PEERS else ())), (
            body,
            response.text,
        )
        if response.status_code != 200 and path not in PEERS:
            error = response.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}, (body, error)
            assert error["message"]

    check()
    assert ask("/v1/sentiment", {"input": "Hi"}).status_code == 200
