"""Checks of a decoder without an original: texts survive the tokenizer, a passage is likely, two engines agree.

To a network whose weights are misplaced, transposed or wrongly scaled, a plain text is about as unlikely as random
tokens. Trained networks give the text a perplexity of 10 to 60, the smallest networks some hundreds. So the passage
shows what a comparison with the original would show, except small differences; the comparison of two engines shows
these.
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
"""The tokens of the passage in this check."""
ALLOWED_PERPLEXITY = ((0, 2000.0), (100_000_000, 150.0), (1_000_000_000, 60.0))
"""The highest perplexity of the passage for a model of at least this many parameters. SmolLM2-135M has 28.7 and Gemma 3
270M has 28; no larger model was measured. The bound for a billion is a generous estimate, as larger models predict text
better.
"""
ALLOWED_DISAGREEMENT: dict[Quantization, float] = {"float32": EXACT, "int8_float32": 0.3, "int8": 0.3, "int4": 1.0}
"""The most noise between our engine and CTranslate2's; each adds the noise of its own quantized inputs."""
AGREEMENT_TOKENS = 128


def require_text(tokens: Tokens, folder: Path) -> None:
    """Refuse a tokenizer that loses a part of a text.

    Raises:
        CannotConvert: encoding and decoding change a text; the message has both texts.
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


def passage_ids(tokens: Tokens, context_tokens: int) -> list[int]:
    """The passage, as far as a model of this context reads it in this check."""
    ids = [] if tokens.begins_with is None else [tokens.id(tokens.begins_with)]
    return (ids + tokens.model.encode(PASSAGE, add_special_tokens=False).ids)[: min(MOST_TOKENS, context_tokens)]


def require_likely(tokens: Tokens, context_tokens: int, parameters: int, probe: Probe) -> Figure:
    """Refuse a model that finds the passage hardly likelier than chance (a perplexity of the vocabulary's size).

    Raises:
        Mismatch: the perplexity is above the bound for a model of its size.
    """
    ids = passage_ids(tokens, context_tokens)
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
    """Refuse a model that finds a text unlikely, or on which CTranslate2's loop and the serving engine disagree.

    The two engines are in memory one after the other. The loop computes only as far as it is correct: it ignores
    windows and soft caps.

    Args:
        tokens: the model's tokenizer.
        context_tokens: the model's context.
        reach: the most tokens that CTranslate2's loop computes correctly; None: no limit.
        parameters: the number of the model's parameters.
        folder: the written model.
        request: the options of the conversion.

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
