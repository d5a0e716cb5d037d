"""Reads the position encoding of queries and keys from a configuration.

``yarn`` and ``longrope`` become lists of divisors, one for each frequency, so an engine needs to know neither.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from models.convert.contract import CannotConvert
from models.convert.network import Rope
from models.convert.stated import Stated, short

KINDS = "linear, llama3, yarn, longrope"
_ORIGINAL = "original_max_position_embeddings"


def rope_of(stated: Stated, head_dim: int, kind: str = "full_attention", *, partly: bool = False) -> Rope:
    """The positions of a layer, from ``rope_parameters`` or from the older keys.

    Args:
        stated: the configuration.
        head_dim: the size of a head.
        kind: the layer's kind, if the configuration distinguishes kinds.
        partly: true if the family can rotate a part of each head.

    Raises:
        CannotConvert: no engine here computes this scaling of positions.
    """
    written = stated.get("rope_parameters") or stated.get("rope_scaling") or {}
    chosen = written.get(kind, written) if isinstance(written, Mapping) else None
    if not isinstance(chosen, Mapping):
        raise CannotConvert("config.json: rope_parameters is no object.")
    table = Stated({"rope_theta": stated.get("rope_theta"), **chosen}, {})
    share = table.number("partial_rotary_factor", stated.number("partial_rotary_factor", 1.0))
    if share != 1 and not partly:
        raise CannotConvert("config.json rotates a part of each head only, which this family does not do here.")
    rope = Rope(table.number("rope_theta"), dimensions=0 if share == 1 else int(head_dim * share + 1e-6))
    return _scaled(stated, table, rope, rope.dimensions or head_dim)


def _scaled(stated: Stated, table: Stated, rope: Rope, dimensions: int) -> Rope:
    scaling = table.get("rope_type") or table.get("type") or "default"
    if scaling == "default":
        return rope
    if scaling == "linear":
        return replace(rope, kind="linear", factor=table.number("factor"))
    if scaling == "llama3":
        return replace(
            rope,
            kind="llama3",
            factor=table.number("factor"),
            low_frequency=table.number("low_freq_factor"),
            high_frequency=table.number("high_freq_factor"),
            original_tokens=table.integer("original_max_position_embeddings"),
        )
    if scaling == "yarn":
        return _yarn(stated, table, rope, dimensions)
    if scaling in ("longrope", "su"):
        return _longrope(stated, table, rope, dimensions)
    raise CannotConvert(f"Positions are scaled by {short(scaling)}; computed here: {KINDS}.")


def _yarn(stated: Stated, table: Stated, rope: Rope, dimensions: int) -> Rope:
    """Frequencies that turn often within the original context stay; those that turn seldom are stretched."""
    context = stated.integer("max_position_embeddings")
    original = table.integer(_ORIGINAL, stated.get(_ORIGINAL) or context)
    factor = table.number("factor", context / original)

    def place(turns: float) -> float:
        """The index of the frequency with this number of turns within the original context."""
        return dimensions * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(rope.base))

    low, high = place(table.number("beta_fast", 32.0)), place(table.number("beta_slow", 1.0))
    if table.get("truncate") is not False:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dimensions - 1)
    high += 0.001 if low == high else 0
    stretched = [min(max((i - low) / (high - low), 0.0), 1.0) for i in range(dimensions // 2)]
    return replace(
        rope,
        kind="yarn",
        stretched_tokens=int(factor * original),
        divisors=tuple(1 / (share / factor + (1 - share)) for share in stretched),
        attention=table.number("attention_factor", _yarn_attention(table, factor)),
    )


def _yarn_attention(table: Stated, factor: float) -> float:
    def scale(times: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * times * math.log(factor) + 1.0

    if table.get("mscale") and table.get("mscale_all_dim"):
        return scale(table.number("mscale")) / scale(table.number("mscale_all_dim"))
    return scale(1.0)


def _longrope(stated: Stated, table: Stated, rope: Rope, dimensions: int) -> Rope:
    """Two lists of divisors: one for texts within the original context, one for longer texts."""
    context = stated.integer("max_position_embeddings")
    original = table.integer(_ORIGINAL, stated.get(_ORIGINAL) or context)
    made = replace(
        rope,
        kind="longrope",
        original_tokens=original,
        stretched_tokens=context,
        divisors=_list(table, "short_factor", dimensions // 2),
        far_divisors=_list(table, "long_factor", dimensions // 2),
    )
    factor = table.number("factor", context / original)
    usual = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    return replace(made, attention=table.number("attention_factor", usual))


def _list(table: Stated, name: str, length: int) -> tuple[float, ...]:
    found = table.get(name)
    if not isinstance(found, list) or len(found) != length:
        raise CannotConvert(f"config.json: {name} is no list of {length} numbers, one for each frequency.")
    if not all(type(each) in (int, float) and 0 < each < float("inf") for each in found):
        raise CannotConvert(f"config.json: {name} has what is no number above 0.")
    return tuple(float(each) for each in found)
