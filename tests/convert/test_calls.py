"""Tool calls of models from a hub: found in a stream, read, enforced; never mistaken for text, nor text for them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from models.families import hub
from models.families.call_forms import CallForm
from models.tokenizers import HuggingFaceTokenizer
from server.engines.rows import Generated, Token
from server.tasks.generation.calling import CallReader
from server.tasks.generation.completion import Completion, TokenTexts
from server.tasks.generation.grammars import tool_signature
from server.tasks.generation.stop_strings import CallMarks
from server.tasks.results import Delta
from tests.call_templates import HERMES as HERMES_TEMPLATE
from tests.call_templates import LLAMA as LLAMA_TEMPLATE
from tests.call_templates import form_of
from tests.convert.decoder_repositories import byte_level

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
SIGNATURES = [
    tool_signature("weather", WEATHER, "tools", strict=True),
    tool_signature("now", {}, "tools", strict=False),
]
HERMES_FORM, LLAMA_FORM = form_of(HERMES_TEMPLATE), form_of(LLAMA_TEMPLATE)
HERMES = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "days": 3}}\n</tool_call>'
LLAMA = '{"name": "weather", "parameters": {"city": "Rome", "days": 3}}'


def test_calls_of_hermes_are_read() -> None:
    calls = HERMES_FORM.parse(f'{HERMES}\n<tool_call>{{"name": "now", "arguments": "{{}}"}}</tool_call>')
    assert calls is not None
    assert [(call.name, call.arguments) for call in calls] == [("weather", {"city": "Rome", "days": 3}), ("now", {})]


@pytest.mark.parametrize("text", ["<tool_call>{", f"{HERMES} and so on", "<tool_call>[1]</tool_call>"])
def test_what_is_no_call_of_hermes_stays_text(text: str) -> None:
    assert HERMES_FORM.parse(text) is None


def test_a_call_of_llama_is_read() -> None:
    for text in (LLAMA, f"<|python_tag|>{LLAMA}"):
        (call,) = LLAMA_FORM.parse(text, SIGNATURES) or ()
        assert (call.name, call.arguments) == ("weather", {"city": "Rome", "days": 3})


@pytest.mark.parametrize("text", ['{"name": "Ann", "parameters": {}}', '{"a": 1}', "{", "[]"])
def test_other_json_of_llama_stays_text(text: str) -> None:
    assert LLAMA_FORM.parse(text, SIGNATURES) is None


@pytest.mark.parametrize(("form", "call"), [(HERMES_FORM, HERMES), (LLAMA_FORM, LLAMA)])
@pytest.mark.parametrize("required", [True, False])
def test_calls_are_enforced(form: CallForm, call: str, required: bool) -> None:
    grammar = form.grammar(SIGNATURES, {}, required=required, several=True)
    assert accepts(grammar, call)
    assert accepts(grammar, call.replace("weather", "now"))
    assert not accepts(grammar, call.replace("3", "true")), "strict arguments are of their type"
    assert not accepts(grammar, call.replace("weather", "other"))
    assert accepts(grammar, "Hello < there") is not required


def test_hermes_may_speak_before_it_calls_and_call_several_times_where_that_is_allowed() -> None:
    free = HERMES_FORM.grammar(SIGNATURES, {}, required=False, several=True)
    assert accepts(free, f"Let me see.\n{HERMES}\n{HERMES}")
    one = HERMES_FORM.grammar(SIGNATURES, {}, required=False, several=False)
    assert accepts(one, HERMES)
    assert not accepts(one, f"{HERMES}\n{HERMES}")


@given(text=st.text(st.sampled_from(list("<tool_call>{ a")), max_size=40), data=st.data())
@pytest.mark.parametrize(("marks", "first"), [(("<tool_call>",), False), (("{", "<tool_c"), True)])
def test_parts_of_a_text_tell_the_same_as_the_whole(marks: tuple[str, ...], first: bool, text: str, data: Any) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    whole, parts = CallMarks(marks, only_first=first), CallMarks(marks, only_first=first)
    plain = whole.push(text) + whole.finish()
    pieces = [parts.push(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(pieces) + parts.finish() == plain
    assert parts.collected == whole.collected
    assert plain + (whole.collected or "") == text


def test_only_what_may_begin_a_call_is_held_back() -> None:
    marks = CallMarks(("<tool_call>",), only_first=False)
    assert [marks.push(part) for part in ("Hi <", "b> <tool", "_call>{}", "x")] == ["Hi ", "<b> ", "", ""]
    assert marks.collected == "<tool_call>{}x"
    marks = CallMarks(("{",), only_first=True)
    assert [marks.push(part) for part in ("\n", "Yes: ", "{}")] == ["\n", "Yes: ", "{}"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceTokenizer:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    byte_level().save(str(file))
    return HuggingFaceTokenizer(file)


def completed(
    tokenizer: HuggingFaceTokenizer, form: CallForm, text: str, tools: Any = SIGNATURES, how: Any = "stop"
) -> tuple[str, Delta]:
    """What a stream of this text's tokens says: the text that went out, and the last delta."""
    reader = CallReader.of(form, tokenizer, tools)
    whole = Completion(
        0, tokenizer, TokenTexts(tokenizer), ("never",), frozenset(), logprobs=False, reader=reader, continues_text=True
    )
    deltas = []
    for id in tokenizer.encode(text):
        if (delta := whole.take(Token(id))) is not None:
            deltas.append(delta)
        if whole.over:
            break
    else:
        deltas.append(whole.end(Generated(how)))
    return "".join(delta.text for delta in deltas), deltas[-1]


@pytest.mark.parametrize(("form", "call"), [(HERMES_FORM, HERMES), (LLAMA_FORM, LLAMA)])
def test_a_completion_ends_in_its_calls(tokenizer: HuggingFaceTokenizer, form: CallForm, call: str) -> None:
    before = "Let me see.\n" if form is HERMES_FORM else ""
    text, last = completed(tokenizer, form, before + call)
    assert text == before
    assert last.finish_reason == "tool_calls"
    assert [(each.name, each.arguments) for each in last.calls] == [("weather", {"city": "Rome", "days": 3})]


@pytest.mark.parametrize("form", [HERMES_FORM, LLAMA_FORM])
@pytest.mark.parametrize("text", ['{"a": 1}', "<tool_call>{", "a < b", "<tool", "\n"])
def test_what_looked_like_a_call_is_given_out_as_text(
    tokenizer: HuggingFaceTokenizer, form: CallForm, text: str
) -> None:
    said, last = completed(tokenizer, form, text)
    assert (said, last.finish_reason, list(last.calls)) == (text, "stop", [])


@pytest.mark.parametrize("cut", ["", "<tool_call>", '<tool_call>{"name": "weather", "arguments": {"city": "Ro'])
def test_of_a_completion_that_a_limit_ended_the_calls_that_are_whole_are_told(
    tokenizer: HuggingFaceTokenizer, cut: str
) -> None:
    text, last = completed(tokenizer, HERMES_FORM, f"Yes.\n{HERMES}\n{cut}", how="length")
    assert (text, last.finish_reason) == ("Yes.\n", "length")
    assert [call.name for call in last.calls] == ["weather"]


@pytest.mark.parametrize(("form", "call"), [(HERMES_FORM, HERMES), (LLAMA_FORM, LLAMA)])
def test_half_a_call_is_neither_told_nor_said(tokenizer: HuggingFaceTokenizer, form: CallForm, call: str) -> None:
    for length in (len(call) // 2, len(call) - 14, *((len(call) - 13, len(call) - 3) if call is HERMES else ())):
        said, last = completed(tokenizer, form, call[:length], how="length")
        assert (said, list(last.calls), last.finish_reason) == ("", [], "length")


def test_a_call_that_is_made_again_ends_the_turn(tokenizer: HuggingFaceTokenizer) -> None:
    other = HERMES.replace("Rome", "Bern")
    text, last = completed(tokenizer, HERMES_FORM, f"Yes.\n{HERMES}\n{other}\n{HERMES}\n{HERMES} and so on")
    assert (text, last.finish_reason) == ("Yes.\n", "tool_calls")
    assert [call.arguments["city"] for call in last.calls] == ["Rome", "Bern"]


def test_without_tools_a_call_is_text(tokenizer: HuggingFaceTokenizer) -> None:
    assert completed(tokenizer, HERMES_FORM, HERMES, tools=())[0] == HERMES


def test_messages_are_written_as_templates_expect_them() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": '{"zone": "UTC"}'}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
        {"role": "tool", "content": "12:00", "tool_call_id": "c1"},
    ]
    system, assistant, tool = hub.chat_messages(messages)
    assert system == {"role": "system", "content": "Be brief."}
    assert assistant["content"] == ""
    assert assistant["tool_calls"][0]["function"] == {"name": "now", "arguments": {"zone": "UTC"}}
    assert tool == {"role": "tool", "content": "12:00", "tool_call_id": "c1"}


def accepts(grammar: str, text: str) -> bool:
    tokens = LLTokenizer("byte")
    matcher = LLMatcher(tokens, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return all(matcher.consume_token(token) for token in tokens.tokenize_str(text)) and bool(matcher.is_accepting())
