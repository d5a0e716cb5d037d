"""Tokenizers that a ``tokenizer.json`` describes."""

import re
from collections.abc import Iterable
from pathlib import Path

import tokenizers

from models.pieces import piece_bytes
from models.tokenizer_base import Common, Segment, Special, require_unicode

_LONG_CHARACTERS = 10_000
_FIRST = re.compile(r'("prepend_scheme"\s*:\s*)"first"')


class HuggingFaceTokenizer(Common):
    """A ``tokenizer.json``. Its control tokens are the added tokens marked as special."""

    def __init__(self, file: Path) -> None:
        text = file.read_text(encoding="utf-8")
        self._model = model = _opened(text)
        added = model.get_added_tokens_decoder()
        special = {token.content: id for id, token in sorted(added.items()) if token.special}
        super().__init__(max(model.get_vocab().values()) + 1, special, piece_bytes(text))
        self._lstrips = {token.content for token in added.values() if token.special and token.lstrip}
        self._rstrips = {token.content for token in added.values() if token.special and token.rstrip}
        self._later = _without_first_space(text) or model
        self.adds_leading_space = self.token_bytes(self.encode("a")[0]).startswith(b" ")

    def encode(self, text: str) -> list[int]:
        """The ids of plain text, without control tokens."""
        return self._encode(text, around=False)

    def encode_row(self, text: str) -> list[int]:
        """As `encode`, with the control tokens that the tokenizer's file puts around a text."""
        return self._encode(text, around=True)

    def encode_with_specials(self, segments: Iterable[Segment]) -> list[int]:
        """See `Tokenizer`. The ids are those that the library gives for the whole: a text after a control token is
        not the first one, and a control token may take the space beside it.
        """
        ids: list[int] = []
        texts = list(segments)
        for i, segment in enumerate(texts):
            if isinstance(segment, Special):
                ids.append(self.special_tokens[segment.token])
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
        if len(text) > _LONG_CHARACTERS:  # for one text the library holds the interpreter until it is done
            [encoding] = model.encode_batch([text], add_special_tokens=around)
        else:
            encoding = model.encode(text, add_special_tokens=around)
        ids: list[int] = encoding.ids
        return ids


def _opened(text: str) -> tokenizers.Tokenizer:
    model = tokenizers.Tokenizer.from_str(text)
    model.no_truncation()
    model.no_padding()
    model.encode_special_tokens = True  # "[SEP]" that a user types is text
    return model


def _without_first_space(text: str) -> tokenizers.Tokenizer | None:
    """The tokenizer for texts in the middle, where that is another: some put a space before the first text of a row
    and before no other.
    """
    if not _FIRST.search(text):
        return None
    return _opened(_FIRST.sub(r'\1"never"', text))
