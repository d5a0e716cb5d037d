"""Schemas nobody thought of, over the keywords of JSON Schema's own test suite, and who judges what comes of them.

Numbers are small and steps are halves, quarters or whole: the judge divides floats. Patterns are those that Python and
the library read alike. Schemas nest, refer to each other and to themselves, contradict themselves, and are malformed.
"""

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
from hypothesis import strategies as st

NAMES = ("a", "b", "day", "x-y", "größe", "a b")
WORDS = ("Monday", "Friday", "", " ", "5", "true", "null", "a\nb", 'say "hi"', "<|arg|>", "ü", "[1]", "{}", "1.0", "\\")
PATTERNS = ("^[a-c]+$", "[0-9]{2}", "^x", "o$", "^(ab|cd){1,3}$", ".", "^[^a]*$", "^\\d{3}-\\d{2}$", "(?=a)b", "[")
FORMATS = ("date", "date-time", "time", "email", "uuid", "ipv4", "uri", "hostname", "password", "idn-email", "phone")

numbers = st.integers(-20, 20) | st.sampled_from([0.5, -1.25, 2.75, 100.5, 10**6, -(10**9), 1e-3])
counts = st.integers(0, 4)
scalars = st.none() | st.booleans() | numbers | st.sampled_from(WORDS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=4,
)
types = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
references = st.sampled_from(["#/$defs/A", "#/$defs/B", "#/$defs/A", "#"])


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas of one level more: mostly of one type and its keywords, sometimes of any keywords."""
    number = {"minimum": numbers, "maximum": numbers, "exclusiveMinimum": numbers, "exclusiveMaximum": numbers,
              "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.25, 1.5, 10])}  # fmt: skip
    text = {"minLength": counts, "maxLength": st.integers(0, 9), "pattern": st.sampled_from(PATTERNS),
            "format": st.sampled_from(FORMATS)}  # fmt: skip
    array = {"items": inner, "prefixItems": st.lists(inner, max_size=2), "minItems": counts, "maxItems": counts,
             "uniqueItems": st.booleans(), "contains": inner, "minContains": counts, "maxContains": counts,
             "unevaluatedItems": inner}  # fmt: skip
    names = st.sampled_from(NAMES)
    some_names = st.lists(names, max_size=2, unique=True)
    record = {"properties": st.dictionaries(names, inner, max_size=3), "required": some_names,
              "additionalProperties": st.just(False) | inner, "minProperties": counts, "maxProperties": counts,
              "patternProperties": st.dictionaries(st.sampled_from(PATTERNS), inner, max_size=2),
              "propertyNames": inner, "unevaluatedProperties": inner,
              "dependentRequired": st.dictionaries(names, some_names, max_size=1),
              "dependentSchemas": st.dictionaries(names, inner, max_size=1)}  # fmt: skip
    some = st.lists(inner, min_size=1, max_size=3)
    together = {"allOf": some, "anyOf": some, "oneOf": some, "not": inner, "if": inner, "then": inner, "else": inner,
                "enum": st.lists(values, min_size=1, max_size=4), "const": values, "$ref": references}  # fmt: skip
    remarks = {"title": st.just("T"), "description": st.just("D"), "default": values, "examples": st.just([1]),
               "x-more": values, "$comment": st.just("C"), "deprecated": st.just(True)}  # fmt: skip

    def typed(name: str, keywords: Mapping[str, Any], least: int = 0) -> st.SearchStrategy[Any]:
        return _of({"type": st.just(name)}, keywords, least)

    closed = {"type": st.just("object"), "additionalProperties": st.just(False),
              "properties": st.dictionaries(names, inner, min_size=1, max_size=3)}  # fmt: skip
    several = {"type": st.lists(types, min_size=1, max_size=3, unique=True)}
    every = {**number, **text, **array, **record, **together}
    return st.one_of(
        typed("integer", number), typed("number", number), typed("string", text), typed("array", array),
        typed("object", record), _of(closed, {"required": record["required"], **remarks}),
        _of({}, together, 1), _of(several, {**number, **text, **array}),
        _of({}, {**every, **remarks, "type": types}),
        st.booleans(), st.just({}),
        st.dictionaries(st.sampled_from([*every, "type"]), values, min_size=1, max_size=1),
    )  # fmt: skip


def _of(always: Mapping[str, Any], keywords: Mapping[str, Any], least: int = 0) -> st.SearchStrategy[Any]:
    """A few of the keywords: of many there is mostly no value."""
    if not keywords:
        return st.fixed_dictionaries(dict(always))
    chosen = st.lists(st.sampled_from(sorted(keywords)), min_size=least, max_size=3, unique=True)
    return chosen.flatmap(lambda some: st.fixed_dictionaries({**always, **{key: keywords[key] for key in some}}))


inside = st.recursive(
    _of({"type": types}, {}) | st.builds(lambda value: {"const": value}, values), schemas, max_leaves=6
)
SCHEMAS = st.builds(
    lambda schema, a, b: {**(schema if isinstance(schema, dict) else {"allOf": [schema]}), "$defs": {"A": a, "B": b}},
    schemas(inside), inside, inside,
)  # fmt: skip
PARAMETERS = st.builds(
    lambda properties, required, more, a, b: {
        "type": "object", "properties": properties, "required": [name for name in properties if name in required],
        **more, "$defs": {"A": a, "B": b},
    },
    st.dictionaries(st.sampled_from(NAMES), inside, min_size=1, max_size=3),
    st.lists(st.sampled_from(NAMES), max_size=4),
    st.sampled_from([{}, {"additionalProperties": False}, {"minProperties": 1}, {"description": "D"}]),
    inside, inside,
)  # fmt: skip


def validates(value: Any, schema: Any) -> bool:
    """Whether the judge takes the value; its own formats bind nobody, as drafts from 2019 on have it."""
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def stands(schema: Any, keyword: str, place: str) -> bool:
    """Whether the keyword is where a message says that it stands."""
    at = schema
    for step in place.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        at = at[int(key)] if isinstance(at, list) else at[key]
    return keyword in at


def told(schema: Any, answer: str) -> Any:
    """An answer's value, for failures that can be read."""
    return f"{json.dumps(schema)} -> {answer[:300]}"
