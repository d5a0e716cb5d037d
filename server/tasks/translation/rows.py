"""Makes rows of sentences for one translation model, and sentences of the model's hypotheses.

This module knows the model's tokenizer and family, but nothing of requests or queues.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

from models.cards import TranslationSpec
from models.tokenizers import Tokenizer
from server.engines.rows import Hypothesis, TranslationRow
from server.errors import InputTooLong, InvalidValue
from server.tasks.results import Flag
from server.tasks.text.language import looks_like
from server.tasks.translation.exact import difference, has_items, items_of, together
from server.tasks.translation.marks import STAND_INS, Marked, Stretch, hold_back, walk
from server.tasks.translation.placing import Link, Range, place, token_offsets
from server.tasks.translation.quality import judge, kept_of_loops
from server.tasks.translation.spelling import Spelling

LENGTH_STEPS = (32, 64, 128, 256, 512, 1024)
"""The possible limits of a target's length, in tokens. One call of the engine has one limit for all its rows. With few
limits many rows can share a call, and a row's limit does not depend on the other rows."""

SHORT_WORDS, SHORT_CHARACTERS = 2, 60
"""The longest text that is flagged as untranslated when it comes back unchanged, though it has too few words for
``quality.COPIED_WORDS``."""
_WORDS = re.compile(r"[^\W\d_]+")

RETRY_BEAM_SIZE = 5
RETRY_PENALTY = 1.2
RETRY_NGRAM = 3
"""The decoding options of the second try of a sentence with a flagged translation."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One hypothesis as a sentence, and its faults."""

    sentence: Marked
    flags: tuple[Flag, ...]


class Rows:
    """Makes the rows of one model's sentences, and sentences of the model's hypotheses."""

    def __init__(self, tokenizer: Tokenizer, family: ModuleType, section: TranslationSpec, limit_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._family = family
        self._section = section
        self.languages = section.languages
        self.spelling = Spelling(tokenizer)
        self.limit_tokens = limit_tokens
        """The most tokens of a row that the model reads."""

    def count_tokens(self, text: str) -> int:
        """The number of tokens of a text.

        Raises:
            InvalidValue: the text is not valid Unicode.
        """
        return len(self._encode(text))

    def prepared(self, sentence: Marked, language: str) -> Marked:
        """The sentence as the model reads it.

        Text that the tokenizer cannot spell is held back. So is the content of an element that has no words but items,
        such as a telephone number in a link.
        """
        held = self.spelling.held(sentence)
        pairs = {(node.start, node.end) for node in walk(held.nodes) if node.kind == "pair"}
        if not pairs or not has_items(held.text):
            return held
        items = items_of(held.text, language)
        own = [span for span in together(held.text, items, items, _borders(held)) if span in pairs]
        return hold_back(held, [Stretch(*span, "copy") for span in own])

    def row(
        self, sentence: Marked, source: str, target: str, hypotheses: int, beam_size: int | None = None
    ) -> TranslationRow:
        """The row of one sentence.

        Args:
            sentence: the sentence, as ``prepared`` returns it.
            source: the sentence's language.
            target: the language to translate to.
            hypotheses: the number of hypotheses to return.
            beam_size: the number of beams; None takes the manifest's.

        Raises:
            InputTooLong: the sentence has more tokens than the model reads and cannot be split.
        """
        pieces = self._tokenizer.tokens(self._encode(sentence.text))
        row = self._family.source_row(self._section, pieces, source, target)
        if len(row) > self.limit_tokens:
            raise InputTooLong(len(row), self.limit_tokens)
        most = self._family.max_target_tokens(self._section, len(row))
        step = next((step for step in LENGTH_STEPS if step >= most), LENGTH_STEPS[-1])
        return TranslationRow(
            row,
            max_tokens=min(step, self._section.max_target_tokens),
            target_prefix=self._family.target_prefix(self._section, target),
            beam_size=max(self._section.beam_size if beam_size is None else beam_size, hypotheses),
            hypotheses=hypotheses,
            alignment=bool(sentence.nodes) or has_items(sentence.text),
        )

    def confidence(self, mean_logprob: float) -> float | None:
        """The probability that a reader accepts a sentence; None if the manifest has no calibration."""
        curve = self._section.confidence
        return None if curve is None else curve.of(mean_logprob)

    def is_doubtful(self, confidence: float | None) -> bool:
        """Whether a confidence is so low that the sentence is flagged."""
        curve = self._section.confidence
        return curve is not None and confidence is not None and confidence < curve.low

    @staticmethod
    def again(row: TranslationRow) -> TranslationRow:
        """The row with the decoding options of a second try, for a sentence with a flagged translation."""
        return replace(
            row,
            beam_size=max(row.beam_size, RETRY_BEAM_SIZE),
            repetition_penalty=RETRY_PENALTY,
            no_repeat_ngram=RETRY_NGRAM,
        )

    @staticmethod
    def stronger(source: Marked, made: Marked, language: str, target: str) -> Marked:
        """The source of a sentence with an altered translation, with the altered items held back."""
        items = items_of(source.text, language)
        missing = difference(source.text, language, made.text, target).missing or items
        stretches = together(source.text, items, missing, _borders(source))
        has_digits = [any(map(str.isalnum, source.text[start:end])) for start, end in stretches]
        kinds = ["copy" if each else "point" for each in has_digits]
        return hold_back(source, [Stretch(*span, kind) for span, kind in zip(stretches, kinds, strict=True)])  # type: ignore[arg-type]

    def candidate(
        self, source: Marked, row: TranslationRow, hypothesis: Hypothesis, language: str, target: str
    ) -> Candidate:
        """The sentence and the faults of a hypothesis in the language ``target``.

        Loops are cut. If the model has altered items of the source, they are restored at the places that the alignment
        shows. The candidate has the flag ``altered`` if that does not restore all items.
        """
        kept = kept_of_loops(hypothesis.tokens, row.source)
        tokens = [hypothesis.tokens[i] for i in kept]
        text = self._tokenizer.decode([self._tokenizer.id(token) for token in tokens]).strip()
        if is_raised(source.text):
            text = _changed_but_names(text, str.upper)
        looped = len(kept) < len(hypothesis.tokens)
        flags = judge(source.text, text, target, self._section.languages, looped=looped)
        if not flags and self._is_left_as_it_was(source.text, text, language, target):
            flags = ("untranslated",)
        changed = difference(source.text, language, text, target)
        if not source.nodes and not changed:
            return Candidate(Marked(text), flags)
        read = dict(self._offsets(source.text, row.source))
        made = self._offsets(text, tokens)
        alignment = [hypothesis.alignment[i] for i in kept] if hypothesis.alignment else []
        links = [Link(span, read[alignment[i]]) for i, span in made if i < len(alignment) and alignment[i] in read]
        placed = place(source, text, links)
        if not changed:
            return Candidate(placed, flags)
        stretches = together(source.text, changed.missing, changed.missing, _borders(source))
        mended = place(hold_back(source, [Stretch(*span, "term") for span in stretches]), text, links)
        if not difference(source.render(), language, mended.render(), target, is_mended=True):
            return Candidate(mended, flags)
        return Candidate(placed, (*flags, "altered"))

    def _is_left_as_it_was(self, source: str, made: str, language: str, target: str) -> bool:
        """Whether a text of one or two words came back unchanged though its words are no names.

        Words are no names if the model's vocabulary has them in lower case and they look more like the source's
        language than like the target's.
        """
        if len(source) > SHORT_CHARACTERS:
            return False
        words = _WORDS.findall(source)
        if not 0 < len(words) <= SHORT_WORDS or [*map(str.lower, words)] != [*map(str.lower, _WORDS.findall(made))]:
            return False
        if not all(len(self._encode(word.lower())) == 1 for word in words):
            return False
        return looks_like(source, language, target) == language

    def _offsets(self, text: str, tokens: Sequence[str]) -> list[tuple[int, Range]]:
        """The index of each token that has text, and the token's range in the text, in characters."""
        pieces = [self._tokenizer.token_bytes(self._tokenizer.id(token)).decode("utf-8", "replace") for token in tokens]
        shown = [i for i, piece in enumerate(pieces) if piece]
        return list(zip(shown, token_offsets(text, [pieces[i] for i in shown]), strict=False))

    def _encode(self, text: str) -> list[int]:
        try:
            return self._tokenizer.encode(self.spelling.given(lowered(text) if is_raised(text) else text))
        except ValueError as error:
            raise InvalidValue(str(error), "input") from None


def _borders(sentence: Marked) -> list[int]:
    """The places in a sentence where its nodes begin or end, ascending."""
    return sorted({place for node in walk(sentence.nodes) for place in (node.start, node.end)})


_NAMES = re.compile(rf"(?<!\w)(?:{'|'.join(STAND_INS)})(?!\w)")
RAISED_LETTERS = 6
"""The fewest letters of a text in capitals that the model gets in lower case, because models know few capital words."""


def is_raised(text: str) -> bool:
    """Whether a sentence has two words or more, all in capitals. The names of copies do not count."""
    if 3 * sum(map(str.isupper, text)) < len(text):
        return False
    words = _WORDS.findall(_NAMES.sub("", text))
    return len(words) > 1 and sum(map(len, words)) >= RAISED_LETTERS and all(map(str.isupper, words))


def lowered(text: str) -> str:
    """A sentence of capitals in lower case, with a capital first letter. Its length does not change."""
    low = _changed_but_names(text, lambda part: "".join(one if len(one := c.lower()) == 1 else c for c in part))
    first = next((i for i, c in enumerate(low) if c.isalpha()), 0)
    return low[:first] + low[first : first + 1].upper() + low[first + 1 :]


def _changed_but_names(text: str, change: Callable[[str], str]) -> str:
    """The text with ``change`` applied to it, except to the names of copies."""
    parts, at = [], 0
    for name in _NAMES.finditer(text):
        parts += [change(text[at : name.start()]), name[0]]
        at = name.end()
    return "".join([*parts, change(text[at:])])
