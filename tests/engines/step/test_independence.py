"""A row's bits do not depend on what runs beside it, on how its prompt is cut, or on threads."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.engines.step.conftest import IN_FOUR_BITS, logits, prompt


@pytest.fixture(
    params=[
        *("llama", "qwen3", "mistral", "gpt2", "gemma3", "olmo2", "exaone4", "hunyuan", "gpt-neox", "gptj"),
        *(f"llama{IN_FOUR_BITS}", f"gpt-neox{IN_FOUR_BITS}"),
    ]
)
def family(request: Any) -> str:
    return str(request.param)


def every_set(compiled: Any) -> list[str]:
    sets: list[str] = compiled.instruction_sets()
    return sets


def test_a_prompt_cut_anyhow_gives_the_same_bits(family: str, compiled: Any, decoder: Callable[..., Any]) -> None:
    ids = prompt(70)
    for isa in every_set(compiled):
        one = decoder(family, isa=isa)
        whole = logits(one, ids)
        for chunk in (1, 3, 16, 37):
            assert np.array_equal(whole, logits(one, ids, chunk)), (isa, chunk)


def test_threads_do_not_change_a_bit(family: str, decoder: Callable[..., Any]) -> None:
    ids = prompt(70)
    alone = logits(decoder(family), ids)
    for threads in (2, 3):
        for chunk in (1, 70):
            assert np.array_equal(alone, logits(decoder(family, threads=threads), ids, chunk))


def test_neighbours_do_not_change_a_bit(family: str, compiled: Any, decoder: Callable[..., Any]) -> None:
    """Rows of different lengths, some decoding and some with prompt chunks, against each alone."""
    texts = [prompt(length, seed=length) for length in (1, 5, 16, 17, 33, 40, 60, 2, 90, 64, 7, 8, 9, 31)]
    for isa in every_set(compiled):
        one = decoder(family, isa=isa, threads=2, cache_blocks=200)
        alone = [logits(one, ids) for ids in texts]
        rows = [one.open(ids) for ids in texts]
        got: list[list[Any]] = [[] for _ in rows]
        random = np.random.default_rng(5)
        while any(one.pending(row) for row in rows):
            here = [i for i, row in enumerate(rows) if one.pending(row) and random.random() < 0.8]
            counts = [int(random.integers(1, min(24, one.pending(rows[i])) + 1)) for i in here]
            for i, count in zip(here, counts, strict=True):
                assert one.reserve(rows[i], count)
            values = one.logits([rows[i] for i in here], counts) if here else np.zeros((0, 1))
            for i, part in zip(here, np.split(values, np.cumsum(counts)[:-1]) if here else [], strict=True):
                got[i].append(part)
        for i in range(len(rows)):
            assert np.array_equal(np.concatenate(got[i]), alone[i]), (isa, i)


def test_a_reused_prefix_gives_the_same_bits(family: str, decoder: Callable[..., Any]) -> None:
    one = decoder(family)
    shared = prompt(50)
    ids = shared + prompt(20, seed=9)
    whole = logits(one, ids)
    first = one.open(shared)
    assert one.reserve(first, 50)
    one.step([first], [50])
    one.close(first)
    second = one.open(ids)
    assert one.reserve(second, 70)
    assert one.cached(second) == 48
    assert np.array_equal(one.logits([second], [one.pending(second)]), whole[48:])
