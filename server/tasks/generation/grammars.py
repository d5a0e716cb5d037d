"""Grammars of answers and calls, made of JSON Schemas. Refuses a schema that cannot be enforced before it is queued.

``server/tasks/json_schema`` reads every schema. The library llguidance compiles the result
(``server/engines/step/grammar.py`` says why this library), and the engine enforces it token by token. This module knows
no models.
"""

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from models.signatures import Signature
from server.engines.step.grammar import OWN
from server.errors import InvalidValue
from server.tasks.json_schema.arguments import signature
from server.tasks.json_schema.document import Document, told
from server.tasks.json_schema.library import OPTIONS
from server.tasks.json_schema.shapes import Endless, Shapes
from server.tasks.json_schema.writing import Writing

KEPT, KEPT_CHARACTERS = 64, 100_000
"""The number of schemas and grammars that are cached, and the longest that is cached, in characters."""


_IDS = re.compile(r"<\[(\d+)\]>")
STEPS, CLOSING, ENDING = 64, frozenset(b'",'), frozenset(b"}]")
"""The number of bytes of an answer that are tried under a grammar before the request is queued. Limits of the library
mostly show in the first bytes of a value, so the trial ends values early, but keeps lists and objects open."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer: JSON that a schema describes."""

    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    name: str = "response_format"
    """The request's field that holds the schema."""
    strict: bool = False
    """Refuse keywords that cannot be enforced. If False, the grammar leaves them out."""

    @property
    def characters(self) -> int:
        """The length of the schema as JSON, in characters."""
        return len(json.dumps(self.schema))


def rule(form: Form) -> str:
    """The body of a rule for answers of this form, in llguidance's Lark.

    Raises:
        InvalidValue: the schema is malformed, no value is valid under it, or it is strict and cannot be enforced.
    """
    body: str = _kept(_rule, form.schema, form.name, form.strict)
    return body


def tool_signature(name: str, parameters: Mapping[str, Any], where: str, *, strict: bool) -> Signature:
    """The arguments that a tool may be called with.

    Args:
        name: the tool's name.
        parameters: the JSON Schema of the tool's parameters.
        where: the request's field that holds the parameters.
        strict: refuse keywords that cannot be enforced, instead of leaving them out.

    Raises:
        InvalidValue: the schema is malformed, no object is valid under it, or it is strict and cannot be enforced.
    """
    made: Signature = _kept(_signature, parameters, where, strict, name)
    return made


def checked(grammar: str, where: str, specials: Sequence[str | int] = ()) -> str:
    """Return the grammar unchanged, after a trial whether an engine can begin an answer under it.

    Args:
        grammar: in llguidance's Lark.
        where: the request's field that the grammar was made of.
        specials: the control tokens in the grammar, by name or by id, as the grammar writes them.

    Raises:
        InvalidValue: no answer can begin under the grammar, because it is too large.
    """
    ids = [special for special in specials if isinstance(special, int)]
    tried = _IDS.sub(
        lambda found: f"<[{256 + ids.index(int(found[1]))}]>" if int(found[1]) in ids else found[0], grammar
    )
    names = tuple(f"<|{special}|>" if isinstance(special, int) else special for special in specials)
    if not (_kept_begins if len(grammar) <= KEPT_CHARACTERS else _begins)(tried, names):
        raise InvalidValue("The schema cannot be used: its grammar is too large to enforce.", where)
    return grammar


def _kept(make: Any, schema: Mapping[str, Any], *args: Any) -> Any:
    written = json.dumps(schema)
    return (_made if len(written) <= KEPT_CHARACTERS else _made.__wrapped__)(make, written, *args)


# Most requests of a client have the same schema, and reading a schema takes milliseconds.
@lru_cache(maxsize=KEPT)
def _made(make: Any, written: str, *args: Any) -> Any:
    try:
        return make(json.loads(written), *args)
    except Endless as error:
        place = told(str(error.args[0]))
        raise InvalidValue(f"The schema cannot be used: '$ref' at {place} leads back to itself.", args[0]) from None
    except RecursionError:
        raise InvalidValue("The schema cannot be used: it is nested too deeply.", args[0]) from None


def _rule(schema: Any, where: str, strict: bool) -> str:
    writing, root = _written(schema, where, strict)
    body = f"%json {json.dumps({'x-guidance': OPTIONS, **writing.whole(root)})}"
    _require_small(writing, body)
    return body


def _signature(schema: Any, where: str, strict: bool, name: str) -> Signature:
    writing, root = _written(schema, where, strict)
    return signature(name, writing, root, where, strict=strict)


def require_small(parameters: Mapping[str, Any], where: str) -> None:
    """Find the part of a tool's parameters that is too large, after ``checked`` has refused the tool's grammar.

    Raises:
        InvalidValue: the parameters are too large; the message names the keywords.
    """
    writing, root = _written(parameters, where, False)
    _require_small(writing, f"%json {json.dumps({'x-guidance': OPTIONS, **writing.whole(root)})}")


def _require_small(writing: Writing, body: str) -> None:
    """Refuse a grammar that is too large for the library, and name the smallest inner schema that is too large."""
    if not _begins(f"start: {body}", ()):
        writing.refuse_largest(
            lambda inner: _begins(f"start: %json {json.dumps({'x-guidance': OPTIONS, **inner})}", ())
        )


def _written(schema: Any, where: str, strict: bool) -> Any:
    shapes = Shapes(Document(schema, where, strict=strict))
    root = shapes.state("")
    return Writing(shapes, root), root


def _begins(grammar: str, specials: tuple[str, ...]) -> bool:
    """Whether a completion can begin under a grammar. The trial uses a vocabulary of bytes, which is the smallest."""
    from llguidance import LLMatcher, LLParserLimits  # 3 MB: imported only when a request has a schema

    matcher = LLMatcher(bytes_and(specials), grammar, log_level=0, limits=LLParserLimits(**OWN))
    choices = random.Random(0)  # noqa: S311  any sequence of choices will do
    for _ in range(STEPS):
        if matcher.is_error() or matcher.is_stopped():
            break
        bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little").nonzero()[0]
        if matcher.is_error() or not len(bits):
            break
        onward = [byte for byte in bits if byte not in ENDING] or bits
        closing = [byte for byte in onward if byte in CLOSING] if choices.random() < 0.5 else []
        matcher.consume_token(int(choices.choice(closing or onward)))
    return not matcher.is_error()


_kept_begins = lru_cache(maxsize=KEPT)(_begins)


@lru_cache(maxsize=8)
def bytes_and(specials: tuple[str, ...]) -> Any:
    """llguidance's tokenizer for a vocabulary of bytes and these control tokens. Cached, because it takes 10 ms."""
    from llguidance import LLTokenizer, TokenizerWrapper

    return LLTokenizer(TokenizerWrapper(_Bytes(specials)))


class _Bytes:
    """A vocabulary of bytes and some control tokens, with the attributes that llguidance reads."""

    def __init__(self, specials: Sequence[str]) -> None:
        self.tokens = [*(bytes([i]) for i in range(256)), *(each.encode() for each in specials), b"<|ended|>"]
        self.special_token_ids = list(range(256, len(self.tokens)))
        self.eos_token_id = len(self.tokens) - 1
        self.bos_token_id = None

    def __call__(self, text: str | bytes) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)
