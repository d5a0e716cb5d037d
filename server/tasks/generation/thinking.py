"""How a model thinks before it answers: found in its chat template, and turned on or off by the request.

The template's source shows which variables it has. A variable is a switch if the rendered prompt changes with its
value. The marks around a thought are found in rendered prompts. A model's name plays no part.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.families.call_finding import common_prefix
from server.errors import InvalidValue, UnsupportedParameter
from server.tasks.generation.options import Reasoning
from server.tasks.generation.stop_strings import ThoughtMarks

Write = Callable[..., str]
"""Renders messages with values of the template's variables: ``write(messages, variables, add_generation_prompt)``.

Raises:
    InvalidValue: the template does not take them.
"""

SWITCHES: Mapping[str, tuple[Any, Any]] = {
    "enable_thinking": (True, False),
    "thinking": (True, False),
    "reasoning": (True, False),
    "thinking_mode": ("enabled", "disabled"),
}
"""Variables that turn thinking on and off, with the values for on and for off."""
_OFF: Mapping[str, Any] = {
    **{name: off for name, (_, off) in SWITCHES.items()},
    "reasoning_effort": "none",
    "thinking_budget": 0,
}
LEVELS = ("reasoning_effort", "thinking_effort", "reasoning_strength")
"""Variables that say how much a model thinks."""
KEYS = ("reasoning_content", "reasoning", "thinking", "thought")
"""Keys under which a template may read the thought of an earlier message."""
RESERVED = frozenset({"messages", "tools", "add_generation_prompt", "bos_token", "eos_token", "strftime_now"})
"""Variables of templates that the server sets, so that no request may set them."""

_ASKED, _THOUGHT, _ANSWER = "Zqaskedmark", "Zqthoughtmark", "Zqanswermark"
_USER = {"role": "user", "content": _ASKED}
_TAG = r"(?:<[^<>\s]{2,40}>|\[/?[A-Z_]{2,30}\])"
_TAGS = re.compile(_TAG)
_LAST_TAG = re.compile(rf"({_TAG})\s*$")
_FIRST_TAG = re.compile(rf"\s*({_TAG})")
_OPENING = re.compile(r"<(\|?)([\w:]{0,20}(?:think|THINKING)[\w:]{0,20})(\|?)>")
_MEANS_THOUGHT = re.compile("think|thought|reason|inner", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Marks:
    """The texts around a thought."""

    begin: str
    end: str
    close: str
    """The whole text between a thought and the answer."""

    def is_open(self, prompt: str) -> bool:
        """Whether a prompt ends in the middle of a thought."""
        return prompt.rstrip().endswith(self.begin)

    def is_closed(self, prompt: str) -> bool:
        """Whether a prompt ends after a thought, so that the answer comes next."""
        return prompt.rstrip().endswith(self.end)


@dataclass(frozen=True, slots=True)
class ThoughtReader:
    """The marks around the thoughts of a request's completions, and whether the completions begin inside a thought."""

    begin: str
    end: str
    close: str
    inside: bool
    shown: Mapping[int, str]
    """The control tokens in the marks, by id, which the detokenizer has to write out."""

    def marks(self) -> ThoughtMarks:
        """A new watcher of marks for one completion."""
        return ThoughtMarks(self.begin, self.end, inside=self.inside)


@dataclass(frozen=True, slots=True)
class Thinking:
    """How a chat template makes a model think."""

    marks: Marks | None = None
    """None: the server cannot separate thoughts from answers."""
    key: str | None = None
    """The key of a message under which the template reads its thought."""
    switch: str | None = None
    level: str | None = None
    variables: frozenset[str] = frozenset()
    """Names of all variables that the template reads."""

    @property
    def can(self) -> bool:
        """Whether the template shows any sign of thinking."""
        return self.marks is not None or self.switch is not None or self.level is not None

    def is_off(self, asked: Reasoning, budget_tokens: int | None) -> bool:
        """Whether a request wants no thought."""
        if any(name in _OFF and value == _OFF[name] for name, value in asked.variables.items()):
            return True
        return asked.on is False or asked.effort == "none" or budget_tokens == 0

    def chosen(self, asked: Reasoning, budget_tokens: int | None, model: str) -> dict[str, Any]:
        """The values of the template's variables for a request.

        Args:
            asked: the request's wishes for the thought.
            budget_tokens: the most tokens of thought; 0 turns thinking off, None is no limit.
            model: the model's name, for messages.

        Raises:
            UnsupportedParameter: the template has no such variable or switch.
        """
        chosen: dict[str, Any] = {}
        for name, value in asked.variables.items():
            if name in RESERVED or name not in self.variables:
                if name in _OFF and value == _OFF[name] and (self.marks is not None or not self.can):
                    continue  # the prompt closes the thought at once, or the model does not think
                where = f"chat_template_kwargs.{name}"
                raise UnsupportedParameter(where, f"the chat template of '{model}' has no such variable.")
            chosen[name] = value
        if budget_tokens and not self.can:
            raise UnsupportedParameter("thinking_budget", f"'{model}' does not think, as far as its template says.")
        if budget_tokens is not None and "thinking_budget" in self.variables:
            chosen.setdefault("thinking_budget", budget_tokens)
        wants = asked.on if asked.on is not None else (None if asked.effort is None else asked.effort != "none")
        if budget_tokens == 0 and wants is None:
            wants = False
        if wants is None:
            return chosen
        field = asked.field or "reasoning_effort"
        if wants and not self.can:
            raise UnsupportedParameter(field, f"'{model}' does not think: its chat template has no switch for it.")
        if not wants and self.marks is None and self.switch is None and self.level is not None:
            raise UnsupportedParameter(field, f"the chat template of '{model}' has no switch that turns thinking off.")
        if self.switch is not None and self.switch not in chosen:
            chosen[self.switch] = SWITCHES[self.switch][0 if wants else 1]
        if self.level is not None and self.level not in chosen and asked.effort not in (None, "none"):
            chosen[self.level] = asked.effort
        return chosen


def thinking_of(write: Write, source: str, variables: frozenset[str]) -> Thinking:
    """Find out how a chat template makes a model think.

    Args:
        write: renders the template.
        source: the template's text.
        variables: names that the template reads and does not set.
    """
    plain = _prompt(write, {})
    if plain is None:
        return Thinking(variables=variables)
    states = {}
    for name, values in SWITCHES.items():
        if name not in variables:
            continue
        on, off = (_prompt(write, {name: value}) for value in values)
        if on is not None and off is not None and on != off:
            states[name] = (on, off)
    switch = next(iter(states), None)
    on, off = states[switch] if switch is not None else (plain, plain)
    level = next((name for name in LEVELS if name in variables and _differs(write, name, plain, switch)), None)
    key, marks = _of_messages(write, {switch: SWITCHES[switch][0]} if switch is not None else {})
    marks = marks or _of_prompts(on, off) or _of_source(source, on)
    return Thinking(marks, key, switch, level, variables)


def _prompt(write: Write, variables: Mapping[str, Any]) -> str | None:
    try:
        return write([_USER], variables, True)
    except InvalidValue:
        return None


def _differs(write: Write, name: str, plain: str, switch: str | None) -> bool:
    on = {switch: SWITCHES[switch][0]} if switch is not None else {}
    prompts = {_prompt(write, {**on, name: value}) for value in ("low", "high", "max")}
    return len(prompts - {None, plain}) > 1 or len(prompts - {None}) > 1


def _of_messages(write: Write, variables: Mapping[str, Any]) -> tuple[str | None, Marks | None]:
    """The key of a message's thought, and the marks that the template writes around the thought."""
    for key in KEYS:
        message = {"role": "assistant", "content": _ANSWER, key: _THOUGHT}
        try:
            written = write([_USER, message], variables, False)
        except InvalidValue:
            continue
        before, found, after = written.partition(_THOUGHT)
        if not found:
            continue
        close, answered, _ = after.partition(_ANSWER)
        begin = _LAST_TAG.search(before.rpartition(_ASKED)[2])
        marks = None
        if answered and begin is not None and close.strip() and _MEANS_THOUGHT.search(begin[0] + close):
            end = _FIRST_TAG.match(close)
            if end is not None and _MEANS_THOUGHT.search(begin[0]):
                marks = Marks(begin[1], end[1], close)
        return key, marks
    return None, None


def _of_prompts(on: str, off: str) -> Marks | None:
    """The marks of the empty thought that a prompt without thinking has in addition to a prompt with thinking."""
    on_end, off_end = (prompt.rpartition(_ASKED)[2] for prompt in (on, off))
    common = common_prefix(on_end, off_end)
    if off_end == common:
        on_end, off_end = off_end, on_end
    opened = _LAST_TAG.search(on_end)
    rest = off_end[len(common) :]
    tags = list(_TAGS.finditer(rest))
    if not tags or not _MEANS_THOUGHT.search(rest):
        return None
    close = rest[tags[-1].start() :]
    if len(tags) > 1 or rest[: tags[-1].start()].strip():
        return Marks(rest[: tags[-1].start()].strip(), tags[-1][0], f"\n{close}")
    if opened is not None and _MEANS_THOUGHT.search(opened[1]):
        return Marks(opened[1], tags[-1][0], f"\n{close.rstrip()}\n\n")
    return None


def _of_source(source: str, prompt: str) -> Marks | None:
    """The marks in the template's source or its prompt, if these contain both the begin and the end mark."""
    text = source + prompt
    for found in _OPENING.finditer(text):
        begin, name = found[0], found[2]
        ends = (f"</{name}>", f"<{found[1]}/{name}{found[3]}>", begin.replace("START", "END"))
        end = next((end for end in ends if end != begin and end in text), None)
        if end is not None and not name.startswith("/"):
            return Marks(begin, end, f"\n{end}\n\n")
    return None
