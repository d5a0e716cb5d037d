"""The server accepts fields that ask for nothing and refuses others by name. The tests send every field of every table,
on every route and in every object of a body.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from server.api.compat.classifiers import ClassifyBody, PredictBody
from server.api.compat.deepl import DeeplBody
from server.api.compat.tokens import DetokenizeRequest, TokenizeRequest
from server.api.hearth import SentimentRequest
from server.api.openai.completions import CompletionRequest
from server.api.openai.decisions import DecisionRequest
from server.api.openai.decisions import Message as DecisionMessage
from server.api.openai.decisions import TextPart as DecisionPart
from server.api.openai.embeddings import EmbeddingRequest
from server.api.openai.models import ModelNamed
from server.api.openai.moderations import ModerationRequest
from server.api.schemas import anthropic, ollama, response_items
from server.api.schemas.base import RequestBody
from server.api.schemas.chat import ChatRequest
from server.api.schemas.inert import ANYTHING, PART, Table
from server.api.schemas.messages import (
    AssistantMessage,
    Call,
    CalledFunction,
    Function,
    SystemMessage,
    Tool,
    ToolMessage,
    UserMessage,
)
from server.api.schemas.responses import FunctionTool, ResponseRequest, TextOptions
from server.api.schemas.sampling import StreamOptions
from server.api.schemas.translations import TranslationRequest
from server.api.summaries import SummaryRequest

pytestmark = pytest.mark.anyio

CHAT: dict[str, Any] = {
    "model": "assistant",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather in Bern?"}]},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
            ],
        },
        {"role": "tool", "content": "Sun.", "tool_call_id": "c"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        }
    ],
    "response_format": {"type": "text"},
}
RESPONSE: dict[str, Any] = {
    "model": "assistant",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather in Bern?"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"city": "Bern"}'},
        {"type": "function_call_output", "call_id": "c", "output": "Sun."},
    ],
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}],
    "text": {"format": {"type": "text"}},
}
ANTHROPIC: dict[str, Any] = {
    "model": "assistant",
    "max_tokens": 20,
    "system": [{"type": "text", "text": "Be brief."}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Weather in Bern?"}]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "c", "name": "weather", "input": {"city": "Bern"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "Sun."}]}]},
    ],
    "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}],
    "tool_choice": {"type": "auto"},
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
}  # fmt: skip
OLLAMA: dict[str, Any] = {
    "model": "assistant",
    "messages": [
        {"role": "user", "content": "Weather in Bern?"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Bern"}}}]},
        {"role": "tool", "content": "Sun."},
    ],
    "tools": CHAT["tools"],
}
COUNTED = {name: value for name, value in ANTHROPIC.items() if name != "max_tokens"}
COMPLETION: dict[str, Any] = {"model": "assistant", "prompt": "Hi"}
DECISION: dict[str, Any] = {
    "model": "sentiment",
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "I love it."}]}],
    "questions": [{"type": "predicate", "instructions": "The text is positive"}],
}
TOKENS: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}


class Place(NamedTuple):
    """An object in the body of a route, and what of it is inert."""

    path: str
    body: Mapping[str, Any]
    at: str
    """Where it is, as errors name it; empty: the body itself."""
    table: Table
    fields: frozenset[str] = frozenset()

    def body_with(self, **more: Any) -> dict[str, Any]:
        body = copy.deepcopy(dict(self.body))
        found: Any = body
        for name in self.at.split(".") if self.at else ():
            found = found[int(name) if isinstance(found, list) else name]
        found.update({name: value for name, value in more.items() if name not in found})
        return body

    def name(self, field: str) -> str:
        return f"{self.at}.{field}" if self.at else field


def place(path: str, body: Mapping[str, Any], at: str, cls: type[RequestBody]) -> Place:
    return Place(path, body, at, {**cls.inert, **cls.neutral}, frozenset(cls.model_fields))


STREAMED = {**COMPLETION, "stream": True, "stream_options": {"include_usage": True}}
PLACES = [
    place("/v1/chat/completions", CHAT, "", ChatRequest),
    place("/v1/chat/completions", CHAT, "messages.0", SystemMessage),
    place("/v1/chat/completions", CHAT, "messages.1", UserMessage),
    place("/v1/chat/completions", CHAT, "messages.2", AssistantMessage),
    place("/v1/chat/completions", CHAT, "messages.3", ToolMessage),
    Place("/v1/chat/completions", CHAT, "messages.1.content.0", PART),
    place("/v1/chat/completions", CHAT, "messages.2.tool_calls.0", Call),
    place("/v1/chat/completions", CHAT, "messages.2.tool_calls.0.function", CalledFunction),
    place("/v1/chat/completions", CHAT, "tools.0", Tool),
    place("/v1/chat/completions", CHAT, "tools.0.function", Function),
    Place("/v1/chat/completions", CHAT, "response_format", {}),
    Place("/v1/chat/completions", {**CHAT, "tool_choice": {"type": "function", "function": {"name": "weather"}}},
          "tool_choice", {}),
    Place("/v1/chat/completions", {**CHAT, "tool_choice": {"type": "function", "function": {"name": "weather"}}},
          "tool_choice.function", {}),
    place("/v1/completions", COMPLETION, "", CompletionRequest),
    place("/v1/completions", STREAMED, "stream_options", StreamOptions),
    place("/v1/responses", RESPONSE, "", ResponseRequest),
    place("/v1/responses", RESPONSE, "input.0", response_items.InputMessage),
    place("/v1/responses", RESPONSE, "input.1", response_items.OutputMessage),
    place("/v1/responses", RESPONSE, "input.2", response_items.FunctionCall),
    place("/v1/responses", RESPONSE, "input.3", response_items.FunctionCallOutput),
    Place("/v1/responses", RESPONSE, "input.0.content.0", PART),
    Place("/v1/responses", RESPONSE, "input.1.content.0", {**PART, "logprobs": ANYTHING}),
    place("/v1/responses", RESPONSE, "tools.0", FunctionTool),
    place("/v1/responses", RESPONSE, "text", TextOptions),
    Place("/v1/responses", RESPONSE, "text.format", {}),
    place("/v1/messages", ANTHROPIC, "", anthropic.MessagesRequest),
    place("/v1/messages", ANTHROPIC, "messages.0", anthropic.Turn),
    place("/v1/messages", ANTHROPIC, "messages.0.content.0", anthropic.TextBlock),
    place("/v1/messages", ANTHROPIC, "messages.1.content.0", anthropic.ToolUse),
    place("/v1/messages", ANTHROPIC, "messages.2.content.0", anthropic.ToolResult),
    place("/v1/messages", ANTHROPIC, "messages.2.content.0.content.0", anthropic.TextBlock),
    place("/v1/messages", ANTHROPIC, "system.0", anthropic.TextBlock),
    place("/v1/messages", ANTHROPIC, "tools.0", anthropic.CustomTool),
    place("/v1/messages", ANTHROPIC, "tool_choice", anthropic.Choosing),
    Place("/v1/messages", ANTHROPIC, "output_config", {"effort": ()}),
    Place("/v1/messages", ANTHROPIC, "output_config.format", {}),
    place("/v1/messages/count_tokens", COUNTED, "", anthropic.Conversation),
    place("/api/chat", OLLAMA, "", ollama.ChatAsked),
    place("/api/chat", OLLAMA, "messages.0", ollama.Said),
    place("/api/chat", OLLAMA, "messages.1.tool_calls.0", ollama.Called),
    place("/api/chat", OLLAMA, "messages.1.tool_calls.0.function", ollama.FunctionCalled),
    place("/api/chat", OLLAMA, "tools.0", Tool),
    place("/api/generate", {"model": "assistant", "prompt": "Hi"}, "", ollama.GenerateAsked),
    place("/api/embed", {"model": "embed", "input": "Hi"}, "", ollama.EmbedAsked),
    place("/api/embeddings", {"model": "embed", "prompt": "Hi"}, "", ollama.EmbeddingsAsked),
    place("/api/show", {"model": "embed"}, "", ollama.ShowAsked),
    place("/v1/embeddings", {"model": "embed", "input": "Hi"}, "", EmbeddingRequest),
    place("/v1/moderations", {"input": "Hi"}, "", ModerationRequest),
    Place("/v1/moderations", {"input": [{"type": "text", "text": "Hi"}]}, "input.0", PART),
    place("/v1/decisions", DECISION, "", DecisionRequest),
    place("/v1/decisions", DECISION, "input.0", DecisionMessage),
    place("/v1/decisions", DECISION, "input.0.content.0", DecisionPart),
    place("/v1/sentiment", {"input": "Hi"}, "", SentimentRequest),
    place("/v1/summaries", {"input": "Hi there."}, "", SummaryRequest),
    place("/v1/translations", {"input": "Hi", "target": "de"}, "", TranslationRequest),
    place("/tokenize", TOKENS, "", TokenizeRequest),
    place("/tokenize", TOKENS, "messages.0", UserMessage),
    place("/detokenize", {"model": "assistant", "tokens": [5]}, "", DetokenizeRequest),
    place("/predict", {"inputs": "Hi"}, "", PredictBody),
    place("/classify", {"input": "Hi"}, "", ClassifyBody),
    place("/v2/translate", {"text": ["Hi"], "target_lang": "DE"}, "", DeeplBody),
    Place("/translate", {"q": "Hi", "source": "en", "target": "de"}, "", {}),
    Place("/detect", {"q": "Guten Morgen."}, "", {}),
    place("/models/load", {"model": "embed"}, "", ModelNamed),
    place("/models/unload", {"model": "embed"}, "", ModelNamed),
    Place("/v1/decisions", DECISION, "questions.0", {}),
    Place("/v1/translations", {"input": "Hi", "target": "de", "glossary": [{"source": "a", "target": "b"}]},
          "glossary.0", {}),
]  # fmt: skip
ASKING = ("asks", 7.5, ["asks"], {"asks": "something"})


def neutral_bodies(each: Place) -> Iterator[dict[str, Any]]:
    """All inert fields together, each with its nth neutral value."""
    values = {
        name: list(neutral_values(allowed))
        for name, allowed in each.table.items()
        if not (name in each.fields and allowed is ANYTHING)  # such a field has a type of its own
    }
    for nth in range(max(map(len, values.values()), default=0)):
        yield each.body_with(**{name: some[nth % len(some)] for name, some in values.items() if some})


def neutral_values(allowed: Any) -> Iterator[Any]:
    if allowed is ANYTHING:
        yield from ("anything", 5, {"some": ["thing"]})
    elif isinstance(allowed, Mapping):
        yield {}
        for name, inner in allowed.items():
            yield from ({name: value} for value in neutral_values(inner))
        yield dict.fromkeys(allowed)
    else:
        yield from allowed


def asking_fields(each: Place) -> Iterator[tuple[str, str, Any]]:
    """The name an error must have, the field and a value that asks for something."""
    for name, allowed in each.table.items():
        if name in each.fields or allowed is ANYTHING:
            continue
        if isinstance(allowed, Mapping):
            for inner, some in allowed.items():
                if some is not ANYTHING:
                    yield f"{name}.{inner}", name, {inner: "asks"}
            yield name, name, "asks"
            yield f"{name}.unheard_of", name, {"unheard_of": 1}
        else:
            yield name, name, next(value for value in ASKING if value not in allowed)


def param_of(path: str, answer: dict[str, Any]) -> str:
    """The field that an answer blames: peers say it in words."""
    error = answer.get("error")
    if isinstance(error, dict):
        return str(error["param"]) if "param" in error else error["message"].split("'")[1]
    message = str(error or answer["message"])
    return message.split("'")[1]


@pytest.mark.parametrize("each", PLACES, ids=lambda each: f"{each.path}:{each.at}")
async def test_what_asks_for_nothing_is_taken(served: Any, each: Place) -> None:
    for body in [*neutral_bodies(each), each.body_with(unheard_of=None), each.body_with(**dict.fromkeys(each.table))]:
        response = await served.post(each.path, **body)
        assert response.status_code == 200, (body, response.text)
        assert "x-ignored-fields" not in response.headers


@pytest.mark.parametrize("each", PLACES, ids=lambda each: f"{each.path}:{each.at}")
async def test_what_asks_for_something_is_refused_by_its_name(served: Any, each: Place) -> None:
    for param, field, value in [*asking_fields(each), ("unheard_of", "unheard_of", 1), ("stpo", "stpo", [])]:
        response = await served.post(each.path, **each.body_with(**{field: value}))
        assert response.status_code in (400, 422), (field, value, response.text)
        assert param_of(each.path, response.json()) == each.name(param), response.text


@pytest.mark.parametrize("each", PLACES, ids=lambda each: f"{each.path}:{each.at}")
async def test_where_unknown_fields_are_ignored_they_are_named_and_counted(serving: Any, each: Place) -> None:
    async with serving(unknown_fields="ignore") as served:
        response = await served.post(each.path, **each.body_with(unheard_of=1, **{"nö\r\nthing": 2}))
        assert response.status_code == 200, response.text
        assert response.headers["x-ignored-fields"] == "n???thing, unheard_of"
        assert served.metrics.value("ignored_fields_total", each.path) == 2
        assert (await served.post(each.path, **each.body_with())).headers.get("x-ignored-fields") is None


async def test_what_an_answer_is_about_is_refused_even_where_unknown_fields_are_ignored(serving: Any) -> None:
    async with serving(unknown_fields="ignore") as served:
        ask = {"model": "assistant", "input": "Hi"}
        refused = await served.post("/v1/responses", **ask, previous_response_id="resp_1")
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "previous_response_id"
        taken = await served.post("/v1/responses", **ask, reasoning={"effort": "high"}, max_output_tokens=5)
        assert taken.status_code == 200
        assert taken.headers["x-ignored-fields"] == "reasoning"
        for field, value in (
            ("enable_thinking", True),
            ("thinking_budget", 5),
            ("chat_template_kwargs", {"think": True}),
        ):
            said = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, field: value}
            taken = await served.post("/v1/chat/completions", model="assistant", **said)
            assert taken.headers["x-ignored-fields"] == field
        wrong = await served.post("/v1/responses", **ask, temperature=9)
        assert wrong.json()["error"]["param"] == "temperature"


async def test_names_of_ignored_fields_do_not_swell_the_answer(serving: Any) -> None:
    async with serving(unknown_fields="ignore", max_body_bytes=10_000_000) as served:
        response = await served.post("/v1/sentiment", input="Hi", **{f"{i:03}" + "x" * 5000: 1 for i in range(500)})
        assert response.status_code == 200
        assert len(response.headers["x-ignored-fields"]) < 32 * 66
        assert served.metrics.value("ignored_fields_total", "/v1/sentiment") == 500


async def test_what_langchain_and_others_send_back_of_a_call_is_taken(served: Any) -> None:
    """A name on the tool's message, an index on the call, no arguments for a function that takes none."""
    call = {"id": "c", "type": "function", "index": 0, "function": {"name": "weather", "arguments": ""}}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [], "tool_calls": [call], "reasoning_content": None},
        {"role": "tool", "name": "weather", "tool_call_id": "c", "content": "Sun."},
    ]
    answer = await served.post("/v1/chat/completions", model="assistant", messages=messages, tools=CHAT["tools"])
    assert answer.status_code == 200, answer.text
    items = [
        {"role": "user", "content": "Weather?"},
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": ""},
        {"type": "function_call_output", "call_id": "c", "output": "Sun."},
    ]
    assert (await served.post("/v1/responses", model="assistant", input=items)).status_code == 200
    call["function"] = {"name": "weather", "arguments": "{half"}
    error = (await served.post("/v1/chat/completions", model="assistant", messages=messages)).json()["error"]
    assert error["param"] == "messages"
    assert "not JSON" in error["message"]
    assert "Expecting" not in error["message"], "the words of a library"


async def test_fields_of_a_large_body_are_ignored_as_well(serving: Any) -> None:
    """It may be checked in a thread."""
    async with serving(unknown_fields="ignore") as served:
        response = await served.post("/v1/sentiment", input="Hi", unheard_of="x" * 500_000)
        assert response.status_code == 200, response.text
        assert response.headers["x-ignored-fields"] == "unheard_of"
    async with serving() as served:
        response = await served.post("/v1/sentiment", input="Hi", unheard_of="x" * 500_000)
        assert response.json()["error"]["param"] == "unheard_of"
