"""Tokenizers that a ``tokenizer.json`` describes."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers

from models.pieces import piece_bytes
from models.tokenizer_base import Common, Form, Pair, Segment, Span, Special, require_unicode

_LONG_CHARACTERS = 10_000
_LOOKS_LIKE_CONTROL = re.compile(r"<[|｜][^<>]+[|｜]>")
_FIRST = re.compile(r'("prepend_scheme"\s*:\s*)"first"')


class HuggingFaceTokenizer(Common):
    """A ``tokenizer.json``. Its control tokens are the added tokens marked as special.

    Other added tokens are marks if the chat template writes them or if they look like control tokens: makers do not
    always mark ``<tool_call>``, ``<think>`` or ``<|fim_prefix|>`` as special. The remaining added tokens belong to
    texts: runs of spaces, HTML tags.
    """

    def __init__(self, file: Path, template: str = "") -> None:
        """Read the file.

        Args:
            file: the ``tokenizer.json``.
            template: the model's chat template; without a template the tokenizer has no marks.
        """
        text = file.read_text(encoding="utf-8")
        marks = _marks(text, template) if template else {}
        # The library does not look for special tokens in texts, so marks are special for the library too.
        opened = _with_special(text, marks.values()) if marks else text
        self._model = model = _opened(opened)
        added = model.get_added_tokens_decoder()
        control = {id: token for id, token in sorted(added.items()) if token.special}
        special = {token.content: id for id, token in control.items() if token.content not in marks}
        super().__init__(max(model.get_vocab().values()) + 1, special, piece_bytes(text))
        self.marks = marks
        self._written = re.compile("(" + "|".join(map(re.escape, sorted(marks, key=len, reverse=True))) + ")")
        self._lstrips = {token.content for token in control.values() if token.lstrip}
        self._rstrips = {token.content for token in control.values() if token.rstrip}
        self._later = _without_first_space(opened) or model
        self.adds_leading_space = self.token_bytes(self.encode("a")[0]).startswith(b" ")

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Marks in it become their tokens, as models write them."""
        if not self.marks or len(parts := self._written.split(text)) == 1:
            return self._encode(text, around=False)
        return self.encode_with_specials([Special(part) if part in self.marks else part for part in parts if part])

    def encode_row(self, text: str) -> list[int]:
        """The ids of a text with the control tokens that the tokenizer's file puts around it."""
        return self._encode(text, around=True)

    def encode_pairs(self, first: str, seconds: Sequence[str]) -> list[Pair]:
        """One text with each of others, as the file puts control tokens around a pair. The first text is encoded once.

        The library encodes the texts of a pair independently.
        """
        for text in (first, *seconds):
            require_unicode(text)
        form = _form(self._model.encode(_SAMPLE, _SAMPLE))
        [one, *others] = self._model.encode_batch([first, *seconds], add_special_tokens=False)
        ids: list[int] = one.ids
        return [Pair(ids, other.ids, form) for other in others]

    def encode_spans(self, text: str) -> list[Span]:
        """The tokens of a plain text with their places, without control tokens."""
        require_unicode(text)
        [encoding] = self._model.encode_batch([text], add_special_tokens=False)
        places = zip(encoding.ids, encoding.offsets, encoding.word_ids, strict=True)
        return [Span(id, *offsets, -1 if word is None else word) for id, offsets, word in places]

    def encode_with_specials(self, segments: Iterable[Segment]) -> list[int]:
        """The ids of special tokens and plain text, equal to the library's ids for the whole row: a text after a
        control token is not the first text, and a control token may take the space beside it.
        """
        ids: list[int] = []
        texts = list(segments)
        for i, segment in enumerate(texts):
            if isinstance(segment, Special):
                id = self.marks.get(segment.token)
                ids.append(self.special_tokens[segment.token] if id is None else id)
                continue
            if i and isinstance(before := texts[i - 1], Special) and before.token in self._rstrips:
                segment = segment.lstrip()
            if i + 1 < len(texts) and isinstance(after := texts[i + 1], Special) and after.token in self._lstrips:
                segment = segment.rstrip()
            if segment:
                ids += self._encode(segment, around=False, first=i == 0)
        return ids

    def id(self, token: str) -> int:
        """The id of a token's string."""
        id: int | None = self._model.token_to_id(token)
        if id is None:
            raise KeyError(token)
        return id

    def token(self, id: int) -> str:
        """The string of a token, as in the model's vocabulary file."""
        token: str | None = self._model.id_to_token(id)
        if token is None:
            raise IndexError(id)
        return token

    def _encode(self, text: str, around: bool, first: bool = True) -> list[int]:
        require_unicode(text)
        model = self._model if first else self._later
        if len(text) > _LONG_CHARACTERS:  # the library holds the interpreter for a whole text
            [encoding] = model.encode_batch([text], add_special_tokens=around)
        else:
            encoding = model.encode(text, add_special_tokens=around)
        ids: list[int] = encoding.ids
        return ids


_SAMPLE = "a"


def _form(encoding: tokenizers.Encoding) -> Form:
    """The form of the row of two short texts."""
    places: tuple[list[int], list[int]] = ([], [])
    for place, sequence in enumerate(encoding.sequence_ids):
        if sequence is not None:
            places[sequence].append(place)
    if not all(places):
        raise ValueError("this model's tokenizer reads no pairs of texts")
    (a, b), (c, d) = ((some[0], some[-1] + 1) for some in places)
    ids, types = encoding.ids, encoding.type_ids
    return Form(ids[:a], ids[b:c], ids[d:], (types[:a], types[a], types[b:c], types[c], types[d:]))


def _marks(text: str, template: str) -> dict[str, int]:
    """The added tokens of a file that are marks, in the order of their ids."""
    found = {}
    for token in json.loads(text).get("added_tokens") or ():
        content = token["content"]
        if token["special"] or not content.strip() or len(content) < 2:
            continue
        if _LOOKS_LIKE_CONTROL.fullmatch(content) or (content in template and not content[0].isalnum()):
            found[content] = token["id"]
    return found


def _with_special(text: str, ids: Iterable[int]) -> str:
    """The file with these added tokens marked as special."""
    table, wanted = json.loads(text), set(ids)
    for token in table["added_tokens"]:
        token["special"] = token["special"] or token["id"] in wanted
    return json.dumps(table, ensure_ascii=False)


def _opened(text: str) -> tokenizers.Tokenizer:
    model = tokenizers.Tokenizer.from_str(text)
    model.no_truncation()
    model.no_padding()
    model.encode_special_tokens = True  # "[SEP]" that a user types is text
    return model


def _without_first_space(text: str) -> tokenizers.Tokenizer | None:
    """The tokenizer for texts in the middle of a row, if it differs: some tokenizers put a space before the first text
    of a row and before no other.
    """
    if not _FIRST.search(text):
        return None
    return _opened(_FIRST.sub(r'\1"never"', text))
