"""Sentences to rows of one translation model, and its hypotheses back to sentences.

Knows the model's tokenizer and family, nothing of requests or lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType

from models.cards import TranslationSpec
from models.tokenizers import Tokenizer
from server.engines.rows import Hypothesis, TranslationRow
from server.errors import InputTooLong, InvalidValue
from server.tasks.results import Flag
from server.tasks.translation.marks import Marked
from server.tasks.translation.placing import Link, Range, place, token_offsets
from server.tasks.translation.quality import judge, kept_of_loops

LENGTH_STEPS = (32, 64, 128, 256, 512, 1024)
"""The limits on a target's length. A call has one limit for all its rows: a few steps let rows share calls,
and a row's own limit never depends on its batch mates."""

RETRY_BEAM_SIZE = 5
RETRY_PENALTY = 1.2
RETRY_NGRAM = 3
"""How a sentence is decoded again whose translation was flagged."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One hypothesis as a sentence, and what is wrong with it."""

    sentence: Marked
    flags: tuple[Flag, ...]


class Rows:
    """Makes rows of sentences, and sentences of what came of them."""

    def __init__(self, tokenizer: Tokenizer, family: ModuleType, section: TranslationSpec, limit_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._family = family
        self._section = section
        self.limit_tokens = limit_tokens
        """The most tokens of a row that the model reads."""

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self._encode(text))

    def row(
        self, sentence: Marked, source: str, target: str, hypotheses: int, beam_size: int | None = None
    ) -> TranslationRow:
        """The row of one sentence in the language ``source``.

        Raises:
            InputTooLong: it has more tokens than the model reads, and no place to split it.
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
            alignment=bool(sentence.nodes),
        )

    @staticmethod
    def again(row: TranslationRow) -> TranslationRow:
        """The row with other decoding options, for a sentence that came out wrong."""
        return replace(
            row,
            beam_size=max(row.beam_size, RETRY_BEAM_SIZE),
            repetition_penalty=RETRY_PENALTY,
            no_repeat_ngram=RETRY_NGRAM,
        )

    def candidate(self, source: Marked, row: TranslationRow, hypothesis: Hypothesis, language: str) -> Candidate:
        """The sentence of a hypothesis, with runaway repetition cut."""
        kept = kept_of_loops(hypothesis.tokens, row.source)
        tokens = [hypothesis.tokens[i] for i in kept]
        text = self._tokenizer.decode([self._tokenizer.id(token) for token in tokens]).strip()
        looped = len(kept) < len(hypothesis.tokens)
        flags = judge(source.text, text, language, self._section.languages, looped=looped)
        if not source.nodes:
            return Candidate(Marked(text), flags)
        read = dict(self._offsets(source.text, row.source))
        made = self._offsets(text, tokens)
        alignment = [hypothesis.alignment[i] for i in kept] if hypothesis.alignment else []
        links = [Link(span, read[alignment[i]]) for i, span in made if i < len(alignment) and alignment[i] in read]
        return Candidate(place(source, text, links), flags)

    def _offsets(self, text: str, tokens: Sequence[str]) -> list[tuple[int, Range]]:
        """The place of each token that has text, and its range in the text."""
        pieces = [self._tokenizer.token_bytes(self._tokenizer.id(token)).decode("utf-8", "replace") for token in tokens]
        shown = [i for i, piece in enumerate(pieces) if piece]
        return list(zip(shown, token_offsets(text, [pieces[i] for i in shown]), strict=False))

    def _encode(self, text: str) -> list[int]:
        try:
            return self._tokenizer.encode(text)
        except ValueError as error:
            raise InvalidValue(str(error), "input") from None
