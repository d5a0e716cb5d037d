"""The parts that bodies on the wire share: strictness, neutral fields, inputs of several shapes, log-probabilities."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from server.api.schemas.inert import ANYTHING, Neutral, Table
from server.tasks import results
from server.tasks.results import TokenText

MAX_ID = 2**31 - 1


ignored: ContextVar[set[str] | None] = ContextVar("ignored", default=None)
"""Collects the names of ignored fields. None: unknown fields are refused."""


class RequestBody(BaseModel):
    """A JSON object that a client sends. Unknown fields are refused, or ignored if the operator has set it so."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    inert: ClassVar[Table] = {}
    """Fields outside our schema, with the values that ask for nothing and are therefore accepted. For a field of our
    schema: further values that mean the same as leaving it out."""

    neutral: ClassVar[Table] = {}
    """The same for fields that decide what an answer is about: they are never ignored when they ask for something."""

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, data: Any) -> Any:
        return screen(data, cls.model_fields, cls.inert, cls.neutral) if isinstance(data, dict) else data


def screen(
    data: Mapping[str, Any],
    known: Collection[str],
    inert: Table = MappingProxyType({}),
    neutral: Table = MappingProxyType({}),
    where: str = "",
) -> dict[str, Any]:
    """The fields of an object without those that are null or neutral.

    Args:
        data: what a client sent.
        known: names of the fields that are honoured.
        inert, neutral: as in ``RequestBody``.
        where: written before a field's name in an error.

    Raises:
        PydanticCustomError: a field is neither known nor asks for nothing.
    """
    kept = {}
    for name, value in data.items():
        if value is None:
            continue
        if name in known:
            if not (
                (name in inert and _is_off(value, inert[name])) or (name in neutral and _is_off(value, neutral[name]))
            ):
                kept[name] = value
        elif name in neutral:
            _require_neutral(where + name, value, neutral[name])
        elif (names := ignored.get()) is not None:
            if name not in inert or asking(name, value, inert[name]) is not None:
                names.add(name)
        elif name in inert:
            _require_neutral(where + name, value, inert[name])
        else:
            facts = {"field": where + name, "known": [*known, *inert, *neutral]}
            raise PydanticCustomError("extra_forbidden", "unknown field", facts)
    return kept


def _is_off(value: Any, allowed: Neutral) -> bool:
    """Whether a value of an honoured field means the same as leaving the field out."""
    return isinstance(allowed, tuple) and any(_same(value, one) for one in allowed)


def _require_neutral(name: str, value: Any, allowed: Neutral) -> None:
    if (found := asking(name, value, allowed)) is not None:
        field, values = found
        telling = [_literal(each) for each in values if each not in ("", [], {})]
        only = f"only {' or '.join(telling)} is accepted." if telling else "leave it out."
        refuse(field, f"no model here can honour it; {only}")


def asking(name: str, value: Any, allowed: Neutral) -> tuple[str, Sequence[Any]] | None:
    """The name of the field that asks for something, with its neutral values; of an object, the first field in it.
    None if no field does."""
    if value is None or allowed is ANYTHING:
        return None
    if isinstance(allowed, Mapping):
        if not isinstance(value, dict):
            return name, ()
        found = (asking(f"{name}.{inner}", one, allowed.get(inner, ())) for inner, one in value.items())
        return next((each for each in found if each is not None), None)
    return None if any(_same(value, one) for one in allowed) else (name, allowed)


def _same(value: Any, other: Any) -> bool:
    """Equality as in JSON: 1 and 1.0 are the same number, and true is not a number."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else repr(value)


def refuse(field: str, why: str) -> None:
    """Refuse a field that is well formed but cannot be honoured.

    Raises:
        PydanticCustomError: always; it becomes an ``UnsupportedParameter``.
    """
    raise PydanticCustomError("unsupported_parameter", "unsupported", {"field": field, "why": why})


def invalid(field: str, message: str) -> PydanticCustomError:
    """Make the error for a field whose value does not go with the other fields."""
    return PydanticCustomError("invalid_value", "{message}", {"field": field, "message": message})


class ResponseBody(BaseModel):
    """A JSON object that the server sends. Only fields that were set are sent."""

    model_config = ConfigDict(extra="forbid")


class Usage(ResponseBody):
    """Tokens read and made."""

    prompt_tokens: int = Field(description="Tokens of the input.", examples=[5])
    completion_tokens: int = Field(description="Tokens of the output.", examples=[4])
    total_tokens: int = Field(description="Both together.", examples=[9])

    @classmethod
    def of(cls, usage: results.Usage) -> "Usage":
        """Encode."""
        total = usage.prompt_tokens + usage.completion_tokens
        return cls(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens, total_tokens=total)


def shape_error(message: str) -> PydanticCustomError:
    """Make the error for a field's own value, which its location names."""
    return PydanticCustomError("input_shape", "{message}", {"message": message})


def _texts(value: Any) -> str | list[str]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise shape_error("send a string or a list of strings")
    if not value:
        raise shape_error("the list is empty")
    for i, item in enumerate(value):
        if not isinstance(item, str):
            raise shape_error(f"item {i} is not a string")
    return value


def _prompts(value: Any) -> str | list[str] | list[int] | list[list[int]]:
    if isinstance(value, list) and value and isinstance(value[0], int):
        return token_ids(value, "item")
    if isinstance(value, list) and value and isinstance(value[0], list):
        for i, item in enumerate(value):
            if not isinstance(item, list) or not item:
                raise shape_error(f"item {i} is not a list of token ids with at least one id")
            token_ids(item, f"item {i}, id")
        return value
    if not isinstance(value, str | list):
        raise shape_error("send a string, a list of strings, token ids, or a list of lists of token ids")
    return _texts(value)


def token_ids(value: list[Any], what: str) -> list[int]:
    """Check a list of token ids.

    Raises:
        PydanticCustomError: an item is not a token id. The message calls it ``what`` and says its place.
    """
    for i, item in enumerate(value):
        if type(item) is not int or not 0 <= item <= MAX_ID:
            raise shape_error(f"{what} {i} is not a token id")
    return value


Texts = Annotated[str | list[str], PlainValidator(_texts, json_schema_input_type=str | list[str])]
"""One text or several; never an empty list."""

Prompts = Annotated[
    str | list[str] | list[int] | list[list[int]],
    PlainValidator(_prompts, json_schema_input_type=str | list[str] | list[int] | list[list[int]]),
]
"""Texts, or their token ids; never an empty list."""

ModelName = Annotated[
    str | None,
    Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Id of a model. It may be left out if only one model serves the task.",
    ),
]


def as_list(value: str | list[str]) -> list[str]:
    """One text as a list of one."""
    return [value] if isinstance(value, str) else value


class TokenLogprob(TypedDict):
    """A token and its log-probability. Dictionaries, since an answer can have tens of thousands."""

    token: str
    logprob: float
    bytes: list[int]


class ChosenLogprob(TokenLogprob):
    """A token of the answer."""

    top_logprobs: list[TokenLogprob]


def chosen_logprobs(tokens: Iterable[TokenText], top: int) -> list[ChosenLogprob]:
    """Encode tokens, each with ``top`` of the likeliest at its place."""
    return [
        {
            "token": token.text,
            "logprob": token.logprob,
            "bytes": list(token.bytes),
            "top_logprobs": [
                {"token": one.text, "logprob": one.logprob, "bytes": list(one.bytes)} for one in token.top[:top]
            ],
        }
        for token in tokens
    ]


class Logprobs(ResponseBody):
    """The tokens of an answer, or of a part of one. `TokenJson` fills them in, encoded."""

    content: list[ChosenLogprob]
    refusal: None = None
