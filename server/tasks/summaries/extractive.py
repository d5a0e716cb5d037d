"""Extractive summaries: sentences of the text itself, in its order, chosen by an embedding model. They invent nothing.

A sentence says the more the nearer its vector is to the mean of its section's and of the text's vectors, and the less
the nearer it is to a sentence that was chosen before (maximal marginal relevance). ``docs/summaries.md`` has the rule
and figures. The cost grows with the sentences of a text times those that are chosen, at most ``MOST_SENTENCES``.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from models.registry import ModelCard
from server.errors import InvalidValue
from server.tasks.encoding import Embedding, Floats, unit
from server.tasks.model import Model
from server.tasks.offload import SMALL_PRODUCTS, offload, size_of
from server.tasks.results import Done
from server.tasks.summaries.form import Length, Span, Summary, SummarySection, SummarySentence, count_words
from server.tasks.text import language
from server.tasks.text.note import Note, Sentence, read_note

DIVERSITY = 0.5
"""The weight of a sentence's likeness to chosen ones, where the request gives none. Like the two values below, it is
the best on the validation sets of MTS-Dialog and ACI-Bench (``load_tests/summaries.py``)."""

FULL_WORDS, SHORTNESS = 25, 0.5
"""The relevance of a sentence with fewer than ``FULL_WORDS`` words is multiplied by a power of its share of them: short
sentences ("Mm-hmm.", "Good to see you.") lie near the middle of many texts and say little."""

RULES = "en"
"""The language whose rules find the ends of sentences in a text of unknown language."""


class Extraction:
    """Extractive summaries by one embedding model."""

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._embedding.card

    async def summarize(
        self,
        texts: Sequence[str],
        length: Length,
        *,
        sections: bool = True,
        diversity: float = DIVERSITY,
        code: str | None = None,
    ) -> Done[Summary]:
        """Summarize texts independently.

        Args:
            texts: n texts with a letter or digit each.
            length: the most of each summary. With several sections each of them gets a sentence before one gets a
                second, as long as there is room.
            sections: whether the headings of a text part it.
            diversity: the weight of likeness to chosen sentences, from 0.
            code: the texts' language (ISO 639-1); None has it detected for each text.

        Raises:
            InvalidValue: a text has no sentence.
            Unavailable, Overloaded, TooLarge: as ``Classification.classify``.
        """
        codes, notes = await read_notes(self._embedding, texts, code, sections=sections)
        done = await self._embedding.embed([sentence.text for note in notes for sentence in note.sentences])
        ends = list(accumulate(len(note.sentences) for note in notes))
        parts = [list(done.items[end - len(note.sentences) : end]) for note, end in zip(notes, ends, strict=True)]

        def choose_all() -> list[Summary]:
            made = zip(notes, parts, codes, strict=True)
            return [_summary(note, np.stack(vectors), length, diversity, code) for note, vectors, code in made]

        products = sum(vector.size for vector in done.items) * (2 + min(length.sentences, ends[-1]))
        return Done(await offload(choose_all, products, SMALL_PRODUCTS), done.usage, done.timing)


def note_of(model: Model, text: str, language: str, *, sections: bool, others: int = 0) -> Note:
    """A text's sections and sentences, none of which is longer than the model reads.

    Args:
        model: the embedding model.
        text: any text, in ``language`` (ISO 639-1).
        sections: whether headings part the text.
        others: sentences of other texts of the request.

    Raises:
        TooLarge: these are more sentences than the queue holds.
    """
    return read_note(
        text,
        language,
        by_heading=sections,
        count_tokens=lambda part: len(model.tokenizer.encode(part)),
        limit_tokens=model.card.context_length_tokens - len(model.tokenizer.encode_row("")),
        require_room=lambda sentences: model.batcher.require_room(others + sentences),
    )


async def read_notes(
    embedding: Embedding, texts: Sequence[str], code: str | None, *, sections: bool
) -> tuple[list[str | None], list[Note]]:
    """The language of each text, and its sections and sentences, which are no longer than the model reads.

    Raises:
        InvalidValue: a text has no sentence.
        TooLarge: the texts have more sentences than the queue holds.
    """
    codes = [code] * len(texts) if code else await language.recognise_all(texts, (RULES,), (RULES,))

    def read() -> list[Note]:
        notes: list[Note] = []
        sentences = 0
        for index, (text, rules) in enumerate(zip(texts, codes, strict=True)):
            notes.append(note_of(embedding.model, text, rules or RULES, sections=sections, others=sentences))
            sentences += len(notes[-1].sentences)
            if not notes[-1].sentences:
                raise InvalidValue(f"Input {index} has no sentence.", "input")
        return notes

    return list(codes), await offload(read, size_of(texts))


def choose(
    sentences: Sequence[Sentence], vectors: Floats, length: Length, diversity: float = DIVERSITY
) -> tuple[list[int], Floats]:
    """Choose the sentences of a summary.

    Args:
        sentences: n sentences of one text, those of a section beside each other.
        vectors: shape (n, d), each of length 1.
        length: the most of the summary.
        diversity: as for ``Extraction.summarize``.

    Returns:
        The indexes of the chosen sentences in order, and the relevance of all, shape (n,).
    """
    words = np.array([count_words(sentence.text) for sentence in sentences])
    section = np.array([sentence.section for sentence in sentences])
    weighted = vectors * words[:, None].astype(np.float32)
    begins = np.flatnonzero(np.diff(section, prepend=-1))
    middles = np.stack([unit(middle) for middle in np.add.reduceat(weighted, begins, axis=0)])
    in_section = np.einsum("nd,nd->n", vectors, middles[section])
    in_text = _cosines(vectors, unit(weighted.sum(axis=0)))
    fullness = np.minimum(words / FULL_WORDS, 1.0).astype(np.float32) ** np.float32(SHORTNESS)
    relevance = (in_section + in_text) / 2 * fullness
    room = length.words if length.words is not None else int(words.sum())
    likeness = np.zeros(len(words), np.float32)
    is_free = np.ones(len(words), bool)
    is_first = np.ones(len(middles), bool)
    chosen: list[int] = []
    while len(chosen) < length.sentences:
        fits = is_free & (words <= room)
        if (fits & is_first[section]).any():
            fits &= is_first[section]
        if not fits.any():
            break
        best = int(np.argmax(np.where(fits, relevance - diversity * likeness, -np.inf)))
        chosen.append(best)
        is_free[best] = is_first[section[best]] = False
        room -= int(words[best])
        likeness = np.maximum(likeness, _cosines(vectors, vectors[best]))
    return sorted(chosen), relevance


def _cosines(vectors: Floats, one: Floats) -> Floats:
    """The cosine of each vector with one, on one thread (as in ``encoding``)."""
    return np.asarray(np.einsum("nd,d->n", vectors, one), np.float32)


def _summary(note: Note, vectors: Floats, length: Length, diversity: float, code: str | None) -> Summary:
    vectors = np.stack([unit(vector) for vector in vectors])  # not every embedding model normalizes its vectors
    chosen, relevance = choose(note.sentences, vectors, length, diversity)
    has_headings = any(section.heading is not None for section in note.sections)
    used = sorted({note.sentences[index].section for index in chosen}) if has_headings else []
    sentences = []
    for index in chosen:
        each = note.sentences[index]
        span = Span(each.start, each.end, float(relevance[index]))
        sentences.append(SummarySentence(each.text, [span], used.index(each.section) if has_headings else None))
    kept = [SummarySection(one.heading, one.start, one.end) for one in (note.sections[index] for index in used)]
    return Summary(sentences, code, kept)
