"""Checks a converted encoder-decoder: its input rows, log-probabilities and greedy text.

The weights in float32, through CTranslate2, or the original, if requested, answer or translate some texts greedily. In
float32 each token of these outputs must have the original's log-probability almost exactly; the served model may differ
by the noise of its quantization. All comparisons use the rows that the server makes, so a wrong language name shows as
well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from models.cards import Figure, ModelCard, TranslationSpec
from models.convert.contract import CannotConvert, Mismatch, Quantization
from models.convert.selfcheck import EXACT, NAME, finite, rounded
from models.registry import load_family
from models.tokenizers import load_tokenizer

TEXTS = (
    "The harbour was quiet when the ferry came in.",
    "Two men were mending nets on the quay, and a dog slept in the shade of an upturned boat.",
    "By 9:45 the first passengers had gone ashore: a schoolteacher with 14 children and a man selling maps.",
    "Why do we sleep?",
    "Der Zug nach München fährt um 17:20 Uhr von Gleis 3 ab.",
    "¿Dónde está la biblioteca más cercana?",
    "Доброе утро, как дела?",
)
MOST_TOKENS = 24
"""The most tokens of each translation."""
MOST_PAIRS = 2
ALLOWED_NOISE: dict[Quantization, float] = {"float32": EXACT, "int8_float32": 0.5, "int8": 0.5}
"""The largest root mean square of the difference between served log-probabilities and the original's, in nats."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The original's output for one text."""

    text: str
    row: tuple[str, ...]
    """The input tokens."""
    made: tuple[str, ...]
    """The greedy output tokens, with the name of the language."""
    logprobs: tuple[float, ...]
    source: str = ""
    target: str = ""
    """The codes of the languages, if the model is a translator."""


def require_exact(folder: Path, wanted: Sequence[Reference]) -> tuple[Figure, ...]:
    """Refuse float32 log-probabilities that differ from the original's.

    Raises:
        Mismatch: a log-probability differs by more than rounding errors.
    """
    difference = finite(float(np.abs(_differences(folder, wanted)).max()))
    if not difference <= EXACT:
        raise Mismatch("the largest difference of a token's log-probability in float32", difference, EXACT)
    return (Figure(NAME, "largest difference of a log-probability in float32", rounded(difference), _tokens(wanted)),)


def own_references(folder: Path, card: ModelCard) -> list[Reference]:
    """The outputs of a float32 folder for the sentences, in some of the card's directions."""
    tokenizer, family, section = load_tokenizer(card), load_family(card), card.translation
    assert section is not None  # noqa: S101
    asked = []
    for source, target in pairs_to_ask(section):
        for text in TEXTS:
            row = family.source_row(section, tokenizer.tokens(tokenizer.encode(text)), source, target)
            prefix = family.target_prefix(section, target)
            asked.append((Reference(text, tuple(row), (), (), source, target), prefix))
    return answered(folder, [each for each, _ in asked], [prefix for _, prefix in asked])


def answered(folder: Path, asked: Sequence[Reference], prefixes: list[list[str]]) -> list[Reference]:
    """The same texts with a folder's greedy outputs and their log-probabilities."""
    greedy = _greedy(folder, asked, prefixes)
    made = [replace(each, made=tuple(tokens)) for each, tokens in zip(asked, greedy, strict=True)]
    kept = [each for each in made if each.made]
    logprobs = iter(_logprobs(folder, kept))
    return [replace(each, logprobs=tuple(next(logprobs))) if each.made else each for each in made]


def require_close(
    folder: Path,
    wanted: Sequence[Reference],
    prefixes: list[list[str]],
    quantization: Quantization,
    whose: str = "the original's",
) -> tuple[Figure, ...]:
    """Refuse log-probabilities that differ from the original's by more than quantization.

    Raises:
        Mismatch: the difference is larger than the quantization's noise.
    """
    noise = finite(float(np.sqrt(np.square(_differences(folder, wanted)).mean())))
    allowed = ALLOWED_NOISE[quantization]
    if not noise <= allowed:
        raise Mismatch(f"the noise of the log-probabilities as served ({quantization})", noise, allowed)
    greedy = _greedy(folder, wanted, prefixes)
    same = sum(made == list(each.made) for made, each in zip(greedy, wanted, strict=True))
    return (
        Figure(NAME, f"noise of the log-probabilities as served, {quantization}", rounded(noise), _tokens(wanted)),
        Figure(NAME, f"greedy texts as {whose}", rounded(same / len(wanted)), len(wanted)),
    )


def pairs_to_ask(section: TranslationSpec) -> list[tuple[str, str]]:
    """Some directions, beginning with the most usual ones."""
    preferred = [code for code in ("en", "de", "es", "ru") if code in section.languages]
    order = [*preferred, *(code for code in section.languages if code not in preferred)]
    every = [(a, b) for a in order for b in order if section.covers(a, b)]
    return every[:MOST_PAIRS]


def _differences(folder: Path, wanted: Sequence[Reference]) -> Any:
    """The log-probability of each token less the original's, also for forced language names."""
    kept = [each for each in wanted if each.made]
    found = [np.array(each) - want.logprobs for each, want in zip(_logprobs(folder, kept), kept, strict=True)]
    return np.concatenate(found) if found else np.zeros(1)


def _logprobs(folder: Path, wanted: Sequence[Reference]) -> list[list[float]]:
    """A folder's log-probability of each output token."""
    translator = ctranslate2.Translator(str(folder), device="cpu", compute_type="default", inter_threads=1)
    rows, made = [list(each.row) for each in wanted], [list(each.made) for each in wanted]
    try:
        scored = translator.score_batch(rows, made, max_input_length=0) if rows else []
    finally:
        del translator
    return [list(each.log_probs[: len(tokens)]) for each, tokens in zip(scored, made, strict=True)]


def _greedy(folder: Path, wanted: Sequence[Reference], prefixes: list[list[str]]) -> list[list[str]]:
    """A folder's output tokens, beginning with the prefix."""
    translator = ctranslate2.Translator(str(folder), device="cpu", compute_type="default", inter_threads=1)
    try:
        results = translator.translate_batch(
            [list(each.row) for each in wanted],
            target_prefix=prefixes if any(prefixes) else None,
            beam_size=1,
            max_decoding_length=MOST_TOKENS,
            max_input_length=0,
        )
    finally:
        del translator
    return [result.hypotheses[0] for result in results]


def rows_and_prefixes(card: ModelCard, wanted: Sequence[Reference]) -> list[list[str]]:
    """The prefix of translations; refuses a server's row that differs from the original's."""
    tokenizer, family, section = load_tokenizer(card), load_family(card), card.translation
    prefixes = []
    for each in wanted:
        pieces = tokenizer.tokens(tokenizer.encode(each.text))
        row = family.source_row(section, pieces, each.source, each.target)
        if tuple(row) != each.row:
            raise CannotConvert(
                f"The tokens of {each.text!r} from {each.source} to {each.target} would be {row}; the original reads "
                f"{list(each.row)}."
            )
        prefixes.append(family.target_prefix(section, each.target))
        if list(each.made[: len(prefixes[-1])]) != prefixes[-1]:
            raise CannotConvert(f"Translations to {each.target} would begin with {prefixes[-1]}, not {each.made[:1]}.")
    return prefixes


def _tokens(wanted: Sequence[Reference]) -> int:
    return sum(len(each.made) for each in wanted)
