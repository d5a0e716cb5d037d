"""Ollama's dialect: the same answers as chat's, in its shapes, whole and as lines of JSON."""

import json
from typing import Any

import pytest

from tests.api.test_chat import TOOL, say_a_call

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "Hi"}
TEXT = "Hello there, how are you?"
COSTS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


async def ask(served: Any, path: str = "/api/chat", status: int = 200, **fields: Any) -> dict[str, Any]:
    said = {"messages": [USER]} if path == "/api/chat" else {}
    response = await served.post(path, **{"model": "assistant", "stream": False, **said, **fields})
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def lines(served: Any, path: str = "/api/chat", **fields: Any) -> list[dict[str, Any]]:
    said = {"messages": [USER]} if path == "/api/chat" else {}
    response = await served.post(path, **{"model": "assistant", **said, **fields})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.text.endswith("\n")
    return [json.loads(line) for line in response.text.splitlines()]


async def test_an_answer_has_ollamas_shape(served: Any) -> None:
    answer = await ask(served, model="assistant:latest")
    assert answer["message"] == {"role": "assistant", "content": TEXT}
    assert (answer["model"], answer["done"], answer["done_reason"]) == ("assistant:latest", True, "stop")
    assert all(answer[name] >= 0 for name in COSTS)
    assert answer["total_duration"] > 0
    chat = (await served.post("/v1/chat/completions", model="assistant", messages=[USER])).json()["usage"]
    counts = (answer["prompt_eval_count"], answer["eval_count"])
    assert counts == (chat["prompt_tokens"], chat["completion_tokens"])
    assert "warning" not in answer


async def test_a_stream_is_the_whole_answer_line_by_line(served: Any) -> None:
    *parts, last = await lines(served)
    assert len(parts) > 1
    assert "".join(part["message"]["content"] for part in parts) == TEXT
    assert [part["done"] for part in parts] == [False] * len(parts)
    assert (last["done"], last["done_reason"], last["message"]["content"]) == (True, "stop", "")
    assert last["eval_count"] == (await ask(served))["eval_count"]
    *parts, last = await lines(served, "/api/generate", prompt="Hi", options={"num_predict": 2})
    assert TEXT.startswith("".join(part["response"] for part in parts))
    assert (last["done_reason"], last["eval_count"], last["response"]) == ("length", 2, "")


async def test_a_prompt_is_a_users_or_with_raw_a_text(served: Any) -> None:
    asked = await ask(served, "/api/generate", prompt="Hi")
    assert asked["response"] == TEXT
    assert asked["prompt_eval_count"] == (await ask(served))["prompt_eval_count"]
    raw = await ask(served, "/api/generate", prompt="Hi", raw=True)
    counted = await served.post("/v1/completions", model="assistant", prompt="Hi", max_tokens=1)
    assert raw["prompt_eval_count"] == counted.json()["usage"]["prompt_tokens"] < asked["prompt_eval_count"]
    with_system = await ask(served, "/api/generate", prompt="Hi", system="Be brief.")
    assert with_system["prompt_eval_count"] > asked["prompt_eval_count"]


async def test_options_are_honoured_or_named(served: Any) -> None:
    fields = {"options": {"num_ctx": 4096, "stop": [" how"], "mirostat": 0, "top_k": None, "tuned": 1}}
    answer = await ask(served, **fields)
    assert answer["message"]["content"] == "Hello there,"
    assert answer["warning"] == "These options are not honoured here: num_ctx, tuned."
    first, *_, last = await lines(served, **fields)
    assert "warning" not in first
    assert last["warning"] == answer["warning"]
    assert (await ask(served, "/api/generate", prompt="Hi", options={"tuned": 1}))["warning"]
    embedded = await ask(served, "/api/embed", model="embed", input="Hi", stream=None, options={"num_ctx": 5})
    assert "num_ctx" in embedded["warning"]
    wrong = await ask(served, status=400, options={"temperature": "hot"})
    assert "'options.temperature'" in wrong["error"]
    assert len((await ask(served, options={f"{i:04}" + "x" * 500: 1 for i in range(900)}))["warning"]) < 32 * 70


async def test_a_call_comes_as_an_object(served: Any) -> None:
    say_a_call(served)
    (call,) = (await ask(served, tools=[TOOL]))["message"]["tool_calls"]
    assert call["function"] == {"index": 0, "name": "book_table", "arguments": {"people": 2}}
    streamed = [part["message"] for part in await lines(served, tools=[TOOL]) if "tool_calls" in part["message"]]
    assert [each["tool_calls"][0]["function"] for each in streamed] == [call["function"]]


async def test_a_conversation_is_read_as_chats(served: Any) -> None:
    """Results are tied to calls that have no id, by their tools or in their order."""
    calls = [{"function": {"name": name, "arguments": {"people": 2}}} for name in ("book_table", "other")]
    said = [USER, {"role": "assistant", "tool_calls": calls}]
    results = [
        {"role": "tool", "content": "Second.", "tool_name": "other"},
        {"role": "tool", "content": "First.", "tool_name": "book_table"},
    ]
    arguments = '{"people": 2}'
    chat = [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": f"call_{i + 1}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for i, name in enumerate(("book_table", "other"))]},
        {"role": "tool", "content": "Second.", "tool_call_id": "call_2", "name": "other"},
        {"role": "tool", "content": "First.", "tool_call_id": "call_1", "name": "book_table"},
    ]  # fmt: skip
    counted = await served.post("/tokenize", model="assistant", messages=chat)
    assert (await ask(served, messages=[*said, *results]))["prompt_eval_count"] == counted.json()["count"]
    plain = [{"role": "tool", "content": result["content"]} for result in results]
    assert (await ask(served, messages=[*said, *plain]))["done"]


async def test_texts_are_embedded_in_both_shapes(served: Any) -> None:
    openai = (await served.post("/v1/embeddings", model="embed", input=["Hi", "Ho"])).json()
    vectors = [each["embedding"] for each in openai["data"]]
    answer = (await served.post("/api/embed", model="embed:latest", input=["Hi", "Ho"])).json()
    assert answer["embeddings"] == vectors
    assert answer["prompt_eval_count"] == openai["usage"]["prompt_tokens"]
    assert (await served.post("/api/embeddings", model="embed", prompt="Hi")).json() == {"embedding": vectors[0]}
    long = "hi " * 3000
    assert (await served.post("/api/embed", model="embed", input=long)).status_code == 200
    refused = await served.post("/api/embed", model="embed", input=long, truncate=False)
    assert refused.status_code == 400
    assert "maximum context length" in refused.json()["error"]
    assert (await served.post("/api/embed", model="embed", input="Hi", dimensions=5)).status_code == 400


async def test_models_are_listed_and_described(serving: Any) -> None:
    async with serving(aliases={"llama3": "assistant", "mine:7b": "assistant"}) as served:
        listed = {each["name"]: each for each in (await served.http.get("/api/tags")).json()["models"]}
        assert {"assistant:latest", "embed:latest", "llama3:latest", "mine:7b"} <= listed.keys()
        one = listed["llama3:latest"]
        assert (one["size"] > 0, len(one["digest"])) == (True, 64)
        for name in listed:
            assert (await served.post("/api/show", model=name)).status_code == 200, name
        shown = (await served.post("/api/show", model="assistant")).json()
        assert shown["capabilities"] == ["completion", "tools"]
        assert shown["model_info"][f"{shown['details']['family']}.context_length"] == 1024
        assert shown["template"]
        assert (await served.post("/api/show", name="embed")).json()["capabilities"] == ["embedding"]
        assert (await served.post("/api/show", model="nobody")).status_code == 404
        loaded = (await served.http.get("/api/ps")).json()["models"]
        assert {"assistant:latest", "embed:latest"} <= {each["name"] for each in loaded}
        assert (await served.http.get("/api/version")).json()["version"] == served.app.version
        assert (await ask(served, model="mine:7b"))["model"] == "mine:7b"


async def test_the_tag_makes_no_name_unknown(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name has folders searched, which can take a second."""
    sought = []

    async def look_for(name: str) -> None:
        sought.append(name)

    async with serving(aliases={"mine:latest": "assistant"}) as served:
        monkeypatch.setattr(served.registry, "look_for", look_for)
        for name in ("assistant:latest", "assistant", "mine:latest"):
            assert (await ask(served, model=name))["model"] == name
    assert sought == ["assistant", "assistant", "mine:latest"]


async def test_a_key_sees_and_uses_its_own_models_only(serving: Any, tmp_path: Any) -> None:
    import hashlib

    keys = tmp_path / "keys.toml"
    keys.write_text(f'[[keys]]\nname = "a"\nsha256 = "{hashlib.sha256(b"sk-a").hexdigest()}"\nmodels = ["embed"]\n')
    async with serving(api_keys_file=str(keys)) as served:
        assert (await served.http.get("/api/tags")).status_code == 401
        mine = {"authorization": "Bearer sk-a"}
        for path in ("/api/tags", "/api/ps"):
            models = (await served.http.get(path, headers=mine)).json()["models"]
            assert [each["name"] for each in models] == ["embed:latest"]
        for path, body in (
            ("/api/show", {"model": "assistant"}),
            ("/api/chat", {"model": "assistant"}),
            ("/api/chat", {"model": "assistant", "messages": [USER]}),
            ("/api/generate", {"model": "assistant", "prompt": "Hi"}),
        ):
            assert (await served.http.post(path, json=body, headers=mine)).status_code == 403, path


async def test_a_request_that_says_nothing_loads_or_unloads(served: Any) -> None:
    loaded = await ask(served, messages=[], keep_alive="5m")
    assert (loaded["done"], loaded["done_reason"]) == (True, "load")
    unloaded = await ask(served, "/api/generate", keep_alive=0)
    assert (unloaded["done_reason"], unloaded["response"]) == ("unload", "")
    assert (await ask(served, "/api/generate", status=404, model="nobody"))["error"]


async def test_log_probabilities_come_with_their_tokens(served: Any) -> None:
    whole = await ask(served, logprobs=True, top_logprobs=2)
    assert "".join(each["token"] for each in whole["logprobs"]).strip() == TEXT
    assert [len(each["top_logprobs"]) for each in whole["logprobs"]] == [2] * len(whole["logprobs"])
    streamed = [
        each for part in await lines(served, logprobs=True, top_logprobs=2) for each in part.get("logprobs", [])
    ]
    assert streamed == whole["logprobs"]


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("/api/chat", {"messages": [{**USER, "images": ["aGk="]}]}, "'messages.0.images'"),
        ("/api/chat", {"think": True}, "'think'"),
        ("/api/chat", {"format": "xml"}, "'format'"),
        ("/api/chat", {"format": {"type": "no"}}, "'type' at the root"),
        ("/api/chat", {"tools": [TOOL, TOOL]}, "'tools'"),
        ("/api/chat", {"top_logprobs": 2}, "'top_logprobs'"),
        ("/api/chat", {"messages": [{**USER, "tool_calls": [{"function": {"name": "a"}}]}]}, "'messages.0.tool_calls'"),
        ("/api/chat", {"model": "translate", "options": {"repeat_penalty": 1.2}}, "'options.repeat_penalty'"),
        ("/api/generate", {"prompt": "Hi", "images": ["aGk="]}, "'images'"),
        ("/api/generate", {"prompt": "Hi", "context": [1]}, "'context'"),
        ("/api/generate", {"prompt": "Hi", "template": "{{ .Prompt }}"}, "'template'"),
        ("/api/generate", {"prompt": "Hi", "raw": True, "format": "json"}, "'format'"),
        ("/api/generate", {"prompt": "Hi", "suffix": "x"}, "'suffix'"),
        ("/api/generate", {"prompt": "hi " * 3000}, "length of the prompt"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_refused_by_its_name(
    served: Any, path: str, fields: dict[str, Any], says: str
) -> None:
    answer = await ask(served, path, 400, **fields)
    assert list(answer) == ["error"]
    assert says in answer["error"]


async def test_a_stream_that_fails_ends_with_its_error(served: Any) -> None:
    served.engines["assistant"].fails = True
    *_, last = await lines(served)
    assert list(last) == ["error"]
    assert "secret" not in last["error"]
