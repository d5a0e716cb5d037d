"""Thoughts through the official client: switches, budgets, separation from the answer (whole and streamed), and earlier
thoughts in requests.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import responses as kinds
from pydantic import TypeAdapter

from server.cli.client import FAINT, PLAIN, Client, _answer
from tests.call_templates import HERMES
from tests.generator_folders import THINKER, write_speaker
from tests.server_process import Served, serving

ROOT = Path(__file__).parents[2]
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
ALWAYS = (
    "{% for m in messages %}<|im_start|>{{ m.role + '\\n' + m.content.split('</think>')[-1] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{{ '<think>\\n' }}{% endif %}"
)
NUMBER: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "number",
        "schema": {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "required": ["a"],
            "additionalProperties": False,
        },
    },
}
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "book",
        "parameters": {
            "type": "object",
            "properties": {"guests": {"type": "integer"}},
            "required": ["guests"],
            "additionalProperties": False,
        },
    },
}
ASK: Any = [{"role": "user", "content": "Hi there"}]
BUDGET = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("models")
    texts = (ROOT / "tests" / "quality" / "translation.tsv").read_text("utf-8").splitlines()
    write_speaker(folder / "thinker", texts, *MARKS, template=THINKER)
    write_speaker(folder / "always", texts, *MARKS, template=ALWAYS)
    write_speaker(folder / "plain", texts, template=HERMES)
    with serving(models_dir=folder) as served:
        yield served


def ask(client: OpenAI, model: str = "thinker", **fields: Any) -> Any:
    known = {
        "reasoning_effort",
        "response_format",
        "tools",
        "tool_choice",
        "stop",
        "logprobs",
        "stream",
        "n",
        "messages",
    }
    extra = {name: fields.pop(name) for name in list(fields) if name not in {*known, "max_tokens", "stream_options"}}
    body = {"messages": ASK, "max_tokens": 60, "temperature": 0, **fields}
    return client.chat.completions.create(model=model, extra_body=extra, **body)


def said(answer: Any) -> tuple[str, str]:
    message = answer.choices[0].message
    assert getattr(message, "reasoning", None) == getattr(message, "reasoning_content", None)
    return getattr(message, "reasoning_content", None) or "", message.content or ""


SWITCHES_ON: list[dict[str, Any]] = [
    {"enable_thinking": True},
    {"chat_template_kwargs": {"enable_thinking": True}},
    {"reasoning_effort": "low"},
    {"reasoning": {"effort": "high"}},
    {"reasoning": {"enabled": True}},
    {"think": True},
    {"thinking": {"type": "enabled"}},
]
SWITCHES_OFF: list[dict[str, Any]] = [
    {"enable_thinking": False},
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"reasoning_effort": "none"},
    {"reasoning": {"effort": "none"}},
    {"think": False},
    {"thinking": {"type": "disabled"}},
    {"thinking_budget": 0},
]


@pytest.mark.parametrize("switch", SWITCHES_ON, ids=json.dumps)
def test_every_way_to_switch_thinking_on_is_the_templates_own(client: OpenAI, switch: dict[str, Any]) -> None:
    thought, content = said(ask(client, **switch))
    assert thought
    assert thought == said(ask(client, "thinker", enable_thinking=True))[0]
    assert content == ""  # of a model of random numbers the thought does not end


@pytest.mark.parametrize("model", ["thinker", "always"])
@pytest.mark.parametrize("switch", SWITCHES_OFF, ids=json.dumps)
def test_every_way_to_switch_thinking_off_is_one_prompt(client: OpenAI, model: str, switch: dict[str, Any]) -> None:
    answer = ask(client, model, **switch)
    thought, content = said(answer)
    assert thought == ""
    assert content == said(ask(client, model, enable_thinking=False))[1] != ""
    assert answer.usage.completion_tokens_details is None


def test_a_template_that_always_thinks_begins_in_its_thought(client: OpenAI) -> None:
    thought, content = said(ask(client, "always"))
    assert (thought != "", content) == (True, "")
    assert said(ask(client, "always", enable_thinking=True))[0] == thought


@pytest.mark.parametrize(
    "name", ["thinking_budget", "thinking_budget_tokens", "thinking_token_budget", "reasoning_budget"]
)
def test_a_budget_ends_the_thought_and_the_answer_begins(client: OpenAI, name: str) -> None:
    answer = ask(client, enable_thinking=True, **{name: BUDGET})
    thought, content = said(answer)
    whole, _ = said(ask(client, enable_thinking=True))
    assert whole.startswith(thought)
    assert content
    assert "think" not in content
    used = answer.usage.completion_tokens_details.reasoning_tokens
    assert BUDGET <= used <= BUDGET + 6  # the marks and the white space around them
    assert ask(client, reasoning={"max_tokens": BUDGET}).usage.completion_tokens_details.reasoning_tokens == used


@pytest.mark.parametrize("fields", [{}, {"logprobs": True}, {"reasoning_effort": "low"}], ids=str)
def test_a_schema_is_for_the_answer_and_not_for_the_thought(client: OpenAI, fields: dict[str, Any]) -> None:
    for model in ("thinker", "always"):
        free, _ = said(ask(client, model, enable_thinking=True, thinking_budget=BUDGET))
        answer = ask(client, model, enable_thinking=True, thinking_budget=BUDGET, response_format=NUMBER, **fields)
        thought, content = said(answer)
        assert thought == free
        assert isinstance(json.loads(content)["a"], int)
        if fields.get("logprobs"):
            spelled = "".join(token.token for token in answer.choices[0].logprobs.content)
            assert spelled.strip() == content


def test_a_model_that_may_think_answers_under_a_schema_with_and_without_a_thought(
    client: OpenAI, server: Served
) -> None:
    with server.client() as http:
        (mark,) = http.post("/tokenize", json={"model": "thinker", "prompt": "<think>"}).json()["tokens"]
    for bias, thinks in ((-100, False), (100, True)):
        answer = ask(client, response_format=NUMBER, thinking_budget=BUDGET, logit_bias={str(mark): bias})
        thought, content = said(answer)
        assert (thought != "" or answer.usage.completion_tokens_details.reasoning_tokens > 0) is thinks
        assert isinstance(json.loads(content)["a"], int)


def test_stop_strings_are_for_the_answer_alone(client: OpenAI) -> None:
    thought, content = said(ask(client, enable_thinking=True, thinking_budget=BUDGET))
    stop = thought.split()[-1]
    again, cut = said(ask(client, enable_thinking=True, thinking_budget=BUDGET, stop=[stop, content[5:9]]))
    assert again == thought
    assert cut == content[: content.index(content[5:9])]


def test_a_call_comes_after_the_thought(client: OpenAI) -> None:
    answer = ask(client, enable_thinking=True, thinking_budget=BUDGET, tools=[TOOL], tool_choice="required")
    assert said(answer)[0]
    (call,) = answer.choices[0].message.tool_calls[:1]
    assert (call.function.name, list(json.loads(call.function.arguments))) == ("book", ["guests"])


@pytest.mark.parametrize("model", ["thinker", "plain"])
def test_calls_are_streamed_as_they_are_told_whole(client: OpenAI, model: str) -> None:
    fields: dict[str, Any] = {"tools": [TOOL], "tool_choice": "required", "thinking_budget": BUDGET}
    if model == "plain":
        del fields["thinking_budget"]
    whole = ask(client, model, **fields)
    made: dict[int, str] = {}
    for chunk in ask(client, model, stream=True, **fields):
        for call in chunk.choices[0].delta.tool_calls or ():
            made[call.index] = made.get(call.index, "") + (call.function.arguments or "")
    told = [call.function.arguments for call in whole.choices[0].message.tool_calls or ()]
    assert [made[i] for i in sorted(made)] == told


def test_a_thinking_model_with_tools_and_a_schema_calls_or_answers(client: OpenAI) -> None:
    answer = ask(client, enable_thinking=True, thinking_budget=BUDGET, tools=[TOOL], response_format=NUMBER)
    assert said(answer)[0]
    calls = answer.choices[0].message.tool_calls
    assert calls or isinstance(json.loads(said(answer)[1])["a"], int)


@pytest.mark.parametrize("fields", [{"thinking_budget": BUDGET}, {}, {"thinking_budget": 2, "response_format": NUMBER}])
def test_a_stream_tells_thought_and_answer_apart_and_both_are_those_of_the_whole(
    client: OpenAI, fields: dict[str, Any]
) -> None:
    whole = ask(client, enable_thinking=True, n=2, **fields)
    stream = ask(client, enable_thinking=True, n=2, stream=True, stream_options={"include_usage": True}, **fields)
    texts: dict[str, list[str]] = {"reasoning_content": ["", ""], "content": ["", ""]}
    for chunk in stream:
        for choice in chunk.choices:
            delta = choice.delta
            thought = getattr(delta, "reasoning_content", None) or ""
            assert thought == (getattr(delta, "reasoning", None) or "")
            if thought:
                assert not delta.content
                assert texts["content"][choice.index] == ""
            texts["reasoning_content"][choice.index] += thought
            texts["content"][choice.index] += delta.content or ""
        if chunk.usage is not None:
            assert chunk.usage.completion_tokens_details == whole.usage.completion_tokens_details
    for i, choice in enumerate(whole.choices):
        assert texts["reasoning_content"][i] == choice.message.reasoning_content
        assert texts["content"][i] == choice.message.content


def test_a_thought_is_left_out_or_left_in_the_content_where_that_is_asked(client: OpenAI) -> None:
    thought, content = said(ask(client, enable_thinking=True, thinking_budget=BUDGET))
    for fields in ({"include_reasoning": False}, {"reasoning": {"exclude": True}}):
        assert said(ask(client, enable_thinking=True, thinking_budget=BUDGET, **fields)) == ("", content)
    for fields in ({"reasoning_format": "none"}, {"separate_reasoning": False}):
        none, raw = said(ask(client, enable_thinking=True, thinking_budget=BUDGET, **fields))
        assert none == ""
        assert raw.replace("\n", "") == f"{thought}</think>{content}".replace("\n", "")


def test_earlier_thoughts_are_written_where_the_template_takes_them(client: OpenAI) -> None:
    def tokens(**message: Any) -> int:
        said = [*ASK, {"role": "assistant", "content": "Hello.", **message}, *ASK]
        return int(ask(client, enable_thinking=False, messages=said, max_tokens=1).usage.prompt_tokens)

    without = tokens()
    assert tokens(reasoning_content="The user greets.") == tokens(reasoning="The user greets.") > without
    assert tokens(reasoning_content="") == tokens(reasoning=None) == without


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"model": "plain", "enable_thinking": True}, "enable_thinking"),
        ({"model": "plain", "reasoning_effort": "high"}, "reasoning_effort"),
        ({"model": "plain", "thinking_budget": 9}, "thinking_budget"),
        ({"model": "plain", "reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"model": "plain", "chat_template_kwargs": {"thinking": True}}, "chat_template_kwargs.thinking"),
        (
            {"model": "always", "chat_template_kwargs": {"enable_thinking": True}},
            "chat_template_kwargs.enable_thinking",
        ),
        ({"model": "thinker", "chat_template_kwargs": {"messages": []}}, "chat_template_kwargs.messages"),
        ({"enable_thinking": True, "reasoning_effort": "none"}, "reasoning_effort"),
        ({"enable_thinking": True, "think": False}, "think"),
        ({"thinking_budget": 4, "reasoning": {"max_tokens": 5}}, "reasoning.max_tokens"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"thinking_budget": -2}, "thinking_budget"),
    ],
    ids=str,
)
def test_what_cannot_be_switched_is_refused_by_name(client: OpenAI, fields: dict[str, Any], name: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, **fields)
    assert refused.value.param == name


def test_thinking_switched_off_is_taken_by_a_model_that_does_not_think(client: OpenAI) -> None:
    plain = said(ask(client, "plain"))
    for switch in SWITCHES_OFF:
        assert said(ask(client, "plain", **switch)) == plain


def test_responses_have_reasoning_items_and_take_them_back(client: OpenAI) -> None:
    same: Any = {"model": "thinker", "input": "Hi there", "temperature": 0, "max_output_tokens": 40}
    same["extra_body"] = {"thinking_budget": BUDGET}
    whole = client.responses.create(reasoning={"effort": "low"}, **same)
    item, message = whole.output
    assert (item.type, message.type, whole.reasoning.effort) == ("reasoning", "message", "low")
    assert whole.usage.output_tokens_details.reasoning_tokens >= BUDGET
    events = list(client.responses.create(reasoning={"effort": "low"}, stream=True, **same))
    for event in events:
        TypeAdapter(kinds.ResponseStreamEvent).validate_json(event.model_dump_json(exclude_unset=True, by_alias=True))
    types = [event.type for event in events]
    assert types[2:5] == ["response.output_item.added", "response.content_part.added", "response.reasoning_text.delta"]
    thought = "".join(event.delta for event in events if event.type == "response.reasoning_text.delta")
    (done,) = (event for event in events if event.type == "response.reasoning_text.done")
    assert thought == done.text == item.content[0].text
    ended = [event for event in events if event.type == "response.output_item.done"]
    assert [(event.output_index, event.item.type) for event in ended] == [(0, "reasoning"), (1, "message")]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == message.content[0].text
    assert {event.output_index for event in events if event.type.startswith("response.output_text")} == {1}
    last = events[-1].response
    assert [each.type for each in last.output] == ["reasoning", "message"]
    again = client.responses.create(
        model="thinker",
        input=[{"role": "user", "content": "Hi"}, *whole.output, {"role": "user", "content": "Hi"}],  # type: ignore[list-item]
        max_output_tokens=1,
        reasoning={"effort": "none"},
    )
    without = client.responses.create(
        model="thinker",
        input=[{"role": "user", "content": "Hi"}, message, {"role": "user", "content": "Hi"}],  # type: ignore[list-item]
        max_output_tokens=1,
        reasoning={"effort": "none"},
    )
    assert again.usage is not None
    assert without.usage is not None
    assert again.usage.input_tokens > without.usage.input_tokens


def test_a_terminal_shows_the_thought_faintly_and_a_pipe_does_not(
    server: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.url) as client:
        assert _answer(client, "always", ASK) == ""
        assert capsys.readouterr().out == "\n"
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert _answer(client, "always", ASK) == ""
    shown = capsys.readouterr().out
    assert shown.startswith(FAINT)
    assert shown.endswith(f"{PLAIN}\n")
    assert len(shown) > 100
