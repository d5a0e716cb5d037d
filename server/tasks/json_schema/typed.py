"""The keywords that constrain values of one type, and the numbers, texts, lists and objects that they allow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from server.tasks.json_schema.document import BINDING, TYPES, Document
from server.tasks.json_schema.library import ENFORCED_FORMATS, STANDARD_FORMATS, is_pattern
from server.tasks.json_schema.parts import (
    ANY,
    List,
    Null,
    Number,
    Object,
    Part,
    State,
    Text,
    Truth,
    exactly,
    is_step,
    meet,
    named,
)

KINDS = tuple(name for name in TYPES if name != "integer")
ANY_PARTS: Sequence[Part] = (Null(), Truth(), Number(), Text(), List(), Object())
TOGETHER = frozenset(
    [
        "const",
        "enum",
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
    ]
)
"""Keywords that apply other schemas to the same value, or that list values."""
TYPED = BINDING - TOGETHER


class Typed:
    """Reads the keywords for values of one type at the places of a document.

    Args:
        document: the document with the schemas.
        expand: returns the parts of a state.

    Raises:
        InvalidValue: in the methods: the document is strict and has a keyword that cannot be enforced.
    """

    def __init__(self, document: Document, expand: Callable[[State], Sequence[Part]]) -> None:
        self._document = document
        self._expand = expand

    def state(self, place: str) -> State:
        """The state of a value that the schema at this place constrains."""
        if self._document.at(place) is False:
            return None
        return (place,) if self._document.binds(place) else ANY

    def inside(self, place: str, *keys: str | int) -> State:
        """The state of a value that the schema below this place constrains."""
        return self.state(self._document.inside(place, *keys))

    def parts(self, place: str, schema: Mapping[str, Any]) -> Sequence[Part]:
        """The parts that the schema's keywords for single types allow."""
        if not schema.keys() & TYPED:
            return ANY_PARTS
        wanted = schema.get("type", list(KINDS))
        wanted = [wanted] if isinstance(wanted, str) else wanted
        parts: list[Part] = []
        for kind in dict.fromkeys("number" if name == "integer" else name for name in wanted):
            part: Part | None
            match kind:
                case "null":
                    part = Null()
                case "boolean":
                    part = Truth()
                case "number":
                    part = self._number(place, schema, whole="number" not in wanted)
                case "string":
                    part = self._text(place, schema)
                case "array":
                    part = self._list(place, schema)
                case _:
                    part = self._object(place, schema)
            if part is not None:
                parts.append(part)
        return parts

    def _number(self, place: str, schema: Mapping[str, Any], *, whole: bool) -> Number | None:
        part: Part | None = Number(whole=whole)
        for low, high in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            opened = schema.get(high)
            bounds = [(schema.get(low), opened is True), (None if isinstance(opened, bool) else opened, True)]
            for bound, is_open in bounds:
                if bound is None or part is None:
                    continue
                if low == "minimum":
                    part = meet(part, Number(low=exactly(bound), low_open=is_open))
                else:
                    part = meet(part, Number(high=exactly(bound), high_open=is_open))
        if "multipleOf" in schema and part is not None:
            step = exactly(schema["multipleOf"])
            if is_step(schema["multipleOf"], step):
                part = meet(part, Number(step=step))
            else:
                self._document.unheld(place, "multipleOf")
        return part if isinstance(part, Number) else None

    def _text(self, place: str, schema: Mapping[str, Any]) -> Text | None:
        patterns, formats = schema.get("pattern"), schema.get("format")
        if patterns is not None and not is_pattern(patterns):
            self._document.unheld(place, "pattern")
            patterns = None
        if formats is not None and formats not in ENFORCED_FORMATS:
            if formats in STANDARD_FORMATS:
                self._document.unheld(place, "format")
            formats = None
        most = schema.get("maxLength")
        least = int(schema.get("minLength", 0))
        if most is not None and least > most:
            return None
        return Text(
            least,
            None if most is None else int(most),
            () if patterns is None else (patterns,),
            () if formats is None else (formats,),
        )

    def _list(self, place: str, schema: Mapping[str, Any]) -> List | None:
        items, first = schema.get("items", True), "prefixItems"
        rest = "items" if "items" in schema else None
        if isinstance(items, list):
            first, rest = "items", "additionalItems" if "additionalItems" in schema else None
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        states = tuple(self.inside(place, first, i) for i in range(len(schema.get(first, ()))))
        part = List(states, self.inside(place, rest) if rest else ANY, least, None if most is None else int(most))
        if schema.get("uniqueItems") and (part.most is None or part.most > 1):
            self._document.unheld(place, "uniqueItems")
        if schema.get("unevaluatedItems", True) is not True:
            part = self._unevaluated(place, "unevaluatedItems", part, closed=rest is not None)
        if part.most is not None and part.least > part.most:
            return None
        return self._containing(place, schema, part) if "contains" in schema else part

    def _containing(self, place: str, schema: Mapping[str, Any], part: List) -> List | None:
        """Apply ``contains`` to the first ``minContains`` items of the list.

        JSON Schema allows the items at any index, but a part can count items only at the beginning of a list.
        """
        wanted = int(schema.get("minContains", 1))
        if "maxContains" in schema:
            self._document.unheld(place, "maxContains")
        state = self.inside(place, "contains")
        length = max(wanted, len(part.first))
        first = [part.item(i) for i in range(length)]
        for i in range(wanted):
            first[i] = None if first[i] is None or state is None else tuple(dict.fromkeys((*first[i], *state)))  # type: ignore[misc]
        met = meet(part, List(least=wanted))
        return replace(met, first=tuple(first)) if isinstance(met, List) and wanted else part if not wanted else None

    def _object(self, place: str, schema: Mapping[str, Any]) -> Object | None:
        patterns = {}
        for pattern in schema.get("patternProperties", {}):
            if is_pattern(pattern):
                patterns[pattern] = self.inside(place, "patternProperties", pattern)
            else:
                self._document.unheld(place, "patternProperties")
        rest = self.inside(place, "additionalProperties") if "additionalProperties" in schema else ANY
        most = schema.get("maxProperties")
        part = Object(
            {},
            patterns,
            rest,
            tuple(dict.fromkeys(schema.get("required", ()))),
            int(schema.get("minProperties", 0)),
            None if most is None else int(most),
        )
        properties = {}
        for name in schema.get("properties", {}):
            state = self.inside(place, "properties", name)
            met = Object(patterns=patterns).property(name)
            properties[name] = None if state is None or met is None else tuple(dict.fromkeys((*state, *met)))
        part = replace(part, properties=properties)
        if schema.get("unevaluatedProperties", True) is not True:
            part = self._unevaluated(place, "unevaluatedProperties", part, closed="additionalProperties" in schema)
        found = part if "propertyNames" not in schema else self._named(place, part)
        too_few = found.most is not None and found.least > found.most
        return None if too_few or any(found.property(name) is None for name in found.required) else found

    def _named(self, place: str, part: Object) -> Object:
        names = [each for each in self._expand(self.inside(place, "propertyNames")) if isinstance(each, Text)]
        made = named(part, names)
        if made is None:
            self._document.unheld(place, "propertyNames")
        return part if made is None else made

    def _unevaluated(self, place: str, keyword: str, part: Any, *, closed: bool) -> Any:
        """Apply ``unevaluatedItems`` or ``unevaluatedProperties`` to the rest of a list or an object.

        That is exact only if no other keyword at this place evaluates items or properties.
        """
        if closed:
            return part
        others = {"allOf", "anyOf", "oneOf", "$ref", "if", "not", "dependentSchemas", "contains", "$dynamicRef"}
        if others & set(self._document.binds(place)):
            self._document.unheld(place, keyword)
            return part
        return replace(part, rest=self.inside(place, keyword))
