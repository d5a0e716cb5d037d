"""Forms of calls, found by templates: what a template writes is read back equal, and the form's grammar accepts it."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from models.families.call_bodies import FILLED, JsonBody, NamedBody, SpelledBody
from models.families.call_finding import as_text
from models.families.call_forms import CallForm
from models.families.call_values import NoValue, whole_value
from server.tasks.generation.chat_template import ChatTemplate
from server.tasks.generation.grammars import bytes_and, checked, tool_signature
from tests import chat_templates
from tests.call_templates import HERMES, LLAMA, PYTHON, XML, form_of, found_form

PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "celsius": {"type": "boolean"},
        "unit": {"enum": ["C", "F"]},
        "rain": {"type": "object", "properties": {"mm": {"type": "array", "items": {"type": "number"}}}},
    },
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": PARAMETERS}},
    {
        "type": "function",
        "function": {
            "name": "now",
            "description": "Time.",
            "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        },
    },
]
SIGNATURES = [
    tool_signature(tool["function"]["name"], tool["function"]["parameters"], "tools", strict=True)  # type: ignore[index]
    for tool in TOOLS
]
ARGUMENTS: list[dict[str, Any]] = [
    {"city": "Rome", "days": 3},
    {"city": "São Paulo, 5 < 7 & more", "days": -2, "celsius": True, "unit": "C", "rain": {"mm": [0.5, 12]}},
    {"city": "x"},
    {"city": "3", "celsius": False},
    {"city": "first line\nsecond line", "unit": "F"},
]
SMALL = {"hermes": HERMES, "llama": LLAMA, "xml": XML, "python": PYTHON}
WITHOUT_CALLS = {
    # Their templates write no calls at all.
    *("HuggingFaceTB-SmolLM3-3B", "LFM2-8B-A1B", "LFM2.5-Instruct", "google-gemma-2-2b-it", "llama-cpp-rwkv-world"),
    *("ibm-granite-granite-3.3-2B-Instruct", "microsoft-Phi-3.5-mini-instruct"),
    # They cannot write these messages, or want what no request has.
    *("Kimi-K2-Instruct", "Kimi-K2-Thinking", "CohereForAI-c4ai-command-r-plus-tool_use", "llama-cpp-deepseek-r1"),
    "fireworks-ai-llama-3-firefunction-v2",
    # A turn for each call, keys as names of tags, texts around calls that differ with each: not understood here.
    *("Kimi-K3", "MiniMax-M3", "muse-glimmer", "openai-gpt-oss-120b", "meetkai-functionary-medium-v3.2"),
}


def all_templates() -> list[str]:
    return [*SMALL, *(name for name in chat_templates.names() if name not in WITHOUT_CALLS)]


def read(name: str) -> ChatTemplate:
    return ChatTemplate(SMALL[name], ()) if name in SMALL else chat_templates.template(name)


STOPS = ("<|im_end|>", "<EOS>", "<|eot_id|>")
WRITES_HALF = {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B"}
"""Their templates leave out the end of a single call, and the third of three."""


@lru_cache
def known(name: str) -> tuple[ChatTemplate, CallForm]:
    template = read(name)
    form = found_form(template, STOPS)
    assert form is not None
    return template, form


def rendered(name: str, calls: list[tuple[str, dict[str, Any]]]) -> str:
    """The calls as the template writes them, from the first to the end of the last."""
    template, form = known(name)
    made = [
        {"id": f"abcdefgh{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(calls)
    ]
    message = {
        "role": "assistant",
        "content": None if form.null_content else "",
        "tool_calls": [as_text(call) for call in made] if form.text_arguments else made,
    }

    def answered(message: Mapping[str, Any]) -> str:
        text = template.text([{"role": "user", "content": "QUESTION"}, message], TOOLS, add_generation_prompt=False)
        return text.rpartition("QUESTION")[2]

    said = answered({"role": "assistant", "content": "ANSWER"}).rpartition("ANSWER")[2]
    text = answered(message).removesuffix(said)
    text = text[text.index(FILLED.split(form.begin)[0].rstrip() or "{") :]
    for stop in STOPS:
        text = text.partition(stop)[0]
    return text.rstrip()


@pytest.mark.parametrize("name", all_templates())
def test_what_a_template_writes_is_read_back(name: str) -> None:
    _, form = known(name)
    quoted = isinstance(form.body, SpelledBody) and form.body.text[1] == "'"
    for arguments in ARGUMENTS:
        if quoted and "\n" in arguments["city"]:
            continue  # LFM2.5's template writes texts between quotes as they are
        calls = [("get_weather", arguments)]
        if form.between is not None:
            calls += [("now", {}), ("get_weather", {"city": "Bern"})][: 1 if name in WRITES_HALF else 2]
        written = rendered(name, calls)
        found = form.parse(written, SIGNATURES)
        assert found is not None, written
        assert [(call.name, dict(call.arguments)) for call in found] == calls, written


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("name", all_templates())
def test_the_grammar_accepts_what_a_template_writes(name: str, special: bool) -> None:
    _, form = known(name)
    marks = re.findall(r"<[|｜][^<>\s]+[|｜]>|\[[A-Z_]+\]", " ".join(form.texts)) if special else []
    tokens = {mark: 256 + i for i, mark in enumerate(dict.fromkeys(marks))}
    free, must = (form.grammar(SIGNATURES, tokens, required=required, several=True) for required in (False, True))
    for grammar in (free, must):
        checked(grammar, "tools", sorted(tokens.values()))
        assert accepts(grammar, "I cannot tell you.", tokens) is (grammar is free)
    all_but_one = {key: value for key, value in ARGUMENTS[1].items() if key != "rain"} | {"city": "5 < 7 & more"}
    for arguments in [] if name in WRITES_HALF else [ARGUMENTS[0], {"city": "x"}, all_but_one]:
        written = rendered(name, [("get_weather", arguments)])
        assert accepts(free, written, tokens), (written, free)
        assert accepts(must, written, tokens), (written, must)
        assert not accepts(must, written.replace("get_weather", "get_feather"), tokens)
        if form.begin:
            assert accepts(free, f"Let me see.\n{written}", tokens)
    if form.between is None:
        return
    two = rendered(name, [("get_weather", {"city": "Rome"}), ("now", {})])
    assert accepts(must, two, tokens), two
    assert not accepts(form.grammar(SIGNATURES, tokens, required=True, several=False), two, tokens)


def accepts(grammar: str, text: str, tokens: dict[str, int]) -> bool:
    vocabulary = bytes_and(tuple(f"<|{id}|>" for id in tokens.values()))
    matcher = LLMatcher(vocabulary, grammar, log_level=0)
    assert not matcher.is_error(), (matcher.get_error(), grammar)
    split = re.compile("(" + ("|".join(map(re.escape, tokens)) or "(?!)") + ")")
    for part in split.split(text):
        for id in [tokens[part]] if part in tokens else list(part.encode()):
            if not matcher.consume_token(id):
                return False
    return bool(matcher.is_accepting())


@pytest.mark.skipif(not chat_templates.names(), reason="requirements/templates.txt is not installed")
def test_so_many_templates_have_a_form_and_the_others_are_named() -> None:
    unknown = {name for name in WITHOUT_CALLS if found_form(chat_templates.template(name)) is not None}
    assert unknown == set()
    assert len(set(chat_templates.names()) - WITHOUT_CALLS) == 53


def test_forms_are_found_by_what_a_template_writes() -> None:
    hermes = form_of(HERMES)
    assert (hermes.begin, hermes.between, hermes.end, hermes.body) == (
        "<tool_call>\n",
        "\n</tool_call>\n<tool_call>\n",
        "\n</tool_call>",
        JsonBody(),
    )
    llama = form_of(LLAMA)
    assert (llama.begin, llama.between, llama.begins) == ("", None, ("{", "<|python_tag|>"))
    xml = form_of(XML).body
    assert isinstance(xml, SpelledBody)
    assert (xml.key, xml.text) == ("<parameter=", (">\n", "\n</parameter>"))
    python = form_of(PYTHON)
    assert (python.begins, python.between, python.end) == (("<|calls|>[",), ", ", "]<|/calls|>")


def test_a_template_that_only_speaks_of_calls_has_no_form() -> None:
    told = "Call tools as <tool_call>{'name': ..., 'arguments': ...}</tool_call>."
    source = told + "{% for message in messages %}{{ message.role + message.content }}{% endfor %}"
    assert found_form(ChatTemplate(source, ())) is None
    assert found_form(ChatTemplate("{{ messages }}", ())) is None


def test_a_form_whose_calls_begin_with_the_end_of_a_turn_is_none() -> None:
    assert found_form(ChatTemplate(HERMES.replace("<tool_call>", "<|im_end|>"), ())) is None


def test_ids_and_numbers_in_a_form_are_the_models() -> None:
    form = CallForm("<c>", "</c><c>", "</c>", NamedBody(":\uf8f2[\uf8f1]"))
    written = '<c>now:0[a1]{}</c><c>now:1[b2]{"x": 1}</c>'
    assert [call.arguments for call in form.parse(written) or ()] == [{}, {"x": 1}]
    free = tool_signature("now", {}, "tools", strict=False)
    assert accepts(form.grammar([free], {}, required=True, several=True), written, {})


@pytest.mark.parametrize("name", ["xml", "python"])
def test_a_text_argument_stays_text_and_a_number_is_none(name: str) -> None:
    form = form_of(SMALL[name])
    (call,) = form.parse(rendered(name, [("get_weather", {"city": "12", "days": 12})]), SIGNATURES) or ()
    assert call.arguments == {"city": "12", "days": 12}


def test_needed_arguments_are_enforced_in_forms_that_spell_them() -> None:
    grammar = form_of(XML).grammar(SIGNATURES, {}, required=True, several=False)
    begin, end = "<tool_call>\n<function=get_weather>\n", "</function>\n</tool_call>"
    assert accepts(grammar, f"{begin}<parameter=city>\nRome\n</parameter>\n{end}", {})
    assert not accepts(grammar, f"{begin}<parameter=days>\n3\n</parameter>\n{end}", {})
    assert not accepts(
        grammar, f"{begin}<parameter=city>\nRome\n</parameter>\n<parameter=days>\nx\n</parameter>\n{end}", {}
    )


@settings(deadline=None, max_examples=200)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_values_are_read_as_json_and_as_python_writes_them(value: Any) -> None:
    assert whole_value(json.dumps(value)) == value
    if not isinstance(value, str):
        assert whole_value(json.dumps(value, ensure_ascii=False)) == value


@given(text=st.text(st.sampled_from(list("[]{}:,'\"\\ abTrue1.e-\n")), max_size=60))
def test_any_text_is_a_value_or_none(text: str) -> None:
    try:
        whole_value(text)
    except NoValue:
        return


def test_deep_values_and_long_numbers_are_none() -> None:
    for text in ("[" * 100_000, '{"a":' * 5000, "9" * 5000):
        with pytest.raises(NoValue):
            whole_value(text)
