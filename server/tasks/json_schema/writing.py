"""Writes parts as a schema with only keywords that llguidance enforces exactly, and limits the digits of numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from typing import Any, NoReturn

from server.tasks.json_schema.library import FORMATS, is_followed
from server.tasks.json_schema.parts import ANY, List, Null, Number, Object, Part, State, Text, Truth
from server.tasks.json_schema.shapes import Shapes


def number(part: Number) -> dict[str, Any]:
    """The schema of numbers, in a closed range."""
    if part.values is not None:
        return {"enum": list(part.values)}
    low, high = part.ends  # the library is wrong about open ranges if both ends have the same whole part
    # Multiples of a whole number are whole. The library panics at some ranges of numbers with such a factor.
    whole = part.whole or part.written.denominator == 1
    made = {"type": "integer" if whole else "number", "minimum": _plain(low), "maximum": _plain(high)}
    return made if whole and part.written == 1 else made | {"multipleOf": _plain(part.written)}


def _plain(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def text(part: Text) -> dict[str, Any]:
    """The schema of texts."""
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


MOST_OPTIONAL = 6
"""The most optional properties whose combinations are all written down."""


def counted(part: Object, optional: Sequence[str], *, is_open: bool) -> list[Object] | None:
    """The same objects as alternatives whose number of properties the library can enforce.

    If the part limits the number of properties, each alternative requires one combination of listed properties.

    Args:
        part: the objects.
        optional: names of listed properties that an object may have or lack.
        is_open: an object may have other properties than the listed ones. The library does not see whether two of these
            have the same name, so it can enforce only that there is at least one.

    Returns:
        The alternatives, or None if the number of properties cannot be enforced.
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


MOST_TRIED = 50
"""The most inner schemas that are tried to find the one that makes a schema too large."""
ANY_VALUE: Mapping[str, Any] = {
    "anyOf": [
        {"type": ["null", "boolean", "string"]},
        {"type": "number", "minimum": -(10**15 - 1), "maximum": 10**15 - 1, "multipleOf": 1e-9},
        {"type": "array", "items": {"$ref": "#/$defs/any"}},
        {"type": "object", "additionalProperties": {"$ref": "#/$defs/any"}},
    ]
}


class Writing:
    """All states that are reachable from a root, without the states and parts that allow no value.

    Raises:
        InvalidValue: no value is valid under the root, or for the reasons of ``Shapes``.
        Endless: a reference leads back to itself.
    """

    def __init__(self, shapes: Shapes, root: State) -> None:
        self._shapes = shapes
        self._parts: dict[State, Sequence[Part]] = {}
        self._full: set[State] = {ANY}
        self._texts: dict[Text, bool] = {}
        self._reach(root)
        self._fill()
        if root not in self._full:
            self._blame(root)
        for state in [state for state in self._parts if state in self._full]:
            self._parts[state] = self._settled(state)
        self._fill()
        if root not in self._full:
            self._blame(root)

    def parts(self, state: State) -> Sequence[Part]:
        """The parts of a state that allow a value. Lists and objects have no items or properties that allow none."""
        return self._parts.get(state, ())

    def is_full(self, state: State) -> bool:
        """Whether the state allows a value."""
        return state in self._full

    def whole(self, state: State) -> dict[str, Any]:
        """The schema of a state."""
        return self.any_value() if state == ANY else self.schema(self.parts(state))

    def any_value(self) -> dict[str, Any]:
        """The schema of all JSON values."""
        return {"$ref": "#/$defs/any", "$defs": {"any": ANY_VALUE}}

    def schema(self, parts: Sequence[Part]) -> dict[str, Any]:
        """A complete schema of these parts, with ``$defs`` for all states that they refer to."""
        names: dict[State, str] = {}
        made = _any_of([self._written(part, names) for part in parts])
        defs: dict[str, Any] = {"any": ANY_VALUE}
        done = 0
        while done < len(names):
            state = list(names)[done]
            defs[names[state]] = _any_of([self._written(part, names) for part in self.parts(state)])
            done += 1
        return {**made, "$defs": defs}

    def refuse_largest(self, is_small: Callable[[Mapping[str, Any]], bool]) -> NoReturn:
        """Refuse the smallest inner schema that is too large by itself, or the whole schema if none of them is.

        Args:
            is_small: whether the library can enforce a schema.

        Raises:
            InvalidValue: always.
        """
        made = [
            (self.schema(parts), state)
            for state, parts in self._parts.items()
            if state and not all(map(_is_small, parts))
        ]
        for schema, state in sorted(made, key=lambda each: len(str(each[0])))[:MOST_TRIED]:
            if not is_small(schema):
                self._refuse_size(state)
        self._refuse_size(("",))

    def _refuse_size(self, state: tuple[str, ...]) -> NoReturn:
        document = self._shapes.document
        document.refuse(f"the grammar that enforces {', '.join(document.said(state))} is too large")

    def _reach(self, root: State) -> None:
        waiting = [root]
        while waiting:
            state = waiting.pop()
            if state is None or state == ANY or state in self._parts:
                continue
            self._parts[state] = self._shapes.expand(state)
            for part in self._parts[state]:
                waiting += _within(part)

    def _fill(self) -> None:
        """Find the states that allow a value: those with a part whose required items and properties allow one."""
        self._full = {ANY}
        backwards, found = list(reversed(self._parts)), True
        while found:
            fresh = [s for s in backwards if s not in self._full and any(self._has(s, part) for part in self._parts[s])]
            found = bool(fresh)
            self._full.update(fresh)

    def _has(self, state: State, part: Part) -> bool:
        match part:
            case Number():
                return not part.is_empty
            case Text():
                return self._text_has(state, part)
            case List():
                return all(part.item(i) in self._full for i in range(part.least))
            case Object():
                listed = sum(each in self._full for each in part.properties.values())
                more = sum(name not in part.properties for name in part.required)
                enough = self._is_open(part) or part.least <= listed + more
                return enough and all(part.property(name) in self._full for name in part.required)
        return True

    def _is_open(self, part: Object) -> bool:
        return any(each in self._full for each in (part.rest, *part.patterns.values()))

    def _text_has(self, state: State, part: Text) -> bool:
        """Whether a text fits the patterns and lengths together. False also if that is too much for the library."""
        if not (part.patterns or part.formats) or part.values is not None:
            return True
        if part not in self._texts:
            self._texts[part] = is_followed(text(part))
        return self._texts[part]

    def _settled(self, state: State) -> Sequence[Part]:
        settled: list[Part] = []
        for part in self._parts[state]:
            if not self._has(state, part):
                continue
            match part:
                case List():
                    settled.append(self._settled_list(part))
                case Object():
                    settled += self._settled_objects(state, part)
                case _:
                    settled.append(part)
        return settled

    def _settled_list(self, part: List) -> List:
        first = list(part.first)
        end = next((i for i, each in enumerate(first) if each not in self._full), len(first))
        rest = part.rest if part.rest in self._full and end == len(first) else None
        most = part.most if rest is not None else min(end, end if part.most is None else part.most)
        return replace(part, first=tuple(first[:end]), rest=rest, most=most)

    def _settled_objects(self, state: State, part: Object) -> list[Object]:
        listed = {**part.properties, **{name: part.property(name) for name in part.required}}
        patterns = {pattern: each if each in self._full else None for pattern, each in part.patterns.items()}
        part = replace(
            part,
            properties={name: each if each in self._full else None for name, each in listed.items()},
            patterns=patterns,
            rest=part.rest if part.rest in self._full else None,
        )
        overlap = {"type": "object", "patternProperties": dict.fromkeys(patterns, True)}
        if len(patterns) > 1 and not is_followed(overlap):
            if part.rest is not None:
                self._unheld(state, "patternProperties")
            part = replace(part, patterns={})
        optional = [name for name, each in part.properties.items() if each is not None and name not in part.required]
        made = counted(part, optional, is_open=self._is_open(part))
        if made is None:
            self._unheld(state, "minProperties" if part.least > len(part.required) else "maxProperties")
            made = [replace(part, least=0, most=None)]
        return made

    def _unheld(self, state: State, keyword: str) -> None:
        document = self._shapes.document
        document.unheld(document.bearer(state or ("",), keyword), keyword)

    def _blame(self, root: State) -> None:
        """Refuse the schema, and name the innermost schema that allows no value."""
        state, seen = root, {root}
        while True:
            needs = [each for part in self._parts.get(state, ()) for each in _needs(part) if each not in self._full]
            deeper = next((each for each in needs if each not in seen), None)
            if deeper is None:
                break
            state = deeper
            seen.add(state)
        self._shapes.document.nothing(state or root or ())

    def _written(self, part: Part, names: dict[State, str]) -> dict[str, Any]:
        match part:
            case Null():
                return {"type": "null"}
            case Truth():
                return {"enum": sorted(part.values)}
            case Number():
                return number(part)
            case Text():
                return text(part)
            case List():
                return self._list(part, names)
            case Object():
                return self._object(part, names)

    def _list(self, part: List, names: dict[State, str]) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "array", "items": self._named(part.rest, names)}
        if part.first:
            made["prefixItems"] = [self._named(each, names) for each in part.first]
        if part.least:
            made["minItems"] = part.least
        if part.most is not None:
            made["maxItems"] = part.most
        return made

    def _object(self, part: Object, names: dict[State, str]) -> dict[str, Any]:
        made: dict[str, Any] = {
            "type": "object",
            "properties": {name: self._named(each, names) for name, each in part.properties.items()},
            "required": list(part.required),
            "additionalProperties": self._named(part.rest, names),
        }
        if part.patterns:
            made["patternProperties"] = {pattern: self._named(each, names) for pattern, each in part.patterns.items()}
        if part.least:
            made["minProperties"] = part.least
        if part.most is not None:
            made["maxProperties"] = part.most
        return made

    def _named(self, state: State, names: dict[State, str]) -> Any:
        """The schema of a value inside another; a reference for lists and objects, since these may be recursive."""
        if state is None:
            return False
        if state == ANY:
            return {"$ref": "#/$defs/any"}
        parts = self.parts(state)
        if any(isinstance(part, List | Object) for part in parts):
            return {"$ref": f"#/$defs/{names.setdefault(state, str(len(names)))}"}
        return _any_of([self._written(part, names) for part in parts])


def _within(part: Part) -> list[State]:
    match part:
        case List():
            return [*part.first, part.rest]
        case Object():
            return [*part.properties.values(), *part.patterns.values(), part.rest, *map(part.property, part.required)]
    return []


def _is_small(part: Part) -> bool:
    """Whether the part alone is never too large for the library."""
    plain = isinstance(part, Text) and not part.patterns and not part.formats and part.values is None
    return plain or isinstance(part, Null | Truth | Number)


def _needs(part: Part) -> list[State]:
    match part:
        case List():
            return [part.item(i) for i in range(part.least)]
        case Object():
            return [part.property(name) for name in part.required]
    return []


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
