"""What the library llguidance says of a schema or a grammar before anything is queued.

``server/engines/step/grammar.py`` says why that library. It also looks for client's patterns in texts: in time that
grows with the text, where ``re`` may take forever.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

KEPT = 512
OPTIONS: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""Free space between tokens would let a small model fill its whole answer with it."""
FORMATS: Mapping[str, str] = {
    "date-time": r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T"
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
    "time": r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
}
"""Formats of which the library's own patterns have no end, or take what is no such value."""
ENFORCED_FORMATS = frozenset((*FORMATS, "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"))
STANDARD_FORMATS = ENFORCED_FORMATS | {
    *("idn-email", "idn-hostname", "uri-reference", "iri", "iri-reference", "uri-template", "json-pointer"),
    *("relative-json-pointer", "regex"),
}
"""All that a draft of JSON Schema defines; any other is a remark."""


def grammar_of(schema: Mapping[str, Any]) -> str:
    """A schema as a grammar. It need not be one that can be followed."""
    from llguidance import LLMatcher  # 3 MB: only for servers that are asked for it

    return LLMatcher.grammar_from_json_schema(dict(schema), overrides=OPTIONS)


def is_followed(schema: Mapping[str, Any]) -> bool:
    """Whether the library can enforce this schema, and there is a value that goes with it."""
    from llguidance import LLMatcher

    try:
        grammar = grammar_of(schema)
    except ValueError:
        return False
    is_error, _ = LLMatcher.validate_grammar_with_warnings(grammar)
    return not is_error


@lru_cache(maxsize=KEPT)
def is_pattern(pattern: str) -> bool:
    """Whether a ``pattern`` can be enforced."""
    return is_followed({"type": "string", "pattern": pattern})


@lru_cache(maxsize=KEPT)
def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text."""
    return is_followed({"type": "string", "enum": [text], "pattern": pattern})
