"""Anthropic's official package against a real server. Run by `make test-clients`."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.compat.desk import ASK, TABLE, Desk
from tests.server_process import Served

anthropic = pytest.importorskip("anthropic", reason="anthropic is in the environment of `make test-clients` only")

ASKED: Any = {"model": "assistant", "max_tokens": 80, "messages": [{"role": "user", "content": TABLE}]}
GREEDY: Any = {"extra_body": {"temperature": 0}}


@pytest.fixture
def claude(server: Served) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0, timeout=60) as made:
        yield made


def test_a_message_streams_as_it_is_whole(claude: Any) -> None:
    whole = claude.messages.create(**ASKED, **GREEDY)
    assert whole.content[0].text
    assert whole.stop_reason == "end_turn"
    with claude.messages.stream(**ASKED, **GREEDY) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text == final.content[0].text
    assert final.stop_reason == "end_turn"
    for one in (whole.usage, final.usage):
        assert one.output_tokens == whole.usage.output_tokens


@pytest.mark.anyio
async def test_the_asynchronous_face_gets_the_same(server: Served, claude: Any) -> None:
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="none") as client:
        made = await client.messages.create(**ASKED, **GREEDY)
        names = [event.type async for event in await client.messages.create(**ASKED, **GREEDY, stream=True)]
    assert made.content[0].text == claude.messages.create(**ASKED, **GREEDY).content[0].text
    assert (names[0], names[-1]) == ("message_start", "message_stop")


def test_tokens_are_counted_before_they_are_sent(claude: Any) -> None:
    fields = {name: value for name, value in ASKED.items() if name != "max_tokens"}
    counted = claude.messages.count_tokens(**fields, system="You book tables.")
    used = claude.messages.create(**ASKED, system="You book tables.").usage
    assert counted.input_tokens == used.input_tokens + used.cache_read_input_tokens


@pytest.mark.parametrize("streams", [False, True])
def test_the_packages_own_tool_runner_calls_and_words_the_result(claude: Any, streams: bool) -> None:
    desk = Desk()
    tool = anthropic.beta_tool(desk.tool)
    runner = claude.beta.messages.tool_runner(
        model="assistant", max_tokens=80, tools=[tool], messages=[{"role": "user", "content": ASK}],
        extra_body={"temperature": 0}, stream=streams, thread=False,  # the server holds no conversations
    )  # fmt: skip
    last: Any = None
    for turn in runner:
        last = turn.get_final_message() if streams else turn
    assert last.stop_reason == "end_turn"
    desk.assert_served(last.content[0].text)


class Table(BaseModel):
    """Of texts that end: the package takes limits of lengths and numbers out of a schema."""

    city: Literal["Oakland", "San Jose"]
    outdoors: bool


def test_an_answer_is_of_the_class(claude: Any) -> None:
    made = claude.messages.parse(**ASKED, output_format=Table)
    assert isinstance(made.parsed_output, Table)


def test_a_stop_sequence_ends_the_text_and_is_told(claude: Any) -> None:
    word = claude.messages.create(**ASKED, **GREEDY).content[0].text.split()[2]
    made = claude.messages.create(**ASKED, **GREEDY, stop_sequences=[word])
    assert (made.stop_reason, made.stop_sequence) == ("stop_sequence", word)
    assert word not in made.content[0].text


def test_refusals_are_the_packages_own_exceptions(claude: Any) -> None:
    with pytest.raises(anthropic.NotFoundError, match="nobody"):
        claude.messages.create(**{**ASKED, "model": "nobody"})
    with pytest.raises(anthropic.BadRequestError, match=r"thinking\.type"):
        claude.messages.create(**ASKED, thinking={"type": "enabled", "budget_tokens": 1024})
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    image = {"role": "user", "content": [{"type": "image", "source": source}]}
    with pytest.raises(anthropic.BadRequestError, match="'image'"):
        claude.messages.create(**{**ASKED, "messages": [image]})
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        claude.messages.create(**{**ASKED, "messages": [{"role": "user", "content": "hi " * 3000}]})
