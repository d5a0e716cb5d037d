"""The characters that a model's tokenizer can spell. Text that it cannot spell is held back and not translated.

The tokenizer spells a character if it decodes the character's tokens to the same character and none of them is a byte.
A small model may translate unknown characters, and characters spelled in bytes, into anything.
"""

import re
from collections.abc import Iterator

from models.tokenizer_base import Tokenizer
from server.tasks.translation.marks import Marked, Stretch, hold_back

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_APOSTROPHE = "\u2019"
_MOST_WORD = 64
_MOST_KNOWN = 20_000
"""The most characters whose spelling is remembered."""
_READ = 0.5
"""The part of a text's letters that the tokenizer must spell. A model cannot read a text with fewer."""


class Spelling:
    """The characters that one tokenizer spells. Safe to use from several threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, str] = {}
        """The character that the model reads in place of each character; empty if the tokenizer cannot spell it."""
        self._knows_ascii = all(self._find(chr(code)) == chr(code) for code in range(0x20, 0x7F))
        """Whether the tokenizer spells all of ASCII. Most do, so most texts need no check."""

    def given(self, text: str) -> str:
        """The text as the model reads it, with unknown capitals in lower case. The length stays the same."""
        if self._knows_ascii and text.isascii():
            return text
        changed = {ord(sign): known for sign in set(text) if (known := self._of(sign)) and known != sign}
        return text.translate(changed) if changed else text

    def reads(self, text: str) -> bool:
        """Whether the tokenizer spells at least half of the text's letters; True for a text without letters."""
        if text.isascii():
            return True
        letters = [sign for sign in text if sign.isalpha()]
        return not letters or sum(bool(self._of(sign)) for sign in letters) >= _READ * len(letters)

    def held(self, sentence: Marked) -> Marked:
        """The sentence with unspellable text held back: whole words, and signs with the numbers beside them."""
        if self._knows_ascii and sentence.text.isascii():
            return sentence
        unknown = {sign for sign in set(sentence.text) if not self._of(sign)}
        if not unknown:
            return sentence
        return hold_back(sentence, list(stretches(sentence.text, unknown)))

    def _of(self, sign: str) -> str:
        known = self._known.get(sign)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[sign] = self._find(sign)
        return known

    def _find(self, sign: str) -> str:
        if sign.isspace() or self._is_spelled(sign):
            return sign
        other = "'" if sign == _APOSTROPHE else sign.lower()
        return other if len(other) == 1 and self._is_spelled(other) else ""

    def _is_spelled(self, sign: str) -> bool:
        if sign.isascii() and sign.isalnum():
            return True
        try:
            ids = self._tokenizer.encode(sign)
        except ValueError:  # a lone surrogate; `Rows` refuses the whole text
            return True
        if any(_BYTE.fullmatch(token) for token in self._tokenizer.tokens(ids)):
            return False
        return self._tokenizer.decode(ids) == sign


def stretches(text: str, unknown: set[str]) -> Iterator[Stretch]:
    """Yield the words with an unknown character, and the unknown signs with the numbers beside them."""
    at = 0
    while at < len(text):
        if text[at] not in unknown:
            at += 1
            continue
        start, end = at, at + 1
        lowest = max(0, at - _MOST_WORD)
        while start > lowest and (text[start - 1].isalnum() or text[start - 1] in unknown):
            start -= 1
        while end < len(text) and end - at < _MOST_WORD and (text[end].isalnum() or text[end] in unknown):
            end += 1
        if not any(sign.isalnum() for sign in text[start:end]):  # a sign alone: add the number before or after it
            if text[start - 1 : start] == " " and text[start - 2 : start - 1].isdecimal():
                start = _number_before(text, start - 1)
            elif text[end : end + 1] == " " and text[end + 1 : end + 2].isdecimal():
                end = _number_after(text, end + 1)
        else:
            if text[start - 1 : start] in (".", ",") and text[start - 2 : start - 1].isdecimal():
                start = _number_before(text, start)
            if text[end : end + 1] in (".", ",") and text[end + 1 : end + 2].isdecimal():
                end = _number_after(text, end)
        has_word = any(sign.isalnum() for sign in text[start:end])
        yield Stretch(start, end, "copy" if has_word else "point")
        at = end


def _number_before(text: str, end: int) -> int:
    start = end
    while start > max(0, end - _MOST_WORD) and (text[start - 1].isdecimal() or text[start - 1] in ".,:"):
        start -= 1
    return start


def _number_after(text: str, start: int) -> int:
    end = start
    while end < min(len(text), start + _MOST_WORD) and (text[end].isdecimal() or text[end] in ".,:"):
        end += 1
    while end > start and text[end - 1] in ".,:":
        end -= 1
    return end
