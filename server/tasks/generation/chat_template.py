"""Chat templates: they render messages to segments of special tokens and plain text.

Templates are Jinja2 as model makers write them, and run in a sandbox. Where the template writes a special token, the
prompt gets that token. The same characters in a message stay text, so a client cannot end or forge a turn by typing
them. This module knows nothing of token ids or of the meaning of messages.
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
    """A template called ``raise_exception``, by which its author refuses some messages."""


class ChatTemplate:
    """One model's template."""

    def __init__(
        self, source: str, special_tokens: Collection[str], variables: Mapping[str, str] | None = None
    ) -> None:
        """Compile the template.

        Args:
            source: the template's text.
            special_tokens: texts that become `Special` segments where the template writes them.
            variables: names that the template may use besides messages and tools, such as ``bos_token``.

        Raises:
            ValueError: the source is no Jinja2 template.
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
        """Names of variables that the template reads and does not set."""
        self._variables = dict(variables or {})
        # A special token of one character cannot be distinguished from text, so the template treats it as text.
        special = sorted({token for token in special_tokens if len(token) > 1}, key=len, reverse=True)
        self._any_special = _any_of(map(re.escape, special))
        # Matches each place in a text where a special token begins; special tokens may overlap.
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
        """The conversation as the model reads it, as segments of special tokens and plain text.

        Args:
            messages: JSON-like, in OpenAI's form.
            tools: JSON-like, in OpenAI's form; None if the request has no tools.
            add_generation_prompt: end the prompt with the beginning of the assistant's turn.
            variables: values of some of the template's variables, JSON-like.

        Raises:
            InvalidValue: the template refuses these messages or cannot write them.
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
        """The conversation as one text with special tokens written out; takes and raises the same as ``render``."""
        return "".join(part.token if isinstance(part, Special) else part for part in self.render(*args, **kwargs))

    def segments(self, written: str) -> list[Segment]:
        """Cut a text of the template's author, never a client's, at its special tokens."""
        parts = self._any_special.split(written)  # text and special tokens by turns
        return [Special(part) if i % 2 else part for i, part in enumerate(parts) if part]

    def _free_mark(self, *given: object) -> str:
        """A private-use character that neither the given data nor the template contains.

        Raises:
            InvalidValue: they contain all private-use characters.
        """
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
        """Break special tokens in a message's text with a mark; ``render`` removes the mark after rendering.

        A text also gets a mark where it ends with the beginning of a special token or begins with the end of one,
        because the template may join it to another text there. A text that is only the middle of a special token gets
        no mark, because templates build the token of a turn from the role.
        """

        def protect(text: str) -> str:
            protected = self._begin.sub(lambda match: f"{match[0]}{mark}", text)
            before = mark if text.startswith(self._tails) else ""
            after = mark if text.endswith(self._heads) else ""
            return f"{before}{protected}{after}"

        return protect


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """One group that matches any of the patterns; without patterns it never matches."""
    return re.compile("(" + ("|".join(patterns) or "(?!)") + ")")


def _deep(value: Any, change: Callable[[str], str]) -> Any:
    """A copy of JSON-like data with ``change`` applied to each string, including keys."""
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
    """JSON for a model to read, with the arguments of transformers' filter. Jinja2's own filter would escape HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
