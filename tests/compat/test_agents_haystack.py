"""Haystack against a real server, over both of OpenAI's APIs. Run by `make test-clients`."""

import os
from typing import Any

import pytest

from tests.compat.desk import ASK, FOOD, TABLE, Booking, Desk
from tests.server_process import Served

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "false")  # read at import
pytest.importorskip("haystack", reason="haystack-ai is in the environment of `make test-clients` only")
from haystack.components.agents import Agent
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage, Document
from haystack.tools import tool
from haystack.utils import Secret

# The generator's class, and its names for the limit and for the schema.
CHATS = [
    (OpenAIChatGenerator, "max_tokens", "response_format"),
    (OpenAIResponsesChatGenerator, "max_output_tokens", "text_format"),
]


@pytest.fixture(params=CHATS, ids=lambda chat: chat[0].__name__)
def chat(request: pytest.FixtureRequest, server: Served) -> Any:
    """A function that makes a generator; its argument is the class of the answers."""
    kind, limit, form = request.param

    def made(shape: Any = None) -> Any:
        fields = {"temperature": 0, limit: 120, **({form: shape} if shape else {})}
        place = {"api_key": Secret.from_token("none"), "api_base_url": f"{server.url}/v1", "model": "assistant"}
        return kind(**place, max_retries=0, tools_strict=True, generation_kwargs=fields)

    return made


def test_a_second_turn_brings_the_first(chat: Any) -> None:
    said = [ChatMessage.from_system("You book appointments."), ChatMessage.from_user(TABLE)]
    (first,) = chat().run(messages=said)["replies"]
    (second,) = chat().run(messages=[*said, first, ChatMessage.from_user(FOOD)])["replies"]
    assert first.text
    assert second.text


def test_a_reply_streams_as_it_is_whole(chat: Any) -> None:
    parts: list[str] = []
    (whole,) = chat().run(messages=[ChatMessage.from_user(TABLE)])["replies"]
    chat().run(messages=[ChatMessage.from_user(TABLE)], streaming_callback=lambda chunk: parts.append(chunk.content))
    assert "".join(parts) == whole.text


def test_an_agent_calls_its_tool_and_words_the_result(chat: Any) -> None:
    desk = Desk()
    done = Agent(chat_generator=chat(), tools=[tool(desk.tool)]).run(messages=[ChatMessage.from_user(ASK)])
    desk.assert_served(done["last_message"].text)


def test_a_typed_reply_parses(chat: Any) -> None:
    (reply,) = chat(Booking).run(messages=[ChatMessage.from_user(TABLE)])["replies"]
    assert Booking.model_validate_json(reply.text)


def test_a_typed_reply_comes_after_the_tool(chat: Any) -> None:
    desk = Desk()
    done = Agent(chat_generator=chat(Booking), tools=[tool(desk.tool)]).run(messages=[ChatMessage.from_user(ASK)])
    desk.assert_called()
    assert Booking.model_validate_json(done["last_message"].text)


def test_the_nearest_document_is_found(server: Served) -> None:
    place = {"api_key": Secret.from_token("none"), "api_base_url": f"{server.url}/v1", "model": "embed"}
    documents = [Document(content=text) for text in ("a dog", "tax law")]
    written = OpenAIDocumentEmbedder(**place, progress_bar=False).run(documents)["documents"]
    asked = OpenAITextEmbedder(**place).run("a puppy")["embedding"]
    near, far = (sum(a * b for a, b in zip(asked, each.embedding, strict=True)) for each in written)
    assert near > far
