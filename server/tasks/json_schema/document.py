"""A JSON Schema as the client sent it: the places of its inner schemas, the targets of references, checks of keywords.

Drafts 4 to 2020-12 are read alike. A schema of any draft may use ``definitions``, a list as ``items`` and exclusive
bounds that are true or false.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, NoReturn
from urllib.parse import unquote

from server.errors import InvalidValue

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
MOST_SCHEMAS = 5_000
"""The most schemas in one document, with schemas that the server adds for constants."""
MOST_SAID = 6
"""The most keywords that one message names."""
MOST_COUNT = 1_000
"""The largest number of items or properties in a keyword. Lengths of texts have no such limit."""

_PLACE = re.compile("[0-9]{1,6}")
"""The index of a list's item in a JSON pointer."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_schema(value: Any) -> bool:
    return isinstance(value, Mapping | bool)


def _are_schemas(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_schema, value))


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_map(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Mapping) and all(map(of, value.values()))


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(each, str) and each in TYPES for each in names)


NUMBER = (_is_number, "a number")
COUNT = (_is_count, "a whole number, 0 or more")
SCHEMA = (_is_schema, "a schema: an object, true or false")
SCHEMAS = (lambda value: _are_schemas(value) and bool(value), "a list of schemas")
NAMED = (_is_map(_is_schema), "an object of schemas")
BOUND = (lambda value: _is_number(value) or isinstance(value, bool), "a number")
TEXT = (lambda value: isinstance(value, str), "text")

WELL_FORMED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_is_type, f"one of {', '.join(TYPES)}, or a list of them"),
    "enum": (lambda value: isinstance(value, list) and bool(value), "a list of values"),
    **dict.fromkeys(("minimum", "maximum"), NUMBER),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), BOUND),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number over 0"),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains"), COUNT),
    **dict.fromkeys(("minProperties", "maxProperties"), COUNT),
    **dict.fromkeys(("pattern", "format", "$ref", "$dynamicRef", "$recursiveRef"), TEXT),
    "items": (lambda value: _is_schema(value) or _are_schemas(value), "a schema or a list of schemas"),
    "prefixItems": (_are_schemas, "a list of schemas"),
    **dict.fromkeys(("additionalItems", "contains", "unevaluatedItems", "additionalProperties"), SCHEMA),
    **dict.fromkeys(("unevaluatedProperties", "propertyNames", "not", "if", "then", "else"), SCHEMA),
    "uniqueItems": (lambda value: isinstance(value, bool), "true or false"),
    **dict.fromkeys(("properties", "patternProperties", "dependentSchemas"), NAMED),
    "required": (_are_names, "a list of names"),
    "dependentRequired": (_is_map(_are_names), "an object of lists of names"),
    "dependencies": (_is_map(lambda one: _is_schema(one) or _are_names(one)), "an object of schemas or lists of names"),
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), SCHEMAS),
    **dict.fromkeys(("$defs", "definitions"), (lambda value: isinstance(value, Mapping), "an object of schemas")),
}
"""The keywords that constrain a value, except ``const``, each with a check and the text of its refusal. All other
keywords are ignored as annotations."""
BINDING = frozenset({*WELL_FORMED, "const"}) - {
    "then",
    "else",
    "minContains",
    "maxContains",
    "additionalItems",
    "$defs",
    "definitions",
}
HOLDERS = frozenset("$defs definitions properties patternProperties dependentSchemas dependencies".split())  # noqa: SIM905
"""Keywords whose values are objects of schemas by name."""
INSIDE = (
    HOLDERS
    | {key for key, (right, _) in WELL_FORMED.items() if right in (_is_schema, SCHEMAS[0], _are_schemas)}
    | {"items"}
)
COUNTS = ("minItems", "maxItems", "minContains", "minProperties", "maxProperties")


class Document:
    """One schema with all schemas inside it. A *place* is the JSON pointer of an inner schema.

    Args:
        root: the schema as the client sent it.
        field: the request's field that holds the schema.
        strict: refuse keywords that cannot be enforced. If False, they are left out.

    Raises:
        InvalidValue: here and in the methods: the schema is malformed or too large, or it is strict and has a keyword
            that cannot be enforced.
    """

    def __init__(self, root: Any, field: str, *, strict: bool) -> None:
        self.field = field
        self._strict = strict
        self._known: dict[str, Any] = {"": root}
        self._checked: set[str] = set()
        self._meant: dict[str, tuple[str, str]] = {}
        self._left = MOST_SCHEMAS
        self._walk("")

    def at(self, place: str) -> Mapping[str, Any] | bool:
        """The schema at a place, after a check of its keywords."""
        found = self._known[place]
        if place not in self._checked:
            self._left -= 1
            if self._left < 0:
                raise InvalidValue(f"The schema is too large: it comes to over {MOST_SCHEMAS} schemas.", self.field)
            self._checked.add(place)
            self._check(place, found)
        return found  # type: ignore[no-any-return]  # it was checked

    def inside(self, place: str, *keys: str | int) -> str:
        """The place of the schema that these keys lead to, from the schema at ``place``."""
        value, pointer = self._known[place], place
        for key in keys:
            value = value[key]
            pointer += "/" + str(key).replace("~", "~0").replace("/", "~1")
        self._known[pointer] = value
        return pointer

    def made(self, place: str, key: str, schema: Mapping[str, Any], said: tuple[str, str]) -> str:
        """Add a schema that the document does not write out, such as that of an item of a constant list.

        Args:
            place: the place to add the schema below.
            key: the schema's key there.
            schema: the schema.
            said: the keyword that implies the schema, and the keyword's place, for messages.

        Returns:
            The schema's place.
        """
        pointer = f"{place}/{key}"
        self._known[pointer] = schema
        self._meant[pointer] = self._meant.get(said[1], said)
        return pointer

    def binds(self, place: str) -> list[str]:
        """The keywords at a place that constrain the value, in the schema's order."""
        schema = self.at(place)
        return [] if isinstance(schema, bool) else [key for key in schema if key in BINDING]

    def target(self, place: str, reference: str) -> str:
        """The place that a ``$ref`` refers to.

        Args:
            place: the place of the schema with the ``$ref``, for messages.
            reference: the value of the ``$ref``.

        Raises:
            InvalidValue: the reference leads out of the document or to no schema.
        """
        root = self._known[""]
        own = root.get("$id") if isinstance(root, Mapping) else None
        if isinstance(own, str) and own.rstrip("#") and reference.split("#")[0] == own.rstrip("#"):
            reference = "#" + reference.partition("#")[2]
        if reference in ("#", "#/"):
            return ""
        if not reference.startswith("#"):
            where = f"'$ref' at {told(place)} leads out of the schema"
            self.refuse(f"{where}, to '{reference[:80]}'; include that schema in '$defs'")
        pointer = unquote(reference[1:])
        if not pointer.startswith("/"):
            return self._anchor(place, pointer)
        value, at = root, ""
        for step in pointer[1:].split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, Mapping) and key in value:
                value = value[key]
            elif isinstance(value, list) and _PLACE.fullmatch(key) and int(key) < len(value):
                value = value[int(key)]
            else:
                self.refuse(f"'$ref' at {told(place)}: there is no '{reference[:80]}'")
            at += "/" + step
        self._known[at] = value
        return at

    def _anchor(self, place: str, name: str) -> str:
        root = self._known[""]
        for holder in ("$defs", "definitions"):
            for key, schema in (root.get(holder) or {}).items():
                if isinstance(schema, Mapping) and name in (schema.get("$anchor"), str(schema.get("$id")).lstrip("#")):
                    return self.inside("", holder, key)
        self.refuse(f"'$ref' at {told(place)}: there is no '#{name[:80]}'")

    def bearer(self, places: Sequence[str], keyword: str) -> str:
        """The place of the schema that has the keyword, among all schemas that constrain the same value as these.

        The result is the first of the given places if no schema has the keyword.
        """
        waiting, seen = list(places), set(places)
        while waiting:
            place = waiting.pop(0)
            schema = self.at(place)
            if isinstance(schema, bool):
                continue
            if keyword in schema:
                return place
            below = [(key, i) for key in ("allOf", "anyOf", "oneOf") for i in range(len(schema.get(key, ())))]
            below += [("dependentSchemas", name) for name in schema.get("dependentSchemas", ())]
            found = [
                self.inside(place, *keys) for keys in [*below, *((key,) for key in ("then", "else") if key in schema)]
            ]
            found += [self.target(place, schema["$ref"])] if "$ref" in schema else []
            waiting += [each for each in found if each not in seen]
            seen.update(found)
        return places[0]

    def unheld(self, place: str, keyword: str) -> None:
        """Report that a keyword cannot be enforced. A strict document refuses it; otherwise the caller leaves it out.

        Raises:
            InvalidValue: the document is strict.
        """
        if self._strict:
            self.refuse(
                f"'{keyword}' at {told(place)} cannot be held to while an answer is written, as it stands here. "
                "Leave it out, or leave out 'strict'"
            )

    def nothing(self, places: Sequence[str]) -> None:
        """Refuse the schema because no value is valid under the schemas at these places.

        Raises:
            InvalidValue: always.
        """
        keywords = self.said(places)
        if not keywords:
            self.refuse(f"No value goes with the schema at {told(places[0] if places else '')}: it is false")
        self.refuse(f"No value goes with {', '.join(keywords)}")

    def said(self, places: Sequence[str]) -> list[str]:
        """The constraining keywords at these places, each with its place, as texts for messages."""
        found = [self._meant.get(place, (key, place)) for place in places for key in self.binds(place)]
        return [f"'{key}' at {told(place)}" for key, place in dict.fromkeys(found)][:MOST_SAID]

    def _walk(self, place: str) -> None:
        """Check all inner schemas, including those that no reference or keyword uses."""
        schema = self.at(place)
        for key in () if isinstance(schema, bool) else schema.keys() & INSIDE:
            value = schema[key]  # type: ignore[index]  # it has keys
            below: list[tuple[str | int, ...]]
            if isinstance(value, Mapping) and key in HOLDERS:
                below = [
                    (key, name) for name, each in value.items() if key != "dependencies" or not isinstance(each, list)
                ]
            elif isinstance(value, list):
                below = [(key, i) for i in range(len(value))]
            else:
                below = [(key,)]
            for keys in below:
                self._walk(self.inside(place, *keys))

    def _check(self, place: str, schema: Any) -> None:
        if not _is_schema(schema):
            self.refuse(f"At {told(place)} stands no schema, which is an object, true or false")
        if isinstance(schema, bool):
            return
        for key, value in schema.items():
            if key not in WELL_FORMED:
                continue
            is_right, right = WELL_FORMED[key]
            if not is_right(value):
                self.refuse(f"'{key}' at {told(place)} must be {right}")
            if key in COUNTS and value > MOST_COUNT:
                self.refuse(f"'{key}' at {told(place)} is over {MOST_COUNT}, the most that can be counted")

    def refuse(self, why: str) -> NoReturn:
        """Refuse the schema for this reason.

        Raises:
            InvalidValue: always.
        """
        raise InvalidValue(f"The schema cannot be used: {why}.", self.field)


def told(place: str) -> str:
    """A place as messages write it."""
    return f"'{place[:200]}'" if place else "the root"
