"""The arguments that a tool may be called with. Families write them into their grammars and read them back. The server
makes them from JSON Schema; this module knows nothing of JSON Schema.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Plain:
    """A value that is a text, written as it is, or one of a few values of other types."""

    least: int = 1
    """The length limit, in characters."""
    most: int | None = None
    texts: tuple[str, ...] | None = None
    """All allowed texts, if the schema names them one by one; empty: the value is not a text."""
    kinds: frozenset[str] = frozenset()
    """Types that the value may have instead: null, boolean, integer, number."""
    literals: tuple[str, ...] = ()
    """Values that are allowed instead, as JSON."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a tool."""

    name: str
    needed: bool
    schema: Mapping[str, Any]
    """The schema that a grammar enforces if the value is written as JSON: for ``%json`` in llguidance."""
    plain: Plain | None = None
    """None: the value is written as JSON, texts in quotes."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A tool: its name, and the sets of arguments that a call may have."""

    name: str
    strict: bool
    ways: Sequence[Sequence[Argument]]
    """Each set in the schema's order. Several sets if the schema has alternatives."""
    schema: Mapping[str, Any]
    """All arguments as one object, for ``%json``."""
