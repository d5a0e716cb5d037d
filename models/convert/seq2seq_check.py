"""Whether a converted encoder-decoder computes what the original does: what it reads, log-probabilities, greedy text.

The original answers or translates some texts greedily. In float32, through CTranslate2, each token of these must
have the original's log-probability almost exactly; as served, up to the noise of its quantization. Both are asked
through the rows that the server makes, so a language that is named wrongly shows as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from models.cards import Figure, ModelCard, TokenizerSpec, TranslationSpec
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
"""Of each translation."""
MOST_PAIRS = 2
ALLOWED_NOISE: dict[Quantization, float] = {"float32": EXACT, "int8_float32": 0.5, "int8": 0.5}
"""The root mean square by which log-probabilities of tokens, as served, may differ from the original's, in nats."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the original makes of one text."""

    text: str
    row: tuple[str, ...]
    """The tokens it reads."""
    made: tuple[str, ...]
    """The tokens it makes, greedily, the name of the language among them."""
    logprobs: tuple[float, ...]
    source: str = ""
    target: str = ""
    """Codes of the languages, where it is a translator that is asked."""


def references(model: Any, tokenizer: Any, section: TranslationSpec) -> list[Reference]:
    """The original's translations, in some of the directions."""
    return [_reference(model, tokenizer, section, text, *pair) for pair in _pairs(section) for text in TEXTS]


def require_exact(folder: Path, wanted: Sequence[Reference]) -> tuple[Figure, ...]:
    """Refuse float32 log-probabilities that are not the original's.

    Raises:
        Mismatch: one differs by more than rounding.
    """
    difference = finite(float(np.abs(_differences(folder, wanted)).max()))
    if not difference <= EXACT:
        raise Mismatch("the largest difference of a token's log-probability in float32", difference, EXACT)
    return (Figure(NAME, "largest difference of a log-probability in float32", rounded(difference), _tokens(wanted)),)


def require_served(
    folder: Path,
    family: str,
    section: TranslationSpec,
    tokenizer_spec: TokenizerSpec,
    wanted: Sequence[Reference],
    quantization: Quantization,
) -> tuple[Figure, ...]:
    """Refuse what is served when it is not the original up to quantization.

    Raises:
        CannotConvert: it reads texts in other tokens.
        Mismatch: its log-probabilities differ by more than the quantization's noise.
    """
    card = ModelCard(
        id="check",
        task="translation",
        family=family,
        summary="",
        license="",
        created=1,
        context_length_tokens=1,
        quantization=quantization,
        parameters=1,
        tokenizer=tokenizer_spec,
        files={},
        translation=section,
        folder=folder,
    )
    return require_close(folder, wanted, _prefixes(card, wanted), quantization)


def require_close(
    folder: Path, wanted: Sequence[Reference], prefixes: list[list[str]], quantization: Quantization
) -> tuple[Figure, ...]:
    """Refuse log-probabilities that are not the original's up to quantization.

    Raises:
        Mismatch: they differ by more than the quantization's noise.
    """
    noise = finite(float(np.sqrt(np.square(_differences(folder, wanted)).mean())))
    allowed = ALLOWED_NOISE[quantization]
    if not noise <= allowed:
        raise Mismatch(f"the noise of the log-probabilities as served ({quantization})", noise, allowed)
    greedy = _greedy(folder, wanted, prefixes)
    same = sum(made == list(each.made) for made, each in zip(greedy, wanted, strict=True))
    return (
        Figure(NAME, f"noise of the log-probabilities as served, {quantization}", rounded(noise), _tokens(wanted)),
        Figure(NAME, "greedy texts that are the original's", rounded(same / len(wanted)), len(wanted)),
    )


def _pairs(section: TranslationSpec) -> list[tuple[str, str]]:
    """Some directions, those that users of the sentences would ask for first."""
    preferred = [code for code in ("en", "de", "es", "ru") if code in section.languages]
    order = [*preferred, *(code for code in section.languages if code not in preferred)]
    every = [(a, b) for a in order for b in order if section.covers(a, b)]
    return every[:MOST_PAIRS]


def _reference(model: Any, tokenizer: Any, section: TranslationSpec, text: str, source: str, target: str) -> Reference:
    options: dict[str, Any] = {}
    if hasattr(tokenizer, "src_lang"):  # M2M100 and NLLB
        tokenizer.src_lang = section.codes.get(source, source)
        options["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(section.token(target))
        written = text
    else:
        written = f"{section.token(target)} {text}" if section.target_token else text
    # Marian's padding is never made, and CTranslate2 has no such token.
    banned = [model.config.pad_token_id] if model.config.model_type == "marian" else []
    made = observe(model, tokenizer, written, banned, **options)
    return replace(made, text=text, source=source, target=target)


def observe(model: Any, tokenizer: Any, text: str, banned: Sequence[int] = (), **options: Any) -> Reference:
    """What the original makes of a text as it is.

    Args:
        model, tokenizer: the original's, as transformers has them.
        text: with whatever is to stand before it.
        banned: ids that are never made.
        **options: for transformers' ``generate``.
    """
    import torch

    row = tokenizer(text, return_tensors="pt").input_ids
    limits = {"min_new_tokens": 0, "max_new_tokens": MOST_TOKENS, "max_length": None, "forced_eos_token_id": None}
    with torch.inference_mode():
        made = model.generate(
            row, num_beams=1, do_sample=False, suppress_tokens=list(banned) or None, **limits, **options
        )
        logits = model(input_ids=row, decoder_input_ids=made[:, :-1]).logits[0]
        logits[:, list(banned)] = -torch.inf
        logprobs = logits.log_softmax(-1).gather(1, made[0, 1:, None])[:, 0]
    ids, end = made[0, 1:].tolist(), tokenizer.eos_token_id
    if end in ids:
        ids = ids[: ids.index(end)]
    return Reference(
        text,
        tuple(tokenizer.convert_ids_to_tokens(row[0].tolist())),
        tuple(tokenizer.convert_ids_to_tokens(ids)),
        tuple(logprobs[: len(ids)].tolist()),
    )


def _differences(folder: Path, wanted: Sequence[Reference]) -> Any:
    """Log-probability of each token less the original's; the forced names of languages too."""
    translator = ctranslate2.Translator(str(folder), device="cpu", compute_type="default", inter_threads=1)
    kept = [each for each in wanted if each.made]
    try:
        scored = translator.score_batch([list(e.row) for e in kept], [list(e.made) for e in kept], max_input_length=0)
    finally:
        del translator
    found = [
        np.array(each.log_probs[: len(want.made)]) - want.logprobs for each, want in zip(scored, kept, strict=True)
    ]
    return np.concatenate(found)


def _greedy(folder: Path, wanted: Sequence[Reference], prefixes: list[list[str]]) -> list[list[str]]:
    translator = ctranslate2.Translator(str(folder), device="cpu", compute_type="default", inter_threads=1)
    try:
        results = translator.translate_batch(
            [list(each.row) for each in wanted],
            target_prefix=prefixes if any(prefixes) else None,
            beam_size=1,
            max_decoding_length=MOST_TOKENS,
            max_input_length=0,
        )
        return [result.hypotheses[0] for result in results]
    finally:
        del translator


def _prefixes(card: ModelCard, wanted: Sequence[Reference]) -> list[list[str]]:
    """What translations are made to begin with; refuses rows of the server's that are not the original's."""
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
