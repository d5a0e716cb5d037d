"""``propertyNames``: what it says of names, said of properties."""

from collections.abc import Sequence
from dataclasses import replace

from server.tasks.json_schema.parts import Object, Text


def named(part: Object, names: Sequence[Text]) -> Object | None:
    """The objects whose properties all have such a name; None where that cannot be said of properties."""
    if any(each == Text() for each in names):
        return part
    properties = {
        name: state if any(each.has(name) for each in names) else None for name, state in part.properties.items()
    }
    part = replace(part, properties=properties)
    if part.rest is None and not part.patterns:
        return None if any(each.formats for each in names) else part
    if part.patterns or any(each.formats for each in names):
        return None
    if all(each.values is not None for each in names):
        listed = {name: part.rest for each in names for name in each.values or () if name not in properties}
        return replace(part, properties={**properties, **listed}, rest=None)
    (only, *others) = names
    has_length = only.least or only.most is not None
    if others or len(only.patterns) > 1 or (only.patterns and has_length):
        return None
    length = f"^(?s:.{{{only.least},{'' if only.most is None else only.most}}})$"
    return replace(part, patterns={only.patterns[0] if only.patterns else length: part.rest}, rest=None)
