"""Grammars of answers: JSON objects, JSON by a schema. What cannot be enforced is refused here, before any work.

The library llguidance compiles them (``server/engines/step/grammar.py`` says why that one); the engine enforces them
token by token. Knows no models.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from server.errors import InvalidValue

KEPT, KEPT_CHARACTERS = 64, 100_000
"""So many grammars, none longer than that, need not be read again."""
JSON_OPTIONS: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""Free space between tokens would let a small model fill its whole answer with it."""


def json_object(field: str) -> str:
    """Any JSON object."""
    return json_schema({"type": "object"}, field)


def json_schema(schema: Mapping[str, Any], field: str) -> str:
    """JSON documents that the schema describes.

    Raises:
        InvalidValue: it is no schema, or has what cannot be enforced; the message names it.
    """
    from llguidance import LLMatcher  # 3 MB: only for servers that are asked for it

    try:
        grammar = LLMatcher.grammar_from_json_schema(dict(schema), overrides=JSON_OPTIONS)
    except ValueError as error:
        raise InvalidValue(f"The schema cannot be used: {_first_line(str(error))}", field) from None
    return checked(grammar, field)


def checked(grammar: str, field: str) -> str:
    """The grammar, if it is one.

    Raises:
        InvalidValue: it is none; the message says why.
    """
    flaw = (_kept_flaw if len(grammar) <= KEPT_CHARACTERS else _flaw)(grammar)
    if flaw:
        raise InvalidValue(f"The schema cannot be enforced: {flaw}", field)
    return grammar


def _flaw(grammar: str) -> str:
    """Why a grammar is none, if it is none."""
    from llguidance import LLMatcher

    is_error, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    return _first_line(messages[0]) if is_error else ""


# The requests of a client mostly have the same one, and reading it takes milliseconds.
_kept_flaw = lru_cache(maxsize=KEPT)(_flaw)


def _first_line(message: str) -> str:
    return message.strip().splitlines()[0][:300] if message.strip() else "it is no schema"
