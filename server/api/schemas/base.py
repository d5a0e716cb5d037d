"""What all bodies on the wire have in common: strictness, neutral fields, and inputs of several shapes."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from server.tasks import results

MAX_ID = 2**31 - 1


class RequestBody(BaseModel):
    """A JSON object a client sends. No field is ever ignored: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Fields of the peer's API that are accepted only where they ask for nothing: with one of these values.
    They are refused by name otherwise, and no part of our schema."""

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, data: Any) -> Any:
        """Drop what is null (not given) and neutral; refuse what is neither known nor neutral."""
        if not isinstance(data, dict):
            return data
        kept = {}
        for name, value in data.items():
            if name in cls.neutral:
                _require_neutral(name, value, cls.neutral[name])
            elif name not in cls.model_fields:
                known = [*cls.model_fields, *cls.neutral]
                raise PydanticCustomError("extra_forbidden", "unknown field", {"field": name, "known": known})
            elif value is not None:
                kept[name] = value
        return kept


def _require_neutral(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value is None or any(type(value) is type(one) and value == one for one in allowed):
        return
    only = f"only {' or '.join(map(_literal, allowed))} is accepted." if allowed else "leave it out."
    refuse(name, f"no model here can honour it; {only}")


def _literal(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


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
    """A JSON object we send. Only fields that were set are sent."""

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


def _error(message: str) -> PydanticCustomError:
    return PydanticCustomError("input_shape", "{message}", {"message": message})


def _texts(value: Any) -> str | list[str]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise _error("send a string or a list of strings")
    if not value:
        raise _error("the list is empty")
    for i, item in enumerate(value):
        if not isinstance(item, str):
            raise _error(f"item {i} is not a string")
    return value


def _prompts(value: Any) -> str | list[str] | list[int] | list[list[int]]:
    if isinstance(value, list) and value and isinstance(value[0], int):
        return token_ids(value, "item")
    if isinstance(value, list) and value and isinstance(value[0], list):
        for i, item in enumerate(value):
            if not isinstance(item, list) or not item:
                raise _error(f"item {i} is not a list of token ids with at least one id")
            token_ids(item, f"item {i}, id")
        return value
    if not isinstance(value, str | list):
        raise _error("send a string, a list of strings, token ids, or a list of lists of token ids")
    return _texts(value)


def token_ids(value: list[Any], what: str) -> list[int]:
    """Check a list of token ids.

    Raises:
        PydanticCustomError: an item is none; it is called ``what`` and its place.
    """
    for i, item in enumerate(value):
        if type(item) is not int or not 0 <= item <= MAX_ID:
            raise _error(f"{what} {i} is not a token id")
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
        description="Id of a model; may be left out where only one model serves the task.",
    ),
]


def as_list(value: str | list[str]) -> list[str]:
    """One text as a list of one."""
    return [value] if isinstance(value, str) else value
