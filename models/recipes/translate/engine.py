"""Translate texts with a converted model, row by row as the server does; for evaluation only."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import sentencepiece

from models.cards import TranslationSpec
from models.families.hearth_translate import max_target_tokens, source_row

CHUNK_ROWS = 64


@dataclass(frozen=True, slots=True)
class Timed:
    """Translations in the order of the texts, and what they cost."""

    texts: list[str]
    seconds: float
    target_tokens: int


class Engine:
    """One loaded model with its tokenizer."""

    def __init__(self, folder: Path, section: TranslationSpec, threads: int = 1) -> None:
        self._section = section
        self._translator = ctranslate2.Translator(str(folder), device="cpu", inter_threads=1, intra_threads=threads)
        self._tokenizer = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))

    def translate(self, texts: list[str], target: str, beam_size: int | None = None) -> Timed:
        """Translate into `target`, a language code, with the manifest's beam unless one is given."""
        encoded = self._tokenizer.encode(texts, out_type=str)
        rows = [source_row(self._section, pieces, source="", target=target) for pieces in encoded]  # it names none
        translations = [""] * len(texts)
        seconds, tokens = 0.0, 0
        # Rows of like length together: little padding, and one length limit fits them all.
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        for start in range(0, len(order), CHUNK_ROWS):
            chunk = order[start : start + CHUNK_ROWS]
            started_s = time.perf_counter()
            results = self._translator.translate_batch(
                [rows[place] for place in chunk],
                beam_size=beam_size or self._section.beam_size,
                max_decoding_length=max_target_tokens(self._section, len(rows[chunk[-1]])),
            )
            seconds += time.perf_counter() - started_s
            for place, result in zip(chunk, results, strict=True):
                pieces = result.hypotheses[0]
                translations[place] = self._tokenizer.decode(pieces)
                tokens += len(pieces)
        return Timed(translations, seconds, tokens)
