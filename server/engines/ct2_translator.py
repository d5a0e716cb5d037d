"""Translation through CTranslate2's ``Translator``: encoder-decoder models with beam search."""

import math
from collections.abc import Sequence

import ctranslate2

from server.engines.base import Outbox
from server.engines.ct2_open import open_model
from server.engines.kinds import EngineSpec
from server.engines.rows import Hypothesis, Translated, TranslationRow


class TranslatorEngine:
    """One encoder-decoder model; ``spec.lanes`` replicas share its weights."""

    def __init__(self, spec: EngineSpec) -> None:
        self._translator = open_model(ctranslate2.Translator, spec)

    def run(self, rows: Sequence[TranslationRow], out: Outbox[TranslationRow, None, Translated]) -> None:
        """Translate rows of one key (``keys.translator``) together."""
        first = rows[0]
        prefixes = [list(row.target_prefix) for row in rows]
        results = self._translator.translate_batch(
            [list(row.source) for row in rows],
            target_prefix=prefixes if any(prefixes) else None,
            beam_size=first.beam_size,
            num_hypotheses=first.hypotheses,
            max_decoding_length=first.max_tokens + len(first.target_prefix),
            max_input_length=0,  # the library would cut silently; lengths were checked before the row was queued
            repetition_penalty=first.repetition_penalty,
            no_repeat_ngram_size=first.no_repeat_ngram,
            return_scores=True,
            return_attention=first.alignment,
        )
        for i, result in enumerate(results):
            attention = result.attention if first.alignment else [()] * len(result.hypotheses)
            scored = zip(result.hypotheses, result.scores, attention, strict=True)
            given = len(rows[i].target_prefix)
            out.done(i, Translated([_hypothesis(*each, given) for each in scored]))

    def close(self) -> None:
        """Free the model."""
        del self._translator


def _hypothesis(tokens: Sequence[str], score: float, attention: Sequence[Sequence[float]], given: int) -> Hypothesis:
    """Without the tokens it was ``given`` to begin with.

    The library's score is the mean log-probability with its default length penalty of 1.

    Its attention has a row a target token, over the source's tokens, the mean of the last layer's heads; only where
    each is highest goes over the pipe.
    """
    alignment = tuple(max(range(len(row)), key=row.__getitem__) for row in attention[given:])
    return Hypothesis(tuple(tokens[given:]), score if math.isfinite(score) else -math.inf, alignment)
