"""What a tool may be called with, as families write it into their grammars and read it back. Made by the server, which
knows JSON Schema; nothing here does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Plain:
    """A value that is a text, and can be written as it is; or beside that one of a few values of other types."""

    least: int = 1
    """Characters."""
    most: int | None = None
    texts: tuple[str, ...] | None = None
    """All that there are, where they are named one by one; empty: it is no text."""
    kinds: frozenset[str] = frozenset()
    """JSON types that it may be instead, of null, boolean, integer and number."""
    literals: tuple[str, ...] = ()
    """Values that it may be instead, as JSON."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a tool."""

    name: str
    needed: bool
    schema: Mapping[str, Any]
    """What enforces it where it is written as JSON: for ``%json`` in a grammar of llguidance."""
    plain: Plain | None = None
    """None: it is written as JSON, texts in quotes."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A tool: its name, and the sets of arguments that it may be called with."""

    name: str
    strict: bool
    ways: Sequence[Sequence[Argument]]
    """Each in the schema's order. More than one where the schema has alternatives."""
    schema: Mapping[str, Any]
    """All arguments as one object, for ``%json``."""
