"""Checks of schemas and patterns by the library llguidance, before a request is queued.

``server/engines/step/grammar.py`` says why the server uses this library. The library also matches clients' patterns
against texts, in time proportional to the text, while ``re`` may need exponential time.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

KEPT = 512
OPTIONS: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""Options of the library. Free white space between tokens would let a small model fill its whole answer with it."""
FORMATS: Mapping[str, str] = {
    "date-time": r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T"
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
    "time": r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
}
"""Patterns that replace the library's own for these formats. The library's patterns match texts of unlimited length, or
texts that are no such value."""
ENFORCED_FORMATS = frozenset((*FORMATS, "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"))
STANDARD_FORMATS = ENFORCED_FORMATS | {
    *("idn-email", "idn-hostname", "uri-reference", "iri", "iri-reference", "uri-template", "json-pointer"),
    *("relative-json-pointer", "regex"),
}
"""All formats that a draft of JSON Schema defines. Any other format is ignored as an annotation."""


def grammar_of(schema: Mapping[str, Any]) -> str:
    """The library's grammar of a schema. The result may still be a grammar that the library cannot enforce.

    Raises:
        ValueError: the library cannot read the schema.
    """
    from llguidance import LLMatcher  # 3 MB: imported only when a request has a schema

    return LLMatcher.grammar_from_json_schema(dict(schema), overrides=OPTIONS)


def is_followed(schema: Mapping[str, Any]) -> bool:
    """Whether the library can enforce this schema and at least one value is valid under it."""
    from llguidance import LLMatcher

    try:
        grammar = grammar_of(schema)
    except ValueError:
        return False
    is_error, _ = LLMatcher.validate_grammar_with_warnings(grammar)
    return not is_error


@lru_cache(maxsize=KEPT)
def is_pattern(pattern: str) -> bool:
    """Whether the library can enforce this ``pattern``."""
    return is_followed({"type": "string", "pattern": pattern})


@lru_cache(maxsize=KEPT)
def matches(pattern: str, text: str) -> bool:
    """Whether the pattern matches anywhere in the text."""
    return is_followed({"type": "string", "enum": [text], "pattern": pattern})
