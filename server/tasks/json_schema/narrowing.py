"""Makes parts so narrow that they have no value of others: for ``oneOf``, ``not`` and ``if``."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from server.tasks.json_schema.parts import List, Number, Object, Part, State, Text, Truth, meet

NeverBoth = Callable[[State, State], bool]
"""Whether it is plain that no value goes with both."""


def apart(parts: Sequence[Part], others: Sequence[Part], never_both: NeverBoth) -> list[Part]:
    """The parts without what is in the others; left out where that cannot be said."""
    kept = []
    for part in parts:
        narrow: Part | None = part
        for other in others:
            narrow = None if narrow is None else _narrowed(narrow, other, never_both)
        if narrow is not None:
            kept.append(narrow)
    return kept


def _narrowed(part: Part, other: Part, never_both: NeverBoth) -> Part | None:
    if meet(part, other) is None:
        return part
    match part, other:
        case Truth(), Truth():
            left = part.values - other.values
            return Truth(left) if left else None
        case Number(), Number() if part.values is not None:
            numbers = tuple(value for value in part.values if not other.has(value))
            return replace(part, values=numbers) if numbers else None
        case Text(), Text() if part.values is not None and not other.formats:
            texts = tuple(value for value in part.values if not other.has(value))
            return replace(part, values=texts) if texts else None
        case List(), List():
            counted = range(min(part.least, other.least))
            return part if any(never_both(part.item(i), other.item(i)) for i in counted) else None
        case Object(), Object():
            return _narrowed_object(part, other, never_both)
    return None


def _narrowed_object(part: Object, other: Object, never_both: NeverBoth) -> Object | None:
    names = dict.fromkeys((*part.properties, *other.properties, *part.required, *other.required))
    unlike = [name for name in names if never_both(part.property(name), other.property(name))]
    if any(name in part.required or name in other.required for name in unlike):
        return part
    for name in other.required:
        if name not in part.required:
            return part.without(name)
    for name in unlike:
        if part.properties.get(name) is not None:
            return part.needing(name)
    return None
