"""Chat templates: messages to segments of special tokens and plain text.

Templates are Jinja2 as model makers write them, in a sandbox. A special token written in the template is that
token; the same characters in a message stay text, so nobody can end a turn or forge one by typing. Knows
nothing of ids and of what a message means.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NoReturn

import jinja2
from jinja2 import meta

from models.tokenizers import Segment, Special
from server.errors import InvalidValue
from server.tasks.generation.template_sandbox import Sandbox

_PRIVATE_USE = range(0xE000, 0xF900)


class TemplateRefused(Exception):
    """A template called ``raise_exception``: its author says what it does not take."""


class ChatTemplate:
    """One model's template."""

    def __init__(
        self, source: str, special_tokens: Collection[str], variables: Mapping[str, str] | None = None
    ) -> None:
        """Compile.

        Args:
            source: the template.
            special_tokens: what becomes a `Special` segment where the template writes it.
            variables: names that the template may use besides messages and tools, such as ``bos_token``.

        Raises:
            ValueError: it is no Jinja2 template.
        """
        environment = self._environment = Sandbox()
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno} of the chat template: {error.message}") from error
        self.source = source
        self.variables = frozenset(meta.find_undeclared_variables(environment.parse(source)))
        """Names that the template reads and does not set itself."""
        self._variables = dict(variables or {})
        # A token of one character could not be told from text, so it is text.
        special = sorted({token for token in special_tokens if len(token) > 1}, key=len, reverse=True)
        self._any_special = _any_of(map(re.escape, special))
        # Each place in a text at which a special token begins; they may overlap.
        self._begin = _any_of(f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in special)
        self._heads = tuple({token[:n] for token in special for n in range(1, len(token))})
        self._tails = tuple({token[n:] for token in special for n in range(1, len(token))})

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[Segment]:
        """The conversation as the model reads it.

        Args:
            messages: JSON-like, in OpenAI's form.
            tools: JSON-like, in OpenAI's form; None when there are none.
            add_generation_prompt: end with the beginning of the assistant's turn.
            variables: values of some of the template's variables, JSON-like.

        Raises:
            InvalidValue: the template does not take these messages.
        """
        mark = self._free_mark(messages, tools, variables)
        protect = self._protector(mark)
        try:
            written = {
                **_deep(variables, protect),
                "messages": _deep(messages, protect),
                "tools": _deep(tools, protect),
                "add_generation_prompt": add_generation_prompt,
            }
            rendered = self._environment.text(self._template, self._variables | written)
        except TemplateRefused as error:
            what = str(error).replace(mark, "")[:300]
            reason = f"This model's chat template refuses the messages: {what}"
            raise InvalidValue(reason=reason, field="messages") from None
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
            roles = ", ".join(str(message.get("role")) for message in messages)
            reason = f"This model's chat template cannot write these messages (roles: {roles[:200]})."
            raise InvalidValue(reason=reason, field="messages") from error
        return [part if isinstance(part, Special) else part.replace(mark, "") for part in self.segments(rendered)]

    def text(self, *args: Any, **kwargs: Any) -> str:
        """The conversation as one text, special tokens written out; arguments as of ``render``."""
        return "".join(part.token if isinstance(part, Special) else part for part in self.render(*args, **kwargs))

    def segments(self, written: str) -> list[Segment]:
        """A text of the template's author, cut at special tokens."""
        parts = self._any_special.split(written)  # text and special tokens by turns
        return [Special(part) if i % 2 else part for i, part in enumerate(parts) if part]

    def _free_mark(self, *given: object) -> str:
        """A character that neither what is given nor the template has."""
        used = set(self.source)

        def look(text: str) -> str:
            used.update(text)
            return text

        _deep(given, look)
        for code in _PRIVATE_USE:
            if chr(code) not in used:
                return chr(code)
        raise InvalidValue(reason="The messages use up all private-use characters of Unicode.", field="messages")

    def _protector(self, mark: str) -> Callable[[str], str]:
        """Breaks special tokens in a message's text with a mark that is taken out again after rendering.

        Also where a text ends as a special token begins, or the other way round: the template may put two
        texts, or a text of its own, side by side. Not in the middle of one: templates make the token of a turn
        from its role.
        """

        def protect(text: str) -> str:
            protected = self._begin.sub(lambda match: f"{match[0]}{mark}", text)
            before = mark if text.startswith(self._tails) else ""
            after = mark if text.endswith(self._heads) else ""
            return f"{before}{protected}{after}"

        return protect


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """One group that matches any of the patterns, or nothing at all when there are none."""
    return re.compile("(" + ("|".join(patterns) or "(?!)") + ")")


def _deep(value: Any, change: Callable[[str], str]) -> Any:
    """A copy of JSON-like data with each string changed, keys too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_deep(key, change): _deep(item, change) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_deep(item, change) for item in value]
    return value


def _refuse(message: object) -> NoReturn:
    raise TemplateRefused(str(message))


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON for a model to read, by the arguments that transformers takes: Jinja2's own filter would write HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
