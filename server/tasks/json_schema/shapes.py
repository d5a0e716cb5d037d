"""Computes the parts that the schemas of a document allow, and combines all schemas that constrain the same value."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from server.tasks.json_schema.document import Document, told
from server.tasks.json_schema.parts import (
    List,
    Null,
    Number,
    Object,
    Part,
    State,
    Text,
    Truth,
    apart,
    both,
    meet,
    merged,
)
from server.tasks.json_schema.typed import ANY_PARTS, Typed

MOST_PARTS = 1_000
"""The most parts of one value, since alternatives within alternatives multiply."""
MOST_EXACT, LEAST_EXACT = 2**53, 1e-9
"""The largest and the smallest absolute value of a number in ``const`` or ``enum`` that is written exactly."""


class Endless(Exception):
    """A schema refers back to itself without a constraint in between. Its argument is the place of the reference."""


class Shapes:
    """The parts of every place in a document.

    Raises:
        InvalidValue: in the methods: the schema is malformed or too large, or it is strict and cannot be enforced.
        Endless: in the methods: a reference leads back to itself.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._parts: dict[str, Sequence[Part]] = {}
        self._states: dict[tuple[str, ...], Sequence[Part]] = {}
        self._open: set[str] = set()
        self._typed = Typed(document, self.expand)

    def state(self, place: str) -> State:
        """The state of a value that the schema at this place constrains."""
        return self._typed.state(place)

    def expand(self, state: State) -> Sequence[Part]:
        """The parts of a value that all schemas of the state constrain; empty if no value is valid."""
        if state is None:
            return ()
        if state not in self._states:
            parts: Sequence[Part] = ANY_PARTS
            for place in state:
                parts = self._met(parts, self._at(place))
            self._states[state] = parts
        return self._states[state]

    def _at(self, place: str) -> Sequence[Part]:
        if place not in self._parts:
            self._open.add(place)
            try:
                self._parts[place] = self._work_out(place)
            finally:
                self._open.discard(place)
        return self._parts[place]

    def _below(self, place: str, *keys: str | int) -> Sequence[Part]:
        return self._at(self.document.inside(place, *keys))

    def _work_out(self, place: str) -> Sequence[Part]:
        schema = self.document.at(place)
        if isinstance(schema, bool):
            return ANY_PARTS if schema else ()
        parts = self._typed.parts(place, schema)
        if "const" in schema:
            parts = self._met(parts, [self._value(place, "const", [], schema["const"])])
        if "enum" in schema:
            parts = self._met(parts, self._values(place, schema["enum"]))
        if "$ref" in schema:
            target = self.document.target(place, schema["$ref"])
            if target in self._open:
                raise Endless(place)
            parts = self._met(parts, self._at(target))
        for keyword in ("$dynamicRef", "$recursiveRef"):
            if keyword in schema:
                self.document.unheld(place, keyword)
        for i in range(len(schema.get("allOf", ()))):
            parts = self._met(parts, self._below(place, "allOf", i))
        if "anyOf" in schema:
            parts = self._met(parts, [part for each in self._each(place, "anyOf", schema) for part in each])
        if "oneOf" in schema:
            parts = self._met(parts, self._one_of(place, schema))
        if "not" in schema:
            parts = self._not(place, parts)
        if "if" in schema:
            parts = self._conditional(place, schema, parts)
        return self._dependent(place, schema, parts)

    def _each(self, place: str, keyword: str, schema: Mapping[str, Any]) -> list[Sequence[Part]]:
        return [self._below(place, keyword, i) for i in range(len(schema[keyword]))]

    def _one_of(self, place: str, schema: Mapping[str, Any]) -> Sequence[Part]:
        """The parts of ``oneOf``: each alternative without the values that another alternative allows too."""
        each = self._each(place, "oneOf", schema)
        narrow: list[Sequence[Part]] = []
        for i, parts in enumerate(each):
            others = [part for j, more in enumerate(each) if j != i for part in more]
            narrow.append(apart(parts, others, self._never_both))
        if any(parts and not kept for parts, kept in zip(each, narrow, strict=True)):
            self.document.unheld(place, "oneOf")
            narrow = each
        return [part for parts in narrow for part in parts]

    def _not(self, place: str, parts: Sequence[Part]) -> Sequence[Part]:
        others = self._below(place, "not")
        narrow = apart(parts, others, self._never_both)
        if parts and not narrow and others is not ANY_PARTS:
            self.document.unheld(place, "not")
            return parts
        return narrow

    def _conditional(self, place: str, schema: Mapping[str, Any], parts: Sequence[Part]) -> Sequence[Part]:
        condition = self._below(place, "if")
        yes = self._met(parts, condition)
        no: Sequence[Part] = apart(parts, condition, self._never_both)
        if not schema.keys() & {"then", "else"}:
            return parts
        if not yes or not no:
            self.document.unheld(place, "if")
            return parts
        if "then" in schema:
            yes = self._met(yes, self._below(place, "then"))
        if "else" in schema:
            no = self._met(no, self._below(place, "else"))
        return [*yes, *no]

    def _dependent(self, place: str, schema: Mapping[str, Any], parts: Sequence[Part]) -> Sequence[Part]:
        """Split objects by a property that requires others: objects without it, and objects with all of them."""
        for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
            for name, wanted in schema.get(keyword, {}).items():
                is_list = isinstance(wanted, list)
                more = [Object(required=tuple(wanted))] if is_list else self._below(place, keyword, name)
                objects = [part for part in parts if isinstance(part, Object)]
                having = [part.needing(name) for part in objects if part.property(name) is not None]
                without = [part.without(name) for part in objects if name not in part.required]
                others = [part for part in parts if not isinstance(part, Object)]
                parts = [*others, *without, *self._met(having, more)]
                self._require_few(parts)
        return parts

    def _values(self, place: str, values: Sequence[Any]) -> list[Part]:
        """The parts of the values of ``enum``. All texts share one part, and all numbers, as there may be thousands."""
        parts = [self._value(place, "enum", [i], value) for i, value in enumerate(values)]
        texts = dict.fromkeys(text for part in parts if isinstance(part, Text) for text in part.values or ())
        numbers = dict.fromkeys(number for part in parts if isinstance(part, Number) for number in part.values or ())
        others: list[Part] = [part for part in parts if not isinstance(part, Text | Number)]
        if numbers:
            others.insert(0, Number(values=tuple(numbers)))
        if texts:
            others.insert(0, Text(values=tuple(texts)))
        return merged(others)

    def _value(self, place: str, keyword: str, path: Sequence[int], value: Any) -> Part:
        """The part of one value of ``const`` or ``enum``."""
        if value is None:
            return Null()
        if isinstance(value, bool):
            return Truth(frozenset((value,)))
        if isinstance(value, int | float):
            if abs(value) > MOST_EXACT or 0 < abs(value) < LEAST_EXACT:
                self.document.refuse(f"'{keyword}' at {told(place)} has a number that cannot be written exactly")
            return Number(values=(value or 0,))
        if isinstance(value, str):
            return Text(values=(value,))
        return self._holder(self.document.inside(place, keyword, *path), value, (keyword, place))

    def _holder(self, place: str, value: Any, said: tuple[str, str]) -> Part:
        """The part of a list or an object in ``const`` or ``enum``."""
        keys: Iterable[Any] = value if isinstance(value, Mapping) else range(len(value))
        made = {key: self.document.made(place, f"const:{key}", {"const": value[key]}, said) for key in keys}
        states: dict[Any, State] = {key: (each,) for key, each in made.items()}
        if isinstance(value, Mapping):
            return Object(states, {}, None, tuple(states))
        return List(tuple(states.values()), None, len(states), len(states))

    def _met(self, some: Sequence[Part], others: Sequence[Part]) -> Sequence[Part]:
        if others is ANY_PARTS:
            return some
        if some is ANY_PARTS:
            found = merged(others)
        else:
            found = merged([met for one in some for other in others if (met := meet(one, other)) is not None])
        self._require_few(found)
        return found

    def _require_few(self, parts: Sequence[Part]) -> None:
        if len(parts) > MOST_PARTS:
            self.document.refuse("its alternatives have too many combinations")

    def _never_both(self, one: State, other: State) -> bool:
        """Whether it is certain that no value is valid under both states."""
        try:
            return not self.expand(both(one, other))
        except Endless:
            return False
