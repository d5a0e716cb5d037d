"""Bodies nobody thought of: never a 5xx, always the error shape, and the server goes on."""

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW = 40
CASES = int(os.environ.get("FUZZ_CASES", FEW))  # 2,000 and more by hand
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
TOOL = st.fixed_dictionaries(
    {"type": st.just("function"), "function": st.fixed_dictionaries({"name": st.text(max_size=5) | st.just("f")},
                                                                    optional={"parameters": VALUES})}
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
                  "response_format": VALUES, "top_logprobs": VALUES, "metadata": VALUES},
    ),
    "/v1/completions": st.fixed_dictionaries(
        {"prompt": st.text() | VALUES | st.lists(st.integers(0, 5000))},
        optional={**SAMPLING, "echo": VALUES, "best_of": VALUES, "suffix": VALUES},
    ),
    "/v1/embeddings": st.fixed_dictionaries(
        {"input": st.text() | VALUES | st.lists(st.text())},
        optional={"encoding_format": VALUES, "dimensions": VALUES},
    ),
    "/v1/moderations": st.fixed_dictionaries({"input": VALUES}),
    "/v1/sentiment": st.fixed_dictionaries({"input": st.text() | VALUES | st.lists(st.text())}),
    "/v1/translations": st.fixed_dictionaries(
        {"input": st.text() | VALUES | st.lists(st.text()), "target": st.sampled_from(["de", "en"]) | VALUES},
        optional={"source": VALUES, "alternatives": VALUES, "stream": VALUES, "format": VALUES},
    ),
    "/tokenize": st.fixed_dictionaries(
        {"model": st.sampled_from(["assistant", "embed", "translate"])},
        optional={"prompt": st.text() | VALUES, "messages": st.lists(MESSAGE), "return_token_strs": VALUES},
    ),
    "/detokenize": st.fixed_dictionaries(
        {"model": st.sampled_from(["assistant", "embed"]), "tokens": st.lists(st.integers(0, 9000)) | VALUES}
    ),
}  # fmt: skip


@pytest.fixture
def ask(serving: Any) -> Iterator[Any]:
    """Post to a server that lives in a thread of its own, so that hypothesis may stay synchronous."""
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


@pytest.mark.parametrize("path", BODIES)
def test_no_body_breaks_the_server(ask: Any, path: str) -> None:
    @settings(
        max_examples=CASES, deadline=None, database=None, derandomize=CASES == FEW,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(body=BODIES[path])
    def check(body: Any) -> None:
        response = ask(path, body)
        assert response.status_code in (200, 400, 404, 413), (body, response.text)
        if response.status_code != 200:
            error = response.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}, (body, error)
            assert error["message"]

    check()
    assert ask("/v1/sentiment", {"input": "Hi"}).status_code == 200
