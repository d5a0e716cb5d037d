"""Abstractive summaries: a generator writes, an embedding model finds what each sentence rests on, checks flag faults.

The generator reads the whole text as one message. Its sentences are compared with the text's (``support``). A sentence
with a fault is flagged and stays as it is, so that a reader sees what the model wrote.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from server.tasks.encoding import Embedding, Floats, unit
from server.tasks.generation.completion import GenerationStream
from server.tasks.generation.options import GenerationOptions
from server.tasks.generation.task import Generation
from server.tasks.offload import SMALL_CHARACTERS, SMALL_PRODUCTS, offload, size_of
from server.tasks.results import Choice, Done, Usage
from server.tasks.summaries.extractive import RULES, note_of, read_notes
from server.tasks.summaries.form import Length, Summary, SummarySentence, count_words
from server.tasks.summaries.support import Source, checks_in, sources_of
from server.tasks.text.note import Note, Sentence

TASK_WORD = {"t5": "summarize:"}
"""The instructions for families that were trained on a word for the task."""

SENTENCE_TOKENS, WORD_TOKENS, MORE_TOKENS = 48, 3, 32
"""The tokens that a model may write for each sentence or word of the length, and besides. Longer answers are cut."""

REPETITION_PENALTY = 1.1
"""Small models repeat one sentence for ever if the likeliest token is always taken. Not every engine has a penalty."""

_ENDS = (".", "!", "?", "。", "！", "？", '"', "”", ")")


@dataclass(frozen=True, slots=True)
class _Written:
    """One summary as the model wrote it, in sentences."""

    sentences: Sequence[Sentence]
    is_cut: bool


class Abstraction:
    """Abstractive summaries by a generator and an embedding model."""

    def __init__(self, generation: Generation, embedding: Embedding) -> None:
        self._generation = generation
        self._embedding = embedding

    async def summarize(
        self, texts: Sequence[str], length: Length, *, instructions: str | None = None, code: str | None = None
    ) -> Done[Summary]:
        """Summarize texts independently.

        Args:
            texts: n texts with a letter or digit each.
            length: the most of each summary. The model is told it, and sentences beyond it are left out.
            instructions: the text before each text in the model's prompt, in the place of the server's own.
            code: the texts' language (ISO 639-1); None has it detected for each text.

        Raises:
            InvalidValue: a text has no sentence, or a model's template does not take such a message.
            ContextLengthExceeded: a text is longer than the generator reads.
            BadRequest: the generator has no chat template.
            Unavailable, Overloaded, TooLarge: as ``Classification.classify``.
        """
        codes, notes = await read_notes(self._embedding, texts, code, sections=False)
        asked = instructions or TASK_WORD.get(self._generation.card.family) or _asked(length)
        between = " " if asked in TASK_WORD.values() else "\n\n"
        streams: list[GenerationStream] = []
        try:
            for text in texts:
                message = {"role": "user", "content": f"{asked}{between}{text}"}
                streams.append(await self._generation.chat([message], self._options(length)))
            choices = [(await stream.whole())[0] for stream in streams]
        finally:
            for stream in streams:
                stream.cancel()
        written = await offload(
            lambda: [_read(self._embedding, made, code, length) for made, code in zip(choices, codes, strict=True)],
            size_of([choice.text for choice in choices]),
        )
        said = [note.sentences for note in notes] + [each.sentences for each in written]
        vectors = await self._embedding.embed([sentence.text for each in said for sentence in each])
        ends = list(accumulate(map(len, said)))
        parts = [vectors.items[end - len(each) : end] for each, end in zip(said, ends, strict=True)]

        def check_all() -> list[Summary]:
            pairs = zip(notes, parts[: len(notes)], written, parts[len(notes) :], codes, strict=True)
            return [_check(note, sources, one, own, code) for note, sources, one, own, code in pairs]

        products = sum(vector.size for vector in vectors.items) * (1 + length.sentences)
        size = size_of(texts) + products * SMALL_CHARACTERS // SMALL_PRODUCTS
        summaries = await offload(check_all, size)
        return Done(summaries, _together([stream.usage for stream in streams], vectors.usage), streams[-1].timing)

    def _options(self, length: Length) -> GenerationOptions:
        words = length.sentences * SENTENCE_TOKENS if length.words is None else length.words * WORD_TOKENS
        thinking = 0 if self._generation.thinks else None
        penalty = REPETITION_PENALTY if "repetition_penalty" in self._generation.honours else 1.0
        return GenerationOptions(
            max_tokens=words + MORE_TOKENS, temperature=0.0, repetition_penalty=penalty, thinking_budget=thinking
        )


def _asked(length: Length) -> str:
    many = "one sentence" if length.sentences == 1 else f"at most {length.sentences} sentences"
    limit = many if length.words is None else f"at most {length.words} words"
    return f"Summarize the text below in {limit}. Say only what the text says. Copy names and numbers from it."


def _read(embedding: Embedding, made: Choice, code: str | None, length: Length) -> _Written:
    """The sentences of an answer, each once, without those beyond the length and a last one that was cut short."""
    found = list(note_of(embedding.model, made.text, code or RULES, sections=False).sentences)
    if made.finish_reason == "length" and len(found) > 1 and not found[-1].text.endswith(_ENDS):
        found.pop()
    found = list({sentence.text.casefold(): sentence for sentence in reversed(found)}.values())[::-1]
    kept, room = [], length.words if length.words is not None else len(made.text)
    for sentence in found[: length.sentences]:
        room -= count_words(sentence.text)
        if room < 0:
            break
        kept.append(sentence)
    return _Written(kept, made.finish_reason == "length" or len(kept) < len(found))


def _check(
    note: Note, sources: Sequence[Floats], written: _Written, vectors: Sequence[Floats], code: str | None
) -> Summary:
    checks = checks_in(code)
    if not written.sentences:
        return Summary([], code, checks=checks, is_cut=written.is_cut)
    source, near = Source(note.sentences), np.stack([unit(vector) for vector in sources])
    sentences = []
    for sentence, vector in zip(written.sentences, vectors, strict=True):
        spans = sources_of(unit(vector), near, note.sentences)
        flags = source.faults(sentence.text, spans, checks)
        sentences.append(SummarySentence(sentence.text, spans, flags=flags))
    return Summary(sentences, code, checks=checks, is_cut=written.is_cut)


def _together(written: Sequence[Usage], read: Usage) -> Usage:
    """The tokens of both models."""
    return replace(
        written[0],
        prompt_tokens=sum(usage.prompt_tokens for usage in written) + read.prompt_tokens,
        completion_tokens=sum(usage.completion_tokens for usage in written),
        cached_tokens=sum(usage.cached_tokens for usage in written),
        reasoning_tokens=None,
    )
