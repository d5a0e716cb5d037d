"""``minProperties`` and ``maxProperties``: objects made so that the library can hold to them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from server.tasks.json_schema.parts import Object

MOST_OPTIONAL = 6
"""Of more optional properties there are too many sets to write each down."""


def counted(part: Object, optional: Sequence[str], *, is_open: bool) -> list[Object] | None:
    """The same objects, each with all its listed properties required where their number matters.

    Args:
        part: the objects.
        optional: its listed properties that may be there, and need not.
        is_open: others than the listed ones may be there too. The library does not see whether two of them have one
            name, so it can be held to one of them and to no more.

    Returns:
        None where the number cannot be held to.
    """
    needed = len(part.required)
    least = part.least if part.least > needed else 0
    most = part.most
    if most is not None and not is_open and most >= needed + len(optional):
        most = None
    if not least and most is None:
        return [replace(part, least=0, most=None)]
    if len(optional) > MOST_OPTIONAL:
        at_least_one = least == needed + 1 and most is None and not is_open and not part.patterns
        return [replace(part, least=least, most=None)] if at_least_one else None
    made = []
    for size in range(len(optional) + 1):
        count = needed + size
        if (most is not None and count > most) or (least > count and not (is_open and least == count + 1)):
            continue
        for chosen in combinations(optional, size):
            left = {name: None for name in optional if name not in chosen}
            made.append(
                replace(
                    part,
                    properties={**part.properties, **left},
                    required=(*part.required, *chosen),
                    least=least if least > count else 0,
                    most=most if is_open else None,
                )
            )
    return made or None
