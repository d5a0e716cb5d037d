"""Checks of a decoder that need no original: its text comes back, a passage is likely, two engines agree.

A network whose weights are in the wrong place, turned or scaled wrongly finds a plain text about as unlikely as chance.
A trained one gives it a perplexity of 10 to 60, the smallest of them some hundreds. So the passage tells what a
comparison with the original would tell, but for small differences; those the two engines tell.
"""

import unicodedata
from pathlib import Path

import numpy as np

from models.cards import Figure
from models.convert.contract import CannotConvert, Mismatch, Probe, Quantization, Request
from models.convert.passage import HARD_TEXTS, PASSAGE
from models.convert.probe import open_loop
from models.convert.selfcheck import EXACT, NAME, check_ids, finite, noise_of, rounded
from models.convert.tokens import FILE, Tokens
from models.tokenizers import HuggingFaceTokenizer

MOST_TOKENS = 1024
"""Of the passage."""
ALLOWED_PERPLEXITY = ((0, 2000.0), (100_000_000, 150.0), (1_000_000_000, 60.0))
"""The most perplexity of the passage for a model of at least so many parameters. SmolLM2-135M has 28.7 and Gemma 3 270M
28; nothing larger was measured. The bound of a billion is an estimate with room, as larger models predict text better.
"""
ALLOWED_DISAGREEMENT: dict[Quantization, float] = {"float32": EXACT, "int8_float32": 0.3, "int8": 0.3}
"""The most noise between our engine and CTranslate2's: both have that of their own quantized inputs."""
AGREEMENT_TOKENS = 128


def require_text(tokens: Tokens, folder: Path) -> None:
    """Refuse a tokenizer that loses something of a text.

    Raises:
        CannotConvert: a text is another after it was encoded and decoded; the message has both.
    """
    tokenizer = HuggingFaceTokenizer(folder / FILE)
    unknown = tokens.specials.get("unk_token")
    for text in (*PASSAGE.split("\n\n"), *HARD_TEXTS):
        ids = tokenizer.encode(text)
        if unknown is not None and tokens.id(unknown) in ids:
            continue
        found, wanted = tokenizer.decode(ids), unicodedata.normalize("NFC", text)
        if unicodedata.normalize("NFC", found) != wanted:
            at = next((i for i, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b), len(wanted))
            raise CannotConvert(
                f"The tokenizer loses text: {wanted[max(0, at - 8) : at + 16]!r} comes back as "
                f"{found[max(0, at - 8) : at + 16]!r}."
            )


def require_likely(tokens: Tokens, context_tokens: int, parameters: int, probe: Probe) -> Figure:
    """Refuse a model that finds the passage hardly likelier than chance, whose perplexity is the vocabulary's size.

    Raises:
        Mismatch: its perplexity is above what a model of its size has.
    """
    ids = [] if tokens.begins_with is None else [tokens.id(tokens.begins_with)]
    ids = (ids + tokens.model.encode(PASSAGE, add_special_tokens=False).ids)[: min(MOST_TOKENS, context_tokens)]
    found = finite(float(np.exp(probe.surprises(ids).mean())))
    allowed = next(most for least, most in reversed(ALLOWED_PERPLEXITY) if parameters >= least)
    allowed = min(allowed, len(tokens.vocabulary) / 4)
    if not found <= allowed:
        raise Mismatch(
            "the perplexity of a plain text", found, allowed, "where it is no model of language, --check structure"
        )
    return Figure(NAME, "perplexity of the passage", float(f"{found:.3g}"), len(ids) - 1)


def require_likely_and_agreed(
    tokens: Tokens, context_tokens: int, reach: int | None, parameters: int, folder: Path, request: Request
) -> tuple[Figure, ...]:
    """Refuse a model that finds a text unlikely, or that CTranslate2's loop computes otherwise than what will serve it.

    The two are in memory one after the other. The loop is asked as far as it goes: it forgets windows and soft caps.

    Args:
        tokens: the model's.
        context_tokens: what the model reads.
        reach: how far CTranslate2's loop computes the model; None: all the way.
        parameters: how many it has.
        folder: what was written.
        request: how it was converted.

    Raises:
        Mismatch: a figure is above its bound.
    """
    context = request.context_of(context_tokens)
    ids = check_ids(tokens, context, None)[:AGREEMENT_TOKENS][:reach]
    likely: tuple[Figure, ...] = ()
    ours = None
    with (request.open_probe or open_loop)(folder) as probe:
        if request.check == "passage":
            likely = (require_likely(tokens, context, parameters, probe),)
        if request.open_probe is not None and reach != 0:
            ours = probe.logits(ids)
    if ours is None:
        if reach == 0:
            request.report("CTranslate2's loop does not compute this model: the two engines are not compared")
        return likely
    with open_loop(folder) as loop:
        noise = noise_of(loop.logits(ids), ours)
    allowed = ALLOWED_DISAGREEMENT[request.quantization]
    if not noise <= allowed:
        raise Mismatch("the noise between two engines", noise, allowed)
    return (*likely, Figure(NAME, f"noise between two engines, {request.quantization}", rounded(noise), len(ids)))
