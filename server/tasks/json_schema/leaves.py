"""Numbers and texts in the keywords that the library enforces exactly, with an end to every number."""

from fractions import Fraction
from typing import Any

from server.tasks.json_schema.library import FORMATS
from server.tasks.json_schema.parts import Number, Text


def number(part: Number) -> dict[str, Any]:
    """Numbers, in a closed range."""
    if part.values is not None:
        return {"enum": list(part.values)}
    low, high = part.ends  # the library has open ranges wrong where both ends have one whole part
    made = {"type": "integer" if part.whole else "number", "minimum": _plain(low), "maximum": _plain(high)}
    return made if part.whole and part.written == 1 else made | {"multipleOf": _plain(part.written)}


def _plain(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def text(part: Text) -> dict[str, Any]:
    """Texts."""
    if part.values is not None:
        return {"enum": list(part.values)}
    made: dict[str, Any] = {"type": "string"}
    if part.least:
        made["minLength"] = part.least
    if part.most is not None:
        made["maxLength"] = part.most
    patterns = [{"pattern": pattern} for pattern in part.patterns]
    formats = [{"pattern": f"^({FORMATS[each]})$"} if each in FORMATS else {"format": each} for each in part.formats]
    others = [*patterns, *formats]
    if len(others) == 1:
        return made | others[0]
    return {"allOf": [made, *({"type": "string", **each} for each in others)]} if others else made
