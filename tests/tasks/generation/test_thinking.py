"""How models think, found by their templates: switches, marks and where earlier thoughts go."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from models.families import hub
from models.tokenizers import HuggingFaceTokenizer
from server.errors import UnsupportedParameter
from server.tasks.generation import conversation
from server.tasks.generation.chat_template import ChatTemplate
from server.tasks.generation.conversation import Conversation
from server.tasks.generation.options import GenerationOptions, Reasoning
from server.tasks.generation.thinking import Marks, Thinking, thinking_of
from tests import chat_templates
from tests.convert.decoder_repositories import byte_level
from tests.generator_folders import THINKER

PACKAGE = pytest.mark.skipif(not chat_templates.names(), reason="requirements/templates.txt is not installed")
THINK = ("<think>", "</think>")
FOUND: Mapping[str, tuple[str | None, str | None, str | None, tuple[str, str] | None]] = {
    # The switch, the level, where earlier thoughts go, and the marks.
    "Qwen-Qwen3-0.6B": ("enable_thinking", None, "reasoning_content", THINK),
    "Qwen3.5-4B": ("enable_thinking", None, "reasoning_content", THINK),
    "HuggingFaceTB-SmolLM3-3B": ("enable_thinking", None, None, THINK),
    "ibm-granite-granite-3.3-2B-Instruct": ("thinking", None, None, THINK),
    "LFM2.5-8B-A1B": (None, None, "thinking", THINK),
    "openbmb-MiniCPM5-1B": ("enable_thinking", None, "reasoning_content", THINK),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": (None, None, None, THINK),
    "deepseek-ai-DeepSeek-V4": ("enable_thinking", "reasoning_effort", "reasoning_content", THINK),
    "GLM-4.7-Flash": ("enable_thinking", None, "reasoning_content", THINK),
    "ByteDance-Seed-OSS": (None, None, "reasoning_content", ("<seed:think>", "</seed:think>")),
    "MiniMax-M3": ("thinking_mode", None, "reasoning_content", ("<mm:think>", "</mm:think>")),
    "google-gemma-4-31B-it": ("enable_thinking", None, None, ("<|channel>thought", "<channel|>")),
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": (
        *("enable_thinking", None, None),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
    ),
    "openai-gpt-oss-120b": (None, "reasoning_effort", "thinking", None),
    "Qwen-Qwen2.5-7B-Instruct": (None, None, None, None),
    "meta-llama-Llama-3.2-3B-Instruct": (None, None, None, None),
    "microsoft-Phi-3.5-mini-instruct": (None, None, None, None),
    "ibm-granite-granite-4.0": (None, None, None, None),
    "google-gemma-2-2b-it": (None, None, None, None),
}


def of(template: ChatTemplate) -> Thinking:
    def write(messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any], prompt: bool) -> str:
        return template.text(messages, None, add_generation_prompt=prompt, variables=variables)

    return thinking_of(write, template.source, template.variables)


@PACKAGE
@pytest.mark.parametrize("name", FOUND)
def test_what_a_template_says_of_thinking_is_found(name: str) -> None:
    found = of(chat_templates.template(name))
    marks = None if found.marks is None else (found.marks.begin, found.marks.end)
    assert (found.switch, found.level, found.key, marks) == FOUND[name]


@PACKAGE
def test_so_many_templates_think() -> None:
    found = {name: of(chat_templates.template(name)) for name in chat_templates.names()}
    assert sum(each.marks is not None for each in found.values()) == 38
    assert sum(each.switch is not None for each in found.values()) == 29
    assert sum(each.key is not None for each in found.values()) == 28


def test_a_switch_is_a_variable_that_changes_the_prompt() -> None:
    found = of(ChatTemplate(THINKER, ()))
    assert (found.switch, found.key, found.marks) == (
        "enable_thinking",
        "reasoning_content",
        Marks("<think>", "</think>", "\n</think>\n\n"),
    )
    unused = "{% if thinking %}{% endif %}{{ messages[0].content }}"
    assert not of(ChatTemplate(unused, ())).can


def chosen(thinking: Thinking, budget_tokens: int | None = None, **asked: Any) -> dict[str, Any]:
    return thinking.chosen(Reasoning(**asked), budget_tokens, "m")


def test_what_is_asked_is_written_into_the_templates_own_variables() -> None:
    both = Thinking(Marks("<t>", "</t>", "</t>"), None, "thinking", "reasoning_effort", frozenset({"thinking"}))
    assert chosen(both) == {}
    assert chosen(both, on=False) == chosen(both, effort="none") == chosen(both, 0) == {"thinking": False}
    assert chosen(both, on=True) == {"thinking": True}
    assert chosen(both, 9) == {}
    assert chosen(both, effort="low") == {"thinking": True, "reasoning_effort": "low"}
    assert chosen(both, variables={"thinking": False}) == {"thinking": False}
    switch = Thinking(None, None, "thinking", variables=frozenset({"thinking"}))
    assert chosen(switch, effort="low") == {"thinking": True}


def test_what_cannot_be_switched_off_is_refused() -> None:
    level = Thinking(None, None, None, "reasoning_effort", frozenset({"reasoning_effort"}))
    with pytest.raises(UnsupportedParameter):
        chosen(level, on=False, field="enable_thinking")
    assert chosen(level, effort="high") == {"reasoning_effort": "high"}


def test_a_template_that_takes_too_long_is_not_asked_on(monkeypatch: pytest.MonkeyPatch, byte_level_file: Path) -> None:
    tokenizer, template = HuggingFaceTokenizer(byte_level_file), ChatTemplate(THINKER, ())
    asked = Conversation(template, hub, tokenizer, ())
    assert asked.thinking.can
    assert asked.manner is not None
    monkeypatch.setattr(conversation, "MOST_CPU_S", -1)
    hasty = Conversation(template, hub, tokenizer, ())
    assert not hasty.thinking.can
    assert hasty.manner is None
    assert hasty.prompt([{"role": "user", "content": "Hi"}], None, GenerationOptions(), "m").ids


@pytest.fixture
def byte_level_file(tmp_path: Path) -> Path:
    byte_level().save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"
