"""Tokens to text as they come: every delta is complete UTF-8, and the deltas joined are the whole text.

Knows bytes of tokens, nothing of stop strings, logprobs or streams.
"""

import codecs
from collections.abc import Mapping
from types import MappingProxyType

from models.tokenizers import Tokenizer

NOTHING: Mapping[int, str] = MappingProxyType({})


class Detokenizer:
    """The text of one completion, token by token.

    The pieces of sentencepiece carry the space before a word, also before the first word of a text. That first
    space is no part of the text, neither at the start nor after a control token.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, continues_text: bool = False, shown: Mapping[int, str] = NOTHING
    ) -> None:
        """Begin a text.

        Args:
            tokenizer: whose tokens they are.
            continues_text: the completion goes on in the middle of a text, so its first space counts.
            shown: control tokens to write out, and how; others write nothing.
        """
        self._tokenizer = tokenizer
        self._shown = shown
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = tokenizer.adds_leading_space and not continues_text

    def push(self, id: int) -> str:
        """What the token adds to the text; may be empty, or hold back a character until its last byte is there."""
        piece = self._tokenizer.token_bytes(id)
        if not piece:
            self._at_start = self._tokenizer.adds_leading_space
            return self._utf8.decode(self._shown[id].encode()) if id in self._shown else ""
        if self._at_start:
            piece, self._at_start = piece.removeprefix(b" "), False
        return self._utf8.decode(piece)

    def finish(self) -> str:
        """The end of the text: U+FFFD for a character that was never completed."""
        return self._utf8.decode(b"", final=True)
