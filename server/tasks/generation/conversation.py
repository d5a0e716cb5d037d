"""Conversations as one model reads them, written by the model's family and its chat template.

The server finds out how the model thinks and calls tools once, when it reads the model's files: it renders probe
messages with the chat template. This module knows only the options of a request, and no engine.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from models.families.call_finding import as_text, call_form
from models.families.call_forms import CallForm
from models.tokenizers import Segment, Special, Tokenizer
from server.engines.rows import Thought
from server.errors import InvalidValue
from server.tasks.generation.calling import manner_of
from server.tasks.generation.chat_template import ChatTemplate
from server.tasks.generation.options import GenerationOptions
from server.tasks.generation.thinking import Marks, ThoughtReader, thinking_of

MOST_CPU_S = 1.0
"""Processor time for all probes of a template when its model is read; templates of model makers take a twentieth of it.
After this time the remaining features of the template count as unknown."""
_LAST_SEGMENTS = 8
"""The number of segments at the end of a prompt that are searched for the marks of a thought."""


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A conversation as token ids."""

    ids: list[int]
    thoughts: ThoughtReader | None = None
    """None: completions of this prompt do not begin with a thought, or thoughts are unknown."""


class Conversation:
    """Writes the prompts of one model's conversations."""

    def __init__(
        self, template: ChatTemplate, family: ModuleType, tokenizer: Tokenizer, stop_tokens: Sequence[str]
    ) -> None:
        self._template = template
        self._family = family
        self._tokenizer = tokenizer
        self._began_s = time.thread_time()
        self.thinking = thinking_of(self._write, template.source, template.variables)
        has_own = hasattr(family, "read_calls")
        self._form = None if has_own else call_form(self._write_calls, template.source, stop_tokens)
        self._adapts = not has_own
        self.manner = manner_of(family, self._form)
        """How the model calls tools."""

    def prompt(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None,
        options: GenerationOptions,
        model: str,
    ) -> ChatPrompt:
        """The prompt of these messages, up to the beginning of the assistant's answer or thought.

        Raises:
            InvalidValue: the template does not take these messages.
            UnsupportedParameter: the template has no switch for the thinking that the request asks for.
        """
        thinking, budget = self.thinking, options.thinking_budget
        variables = thinking.chosen(options.reasoning, budget, model)
        segments = self._template.render(self._read(messages), tools, variables=variables)
        marks = thinking.marks
        written = "".join(part.token if isinstance(part, Special) else part for part in segments[-_LAST_SEGMENTS:])
        thoughts = None
        if marks is not None and not marks.is_closed(written):
            inside = marks.is_open(written)
            if thinking.is_off(options.reasoning, budget):  # no switch turned it off: write an empty thought
                segments = [*segments, *self._template.segments(f"{'' if inside else marks.begin}{marks.close}")]
            else:
                thoughts = self._reader(marks, inside=inside)
        return ChatPrompt(self._encode(segments), thoughts)

    def thought(self, thoughts: ThoughtReader, budget_tokens: int | None) -> Thought:
        """The token ids of a thought's marks, by which an engine limits a thought and finds the answer after it.

        Args:
            thoughts: the reader of the prompt's completions.
            budget_tokens: the most tokens of thought; None is no limit.
        """
        end = self._ids(thoughts.end)
        return Thought(
            begin=() if thoughts.inside else self._ids(thoughts.begin),
            end=thoughts.end,
            end_id=end[0] if len(end) == 1 else None,
            close=self._ids(thoughts.close),
            after=self._ids(thoughts.close.partition(thoughts.end)[2]),
            budget_tokens=budget_tokens,
        )

    def _reader(self, marks: Marks, *, inside: bool) -> ThoughtReader:
        control = self._tokenizer.special_tokens
        shown = {id: token for token, id in control.items() if token in marks.begin or token in marks.end}
        return ThoughtReader(marks.begin, marks.end, marks.close, inside, shown)

    def _read(self, messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The messages in the form that the template takes. A family may write calls and results in its own form.

        Raises:
            InvalidValue: the messages cannot be written in that form.
        """
        if not hasattr(self._family, "chat_messages"):
            return messages
        try:
            adapted: Sequence[Mapping[str, Any]] = self._family.template_messages(self._family.chat_messages(messages))
        except json.JSONDecodeError:
            raise InvalidValue("The arguments of a call in the messages are not JSON.", "messages") from None
        except ValueError as error:
            raise InvalidValue(f"The messages cannot be written for this model: {error}", "messages") from None
        return [_adapted(message, self._form, self.thinking.key) for message in adapted] if self._adapts else adapted

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode_with_specials(self._template.segments(text)))

    def _encode(self, segments: Sequence[Segment]) -> list[int]:
        try:
            return self._tokenizer.encode_with_specials(segments)
        except ValueError as error:
            raise InvalidValue(str(error), "messages") from None

    def _write(self, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any], prompt: bool) -> str:
        self._require_time()
        return self._template.text(messages, None, add_generation_prompt=prompt, variables=variables)

    def _write_calls(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None, prompt: bool
    ) -> str:
        try:
            self._require_time()
            return self._template.text(messages, tools, add_generation_prompt=prompt)
        except InvalidValue as error:
            raise ValueError(error.message) from error

    def _require_time(self) -> None:
        if time.thread_time() - self._began_s > MOST_CPU_S:
            raise InvalidValue("The template takes too long.", "messages")


def _adapted(message: Mapping[str, Any], form: CallForm | None, key: str | None) -> Mapping[str, Any]:
    """A message in the form of one template: with the key of its thought, and with arguments as text or data."""
    adapted = dict(message)
    thought = adapted.pop("reasoning_content", None)
    if thought is not None and key is not None:
        adapted[key] = thought
    if form is not None and adapted.get("tool_calls"):
        if form.null_content and not adapted["content"]:
            adapted["content"] = None
        if form.text_arguments:
            adapted["tool_calls"] = [as_text(call) for call in adapted["tool_calls"]]
    return adapted
