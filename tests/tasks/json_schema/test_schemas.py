"""Whatever a schema says, what is written under it goes with it, or it is refused by keyword and place."""

import json
import os
import random
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from models.families.hearth_assistant import CALL_TOKENS, call_grammar
from server.errors import InvalidValue
from server.tasks.generation.grammars import Form, bytes_and, checked, require_small, rule, tool_signature
from tests.schema_cases import SCHEMAS, stands, told, validates

FEW = 120
CASES = int(os.environ.get("SCHEMA_CASES", FEW))
PLACES = re.compile(r"'([^']+)' at (?:the root|'([^']*)')")
VOCABULARY = bytes_and(())
MOST = 400


def written(grammar: str, seed: int) -> str | None:
    """A text that the grammar allows, each byte by chance; None where it goes on and on."""
    matcher = LLMatcher(VOCABULARY, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    choices, made = random.Random(seed), bytearray()
    while not matcher.is_stopped() and len(made) < MOST:
        bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")
        assert not matcher.is_error(), matcher.get_error()
        allowed = bits.nonzero()[0].tolist()
        assert allowed, "there must be a way on"
        plain = (
            [id for id in allowed if id < 128 and chr(id) in '"]}0:, a']
            or [id for id in allowed if id < 128]
            or allowed
        )
        token = 256 if 256 in allowed else choices.choice(plain if choices.random() < 0.9 else allowed)
        if token >= 256:
            return made.decode()
        made.append(token)
        matcher.consume_token(token)
    return made.decode() if matcher.is_accepting() else None


def compiled(schema: Any, *, strict: bool) -> tuple[str | None, str]:
    """The grammar, or why there is none."""
    try:
        return checked(f"start: {rule(Form(schema, 'f', strict))}", "f"), ""
    except InvalidValue as error:
        return None, error.message


def test_what_is_written_validates_or_the_schema_is_refused_by_keyword_and_place() -> None:
    seen = {"written": 0, "refused": 0, "endless": 0}

    @settings(
        max_examples=CASES, deadline=None, database=None, derandomize=CASES == FEW,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(schema=SCHEMAS, seed=st.integers(0, 2**16))
    def check(schema: Any, seed: int) -> None:
        grammar, message = compiled(schema, strict=True)
        if grammar is None:
            seen["refused"] += 1
            found = PLACES.search(message)
            assert found or "stands no schema" in message or "it is false" in message, (message, schema)
            assert not found or stands(schema, found[1], found[2] or ""), (message, schema)
            if "cannot be held to" in message:  # without `strict` all that can be said against it is another thing
                assert "cannot be held to" not in compiled(schema, strict=False)[1]
            return
        text = written(grammar, seed)
        if text is None:
            seen["endless"] += 1
            return
        seen["written"] += 1
        assert validates(json.loads(text), schema), told(schema, text)

    check()
    assert seen["written"] > CASES / 4


CANNOT = {
    "uniqueItems": {"type": "array", "uniqueItems": True, "maxItems": 2},
    "pattern": {"type": "string", "pattern": "(?=a)b"},
    "format": {"type": "string", "format": "idn-email"},
    "oneOf": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    "not": {"not": {"pattern": "a"}, "type": "string"},
    "if": {"type": "string", "if": {"pattern": "a"}, "then": {"maxLength": 3}},
    "multipleOf": {"type": "number", "multipleOf": 1e-12},
    "maxContains": {"type": "array", "contains": {"const": 1}, "maxContains": 1},
    "unevaluatedProperties": {"anyOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False, "type": "object"},
    "$dynamicRef": {"$dynamicRef": "#node"},
    "minProperties": {"type": "object", "minProperties": 3},
    "propertyNames": {"type": "object", "propertyNames": {"format": "email"}},
}


@pytest.mark.parametrize("keyword", CANNOT)
def test_what_cannot_be_held_to_is_refused_where_that_was_asked_and_left_out_elsewhere(keyword: str) -> None:
    schema = {"type": "object", "properties": {"here": CANNOT[keyword]}}
    grammar, message = compiled(schema, strict=True)
    assert grammar is None
    assert f"'{keyword}' at '/properties/here'" in message
    assert compiled(schema, strict=False)[0] is not None


@pytest.mark.parametrize(
    "remark",
    [
        {"type": "string", "format": "password"},
        {"type": "string", "title": "T", "description": "D", "$comment": "C", "x-order": 1, "nullable": True},
        {"type": "object", "propertyNames": {"type": "string"}},
        {"type": "array", "uniqueItems": False},
    ],
)
def test_remarks_bind_nobody(remark: Any) -> None:
    assert compiled(remark, strict=True)[0] is not None


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "#/$defs/A"}, "'$ref' at the root: there is no '#/$defs/A'"),
        ({"$ref": "https://example.com/a"}, "leads out of the schema"),
        ({"$ref": "#"}, "'$ref' at the root leads back to itself"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "'minimum' at the root"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "'type' at '/properties/a' must be one of"),
        ({"type": "array", "minItems": 10**6}, "'minItems' at the root is over 1000"),
        ({"const": 10**30}, "'const' at the root has a number that cannot be written exactly"),
        ({"type": "object", "properties": {"a": 5}}, "'properties' at the root must be an object of schemas"),
    ],
)
def test_what_no_answer_can_go_with_is_refused_by_keyword_and_place(schema: Any, said: str) -> None:
    for strict in (True, False):
        assert said in compiled(schema, strict=strict)[1]


def test_a_schema_that_needs_itself_without_end_is_refused() -> None:
    one = {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}, "required": ["b"]}
    other = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"]}
    assert (
        "No value goes with '$ref'" in compiled({"$ref": "#/$defs/A", "$defs": {"A": one, "B": other}}, strict=False)[1]
    )


def test_schemas_that_are_large_or_deep_are_refused_or_compiled() -> None:
    deep: Any = {}
    for _ in range(400):
        deep = (
            {"allOf": [deep, {"type": "object", "properties": {"a": deep}}]}
            if len(str(deep)) < 2000
            else {"items": deep}
        )
    wide = {"allOf": [{"anyOf": [{"properties": {f"p{i}{j}": {}}} for j in range(12)]} for i in range(9)]}
    many = {"type": "object", "properties": {f"p{i}": {"type": "string", "pattern": f"^a{i}"} for i in range(6000)}}
    for schema in (deep, wide, many):
        grammar, message = compiled(schema, strict=False)
        assert (grammar is None) == bool(message)


@pytest.mark.parametrize("kind", ["integer", "number"])
def test_digits_have_an_end(kind: str) -> None:
    grammar, _ = compiled({"type": kind}, strict=True)
    matcher = LLMatcher(VOCABULARY, grammar, log_level=0)
    digits = 0
    while matcher.consume_token(ord("9")):
        digits += 1
    assert digits == 15


@pytest.mark.parametrize("factor", [2, 2.0, 7, 0.5])
def test_multiples_are_written_beside_nulls_in_a_call(factor: float) -> None:
    """llguidance panicked at multiples of 2 in a call, and the schema was called too large."""
    properties = {"a": {"type": "null"}, "day": {"type": "null"}, "b": {"type": "number", "multipleOf": factor}}
    schema = {"type": "object", "properties": properties, "required": ["a"]}
    tool = tool_signature("f", schema, "tools", strict=False)
    for required in (False, True):
        checked(call_grammar([tool], required=required, several=True), "tools", CALL_TOKENS)


def test_a_patterns_cost_does_not_grow_out_of_hand() -> None:
    """The patterns of clients never reach ``re``, which would take hours over this."""
    schema = {"enum": ["a" * 40 + "!", "b"], "pattern": "^(a+)+$|^b$"}
    grammar, _ = compiled(schema, strict=True)
    assert written(grammar or "", 0) == '"b"'


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "string", "pattern": "^(a?){600}a{600}$"}, "pattern"),
    ],
)
def test_what_is_too_large_to_be_held_to_is_refused_before_anything_is_queued(schema: Any, keyword: str) -> None:
    around = {"type": "object", "properties": {"day": {"type": "string"}, "x": schema}, "required": ["x"]}
    message = compiled(around, strict=False)[1]
    assert f"'{keyword}' at '/properties/x'" in message
    assert "too large" in message
    with pytest.raises(InvalidValue, match=f"'{keyword}' at '/properties/x'"):
        require_small(around, "tools")


def test_hundreds_of_properties_are_no_trouble() -> None:
    schema = {"type": "object", "properties": {f"p{i}": {"type": "integer"} for i in range(1000)}}
    assert compiled(schema, strict=True)[0] is not None


def test_thousands_of_values_are_no_trouble() -> None:
    schema = {"enum": [f"value {i}" for i in range(5000)], "type": "string"}
    text = written(compiled(schema, strict=True)[0] or "", 3)
    assert json.loads(text or "") in schema["enum"]
