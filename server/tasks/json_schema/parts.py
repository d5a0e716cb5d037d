"""The values that a schema allows, as parts: each part describes values of one JSON type.

This module intersects, subtracts and merges parts without access to the document. Items of lists and properties of
objects stay unresolved: a part names them by the places of all schemas that constrain them (`State`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, floor, lcm

from server.tasks.json_schema.library import matches

State = tuple[str, ...] | None
"""The places of all schemas that constrain one value. An empty tuple allows any value; None allows no value."""
ANY: State = ()
FINEST = Fraction(1, 10**9)
"""A number has at most nine digits after its decimal point."""
LARGEST = 10**15 - 1
"""A number has at most fifteen digits before its decimal point, so that it ends and is read back as it was written."""

LARGEST_STEP = 10_000
"""The largest step, its decimal point left out. The library needs one state of its grammar for each remainder."""


def both(one: State, other: State) -> State:
    """The state of a value that the schemas of both states constrain."""
    if one is None or other is None:
        return None
    return tuple(dict.fromkeys((*one, *other)))


def _least(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class Null:
    """The value null."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The values true, false, or both."""

    values: frozenset[bool] = frozenset((True, False))


@dataclass(frozen=True, slots=True)
class Number:
    """The numbers in a range, or the numbers of a list."""

    low: Fraction = Fraction(-LARGEST)
    high: Fraction = Fraction(LARGEST)
    low_open: bool = False
    high_open: bool = False
    whole: bool = False
    step: Fraction | None = None
    """Only multiples of this number."""
    values: tuple[int | float, ...] | None = None

    @property
    def written(self) -> Fraction:
        """The step between the numbers of the range that can be written: each is a multiple of it."""
        if self.step is None:
            return Fraction(1) if self.whole else FINEST
        return Fraction(self.step.numerator) if self.whole else self.step

    def has(self, value: int | float) -> bool:
        """Whether the part contains this number."""
        exact = exactly(value)
        if self.values is not None and all(value != each for each in self.values):
            return False
        above = self.low < exact or (self.low == exact and not self.low_open)
        below = exact < self.high or (exact == self.high and not self.high_open)
        on_step = self.step is None or (exact / self.step).denominator == 1
        return above and below and on_step and not (self.whole and exact.denominator != 1)

    @property
    def ends(self) -> tuple[Fraction, Fraction]:
        """The smallest and the largest number of the range that can be written."""
        step = self.written
        first, last = ceil(self.low / step), floor(self.high / step)
        first += self.low_open and first * step == self.low
        last -= self.high_open and last * step == self.high
        return first * step, last * step

    @property
    def is_empty(self) -> bool:
        """Whether the part contains no number that can be written."""
        return not self.values if self.values is not None else self.ends[0] > self.ends[1]


@dataclass(frozen=True, slots=True)
class Text:
    """The texts with these lengths (in characters), patterns and formats, or the texts of a list."""

    least: int = 0
    most: int | None = None
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    values: tuple[str, ...] | None = None

    def has(self, value: str) -> bool:
        """Whether the part contains this text. Formats are not checked."""
        if self.values is not None and value not in self.values:
            return False
        fits = self.least <= len(value) and (self.most is None or len(value) <= self.most)
        return fits and all(matches(pattern, value) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class List:
    """Lists of ``least`` to ``most`` items: a state for each of the first items, and one for all others."""

    first: tuple[State, ...] = ()
    rest: State = ANY
    least: int = 0
    most: int | None = None

    def item(self, index: int) -> State:
        """The state of the item at this index."""
        return self.first[index] if index < len(self.first) else self.rest


@dataclass(frozen=True, slots=True)
class Object:
    """Objects of ``least`` to ``most`` properties: states of properties by name, by pattern of name, and of all others.

    A property whose state is None is forbidden.
    """

    properties: Mapping[str, State] = field(default_factory=dict)
    patterns: Mapping[str, State] = field(default_factory=dict)
    rest: State = ANY
    required: tuple[str, ...] = ()
    least: int = 0
    most: int | None = None

    def property(self, name: str) -> State:
        """The state of the property with this name."""
        if name in self.properties:
            return self.properties[name]
        found = [state for pattern, state in self.patterns.items() if matches(pattern, name)]
        state: State = ANY if found else self.rest
        for each in found:
            state = both(state, each)
        return state

    def without(self, name: str) -> "Object":
        """The objects of this part that lack the property with this name."""
        return replace(self, properties={**self.properties, name: None})

    def needing(self, name: str) -> "Object":
        """The objects of this part that have the property with this name."""
        listed = {name: self.property(name)} if name not in self.properties else {}
        required = self.required if name in self.required else (*self.required, name)
        return replace(self, properties={**self.properties, **listed}, required=required)


Part = Null | Truth | Number | Text | List | Object


def exactly(value: int | float) -> Fraction:
    """The exact value of the number as it was written: 0.1 becomes one tenth."""
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def meet(one: Part, other: Part) -> Part | None:
    """The values in both parts; None if the parts alone show that there are none."""
    match one, other:
        case Null(), Null():
            return one
        case Truth(), Truth():
            values = one.values & other.values
            return Truth(values) if values else None
        case Number(), Number():
            return _numbers(one, other)
        case Text(), Text():
            return _texts(one, other)
        case List(), List():
            return _lists(one, other)
        case Object(), Object():
            return _objects(one, other)
    return None


def _numbers(one: Number, other: Number) -> Number | None:
    if one.values is not None or other.values is not None:
        given, test = (one, other) if one.values is not None else (other, one)
        met = replace(given, values=tuple(value for value in given.values or () if test.has(value)))
        return None if met.is_empty else met
    low, high = max(one.low, other.low), min(one.high, other.high)
    step = one.step or other.step
    if one.step and other.step:
        below = lcm(one.step.denominator, other.step.denominator)
        step = Fraction(lcm(int(one.step * below), int(other.step * below)), below)
    met = Number(
        low,
        high,
        any(each.low == low and each.low_open for each in (one, other)),
        any(each.high == high and each.high_open for each in (one, other)),
        one.whole or other.whole,
        step,
    )
    return None if met.is_empty else met


def _texts(one: Text, other: Text) -> Text | None:
    if one.values is not None or other.values is not None:
        given, test = (one, other) if one.values is not None else (other, one)
        others = None if test.values is None else frozenset(test.values)
        free = replace(test, values=None)
        values = tuple(each for each in given.values or () if (others is None or each in others) and free.has(each))
        return replace(given, values=values, formats=(*one.formats, *other.formats)) if values else None
    met = Text(
        max(one.least, other.least),
        _least(one.most, other.most),
        tuple(dict.fromkeys((*one.patterns, *other.patterns))),
        tuple(dict.fromkeys((*one.formats, *other.formats))),
    )
    return None if met.most is not None and met.least > met.most else met


def _lists(one: List, other: List) -> List | None:
    length = max(len(one.first), len(other.first))
    first = tuple(both(one.item(i), other.item(i)) for i in range(length))
    met = List(first, both(one.rest, other.rest), max(one.least, other.least), _least(one.most, other.most))
    return None if met.most is not None and met.least > met.most else met


def _objects(one: Object, other: Object) -> Object | None:
    names = dict.fromkeys((*one.properties, *other.properties))
    patterns = {
        pattern: both(one.patterns.get(pattern, one.rest), other.patterns.get(pattern, other.rest))
        for pattern in dict.fromkeys((*one.patterns, *other.patterns))
    }
    met = Object(
        {name: both(one.property(name), other.property(name)) for name in names},
        patterns,
        both(one.rest, other.rest),
        tuple(dict.fromkeys((*one.required, *other.required))),
        max(one.least, other.least),
        _least(one.most, other.most),
    )
    too_many = met.most is not None and max(met.least, len(met.required)) > met.most
    return None if too_many or any(met.property(name) is None for name in met.required) else met


def merged(parts: Sequence[Part]) -> list[Part]:
    """The same values in fewer parts: joins lists of values, and drops equal parts."""
    kept: list[Part] = []
    for part in parts:
        for i, old in enumerate(kept):
            if (one := _one_part(old, part)) is not None:
                kept[i] = one
                break
        else:
            kept.append(part)
    return kept


def _one_part(one: Part, other: Part) -> Part | None:
    """One part with exactly the values of both, or None if no such part exists."""
    match one, other:
        case Truth(), Truth():
            return Truth(one.values | other.values)
        case Number(values=tuple(some)), Number(values=tuple(more)) if replace(one, values=more) == other:
            return replace(one, values=tuple(dict.fromkeys((*some, *more))))
        case Text(values=tuple(some)), Text(values=tuple(more)) if replace(one, values=more) == other:
            return replace(one, values=tuple(dict.fromkeys((*some, *more))))
    return one if one == other else None


def is_step(written: float, step: Fraction) -> bool:
    """Whether the library handles this ``multipleOf`` exactly. It multiplies the number by ten until it is whole."""
    value, digits = float(written), 0
    while value % 1 and digits < 9:
        value, digits = value * 10, digits + 1
    return not value % 1 and value <= LARGEST_STEP and Fraction(int(value), 10**digits) == step


def named(part: Object, names: Sequence[Text]) -> Object | None:
    """The objects of the part whose properties all have one of these names; None if no part can express that."""
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


NeverBoth = Callable[[State, State], bool]
"""Whether it is certain that no value is valid under both states."""


def apart(parts: Sequence[Part], others: Sequence[Part], never_both: NeverBoth) -> list[Part]:
    """The parts without the values of the others. A part is left out if no part can express the difference."""
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
