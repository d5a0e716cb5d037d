"""Turns tokens into text, one by one: each delta is complete UTF-8, and the joined deltas are the whole text.

This module knows the bytes of tokens, but nothing of stop strings, log-probabilities or streams.
"""

import codecs
from collections.abc import Mapping
from types import MappingProxyType

from models.tokenizers import Tokenizer

NOTHING: Mapping[int, str] = MappingProxyType({})


class Detokenizer:
    """The text of one completion, token by token.

    A token of sentencepiece includes the space before its word, even before the first word of a text. That first space
    is no part of the text, neither at its start nor after a control token.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, continues_text: bool = False, shown: Mapping[int, str] = NOTHING
    ) -> None:
        """Begin a text.

        Args:
            tokenizer: the tokenizer of the tokens.
            continues_text: the completion continues a text, so its first space is part of the text.
            shown: texts of the control tokens to write out, by id; all other control tokens write nothing.
        """
        self._tokenizer = tokenizer
        self._shown = shown
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = tokenizer.adds_leading_space and not continues_text

    def push(self, id: int) -> str:
        """The text that this token adds. It is empty until all bytes of a character have come."""
        piece = self._tokenizer.token_bytes(id)
        if not piece:
            self._at_start = self._tokenizer.adds_leading_space
            return self._utf8.decode(self._shown[id].encode()) if id in self._shown else ""
        if self._at_start:
            piece, self._at_start = piece.removeprefix(b" "), False
        return self._utf8.decode(piece)

    def finish(self) -> str:
        """The end of the text: U+FFFD if the last character is incomplete, or else an empty text."""
        return self._utf8.decode(b"", final=True)
