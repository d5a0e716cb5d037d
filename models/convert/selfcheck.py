"""Compares a converted decoder with its original: logits of a few hundred tokens, and greedy text.

The module makes two comparisons, since each finds faults that the other cannot. The weights in float32, through
CTranslate2, must give the original's logits almost exactly: a misplaced tensor or a missing scalar shows at once. The
quantized model, through the engine that will serve it, must give the logits up to the noise of quantization: a window
or a soft cap that this engine ignores shows there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.cards import Figure
from models.convert.contract import Mismatch, Probe, Quantization
from models.convert.passage import PASSAGE
from models.convert.tokens import Tokens

LEAST_TOKENS = 384
MOST_TOKENS = 1536
"""The largest window that the check looks beyond; for longer ones the original would need minutes."""
BEYOND_WINDOW_TOKENS = 96
GREEDY_TOKENS = 32
GREEDY_PROMPT_TOKENS = 64
EXACT = 1e-3
"""The largest difference of a float32 logit, in units of the logits' standard deviation or of 1 if that is less."""
ALLOWED_NOISE: dict[Quantization, float] = {"float32": EXACT, "int8_float32": 0.2, "int8": 0.2, "int4": 0.6}
"""The most noise of the served model: root mean square of the difference over that of the logits, each about its
mean."""

NAME = "self-check"


@dataclass(frozen=True, slots=True)
class Reference:
    """The original's outputs for one text."""

    ids: list[int]
    logits: npt.NDArray[np.float32]
    greedy: list[int]
    """Its likeliest tokens after the first ``GREEDY_PROMPT_TOKENS`` ids."""


def check_ids(tokens: Tokens, context_tokens: int, window: int | None) -> list[int]:
    """The text of the check, long enough to exceed a window that is not too large."""
    wanted = LEAST_TOKENS
    if window is not None and window + BEYOND_WINDOW_TOKENS <= MOST_TOKENS:
        wanted = max(wanted, window + BEYOND_WINDOW_TOKENS)
    ids = [] if tokens.begins_with is None else [tokens.id(tokens.begins_with)]
    passage: list[int] = tokens.model.encode(PASSAGE, add_special_tokens=False).ids
    while len(ids) < wanted:
        ids += passage
    return ids[: min(wanted, context_tokens)]


def reference(model: Any, ids: list[int]) -> Reference:
    """transformers' outputs in float32.

    Args:
        model: a causal language model in evaluation mode.
        ids: at least one.
    """
    import torch

    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0].float().numpy()
        text, made = torch.tensor([ids[:GREEDY_PROMPT_TOKENS]]), []
        for _ in range(GREEDY_TOKENS):
            made.append(int(model(text).logits[0, -1].argmax()))
            text = torch.cat([text, torch.tensor([[made[-1]]])], dim=1)
    return Reference(ids, logits, made)


def require_exact(wanted: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> Figure:
    """Refuse float32 logits that differ from the original's.

    Raises:
        Mismatch: a logit differs by more than rounding errors.
    """
    difference = finite(float(np.abs(wanted - found).max()) / max(1.0, float(wanted.std())))
    if not difference <= EXACT:
        raise Mismatch("the largest difference of a float32 logit", difference, EXACT)
    return Figure(NAME, "largest difference of a logit in float32", rounded(difference), len(wanted))


def require_served(wanted: Reference, probe: Probe, quantization: Quantization) -> tuple[Figure, ...]:
    """Refuse a served model that differs from the original by more than quantization.

    Raises:
        Mismatch: the logits differ by more than the quantization's noise.
    """
    found = probe.logits(wanted.ids)
    noise = noise_of(wanted.logits, found)
    allowed = ALLOWED_NOISE[quantization]
    if not noise <= allowed:
        raise Mismatch(f"the noise of the logits as served ({quantization})", noise, allowed)
    agreeing = float((wanted.logits.argmax(1) == found.argmax(1)).mean())
    greedy = probe.greedy(wanted.ids[:GREEDY_PROMPT_TOKENS], len(wanted.greedy))
    return (
        Figure(NAME, f"noise of the logits as served, {quantization}", rounded(noise), len(found)),
        Figure(NAME, "same likeliest token as the original", rounded(agreeing), len(found)),
        Figure(NAME, "greedy tokens equal before the first other", common(wanted.greedy, greedy), len(greedy)),
    )


def noise_of(wanted: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> float:
    """Root mean square of the difference over that of the logits, each position about its mean; infinite for NaN."""
    off, size = 0.0, 0.0
    for a, b in zip(wanted, found, strict=True):  # one row at a time: all rows would be copied three times
        a, b = a - a.mean(), b - b.mean()
        off, size = off + float(np.square(a - b).sum()), size + float(np.square(a).sum())
    return finite(float(np.sqrt(np.divide(off, size))))


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """The length of the common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a))


def finite(value: float) -> float:
    """The value; infinite for NaN, so that NaN exceeds every bound."""
    return value if np.isfinite(value) else float("inf")


def rounded(value: float) -> float:
    """The value with two digits, the precision of these figures."""
    return float(f"{value:.2g}")
