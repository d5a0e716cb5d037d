"""Flags of the engine: each does what its formula says, and CTranslate2 refuses a file with one that it lacks."""

from collections.abc import Callable
from typing import Any

import ctranslate2
import numpy as np
import pytest

from server.engines.rows import GenerationRow, Sampling
from tests.engines.step import reference, tiny
from tests.engines.step.conftest import EngineOf, FolderOf, logits, prompt

OWN = [name for name, family in tiny.FAMILIES.items() if family.own]
COMPARED = [
    "llama",
    "llama-interleaved",
    "llama-linear",
    "qwen2",
    "qwen3",
    "gpt2",
    "gemma",
    "gemma3",
    "gpt-neox",
    "gptj",
]


def without(variables: dict[str, Any], *ends: str) -> dict[str, Any]:
    return {name: value for name, value in variables.items() if not name.endswith(ends)}


def renamed(variables: dict[str, Any], **names: str) -> dict[str, Any]:
    """With norms of layers under other names."""
    found = {}
    for name, value in variables.items():
        for old, new in names.items():
            name = name.replace(f"/{old}_layer_norm/", f"/{new}_layer_norm/")
        found[name] = value
    return found


def before(variables: dict[str, Any]) -> dict[str, Any]:
    """Norms before each half instead of behind it."""
    found = {}
    for name, value in variables.items():
        for old, new in (("post_attention_", "self_attention/"), ("post_feedforward_", "ffn/")):
            name = name.replace(f"/{old}layer_norm/", f"/{new}layer_norm/")
        found[name] = value
    return found


def each_head(variables: dict[str, Any]) -> dict[str, Any]:
    """Each head normalised by itself, with the weights of the first."""
    ends = ("q_norm/gamma", "k_norm/gamma")
    return {name: value[:16] if name.endswith(ends) else value for name, value in variables.items()}


def changed(variables: dict[str, Any], end: str, value: float) -> dict[str, Any]:
    return {name: np.full_like(old, value) if name.endswith(end) else old for name, old in variables.items()}


MISTAKES: list[tuple[str, str, Callable[[dict[str, Any]], dict[str, Any]]]] = [
    ("olmo2", "norms before", before),
    ("olmo2", "a norm a head", each_head),
    ("olmo2", "no norm of queries", lambda v: without(v, "q_norm/gamma", "k_norm/gamma")),
    ("exaone4", "norms before", before),
    ("exaone4", "no window", lambda v: changed(v, "sliding_window", 0)),
    ("exaone4", "no divisors", lambda v: changed(v, "short_factor", 1)),
    ("hunyuan", "norm before the rotation", lambda v: without(v, "qk_norm_after_rotation")),
    ("yarn", "no divisors", lambda v: changed(v, "short_factor", 1)),
    ("yarn", "no factor", lambda v: without(v, "rotary_attention_factor")),
    ("longrope", "near divisors", lambda v: without(v, "long_factor")),
    ("longrope", "no factor", lambda v: without(v, "/max_position_embeddings")),
    (
        "gpt-neox",
        "one half after the other",
        lambda v: before(renamed(v, post_attention="post_feedforward", input="post_attention")),
    ),
]


@pytest.mark.parametrize("family", COMPARED)
def test_the_reference_computes_what_ctranslate2_computes(family: str, folder_of: FolderOf) -> None:
    generator = ctranslate2.Generator(str(folder_of(family)), compute_type="float32", intra_threads=1)
    ids = prompt(60)
    theirs = np.array(generator.forward_batch([ids]))[0]
    assert np.abs(reference.logits(folder_of(family), ids) - theirs).max() < 1e-3 * theirs.std()


@pytest.mark.parametrize("family", [*OWN, "longrope", "gpt-neox", "gptj"])
def test_a_flag_does_what_its_formula_says(family: str, compiled: Any, decoder: Any, folder_of: FolderOf) -> None:
    ids = prompt(60, seed=4)
    right = reference.logits(folder_of(family), ids)
    mistakes = {what: change for name, what, change in MISTAKES if name == family}
    variables = reference.read(folder_of(family))
    wrong = {what: reference.logits(folder_of(family), ids, change(variables)) for what, change in mistakes.items()}
    for isa in compiled.instruction_sets():
        ours = logits(decoder(family, isa=isa), ids)
        noise = np.abs(ours - right).mean()
        assert noise < 0.05 * right.std(), isa
        for what, other in wrong.items():
            assert np.abs(ours - other).mean() > 4 * noise, (isa, what)


@pytest.mark.parametrize("family", OWN)
def test_ctranslate2_refuses_a_file_with_a_flag_of_ours(family: str, folder_of: FolderOf) -> None:
    """It ignores attributes that it does not know, and would compute something else without a word."""
    with pytest.raises(Exception, match="HearthDecoderSpec"):
        ctranslate2.Generator(str(folder_of(family)))


def test_a_row_is_rotated_for_its_own_length(decoder: Any, folder_of: FolderOf) -> None:
    """Near divisors up to the original context; all tokens by the far ones as soon as the row is longer."""
    one, folder = decoder("longrope"), folder_of("longrope")
    ids = prompt(60, seed=5)
    for count in (tiny.NEAR_TOKENS - 1, tiny.NEAR_TOKENS, tiny.NEAR_TOKENS + 1, 60):
        right = reference.logits(folder, ids[:count])
        assert np.abs(logits(one, ids[:count]) - right).mean() < 0.05 * right.std(), count
    shorter, longer = (logits(one, ids[: tiny.NEAR_TOKENS + more]) for more in (0, 1))
    assert np.abs(shorter[-1] - longer[tiny.NEAR_TOKENS - 1]).mean() > 0.2 * shorter.std()


def test_a_row_that_outgrows_its_context_goes_on_as_if_it_had_always_been_long(decoder: Any) -> None:
    one = decoder("longrope")
    text = prompt(tiny.NEAR_TOKENS - 4, seed=6)
    row = one.open(text)
    for _ in range(12):
        assert one.reserve(row, one.pending(row))
        (chosen,), _ = one.step([row], [one.pending(row)])
        expected = int(logits(decoder("longrope"), text)[-1].argmax())
        assert chosen == expected, len(text)
        text.append(chosen)
    assert one.pending(row) == 1
    assert len(text) > tiny.NEAR_TOKENS + 4


def test_near_and_far_rows_share_no_prefix(decoder: Any) -> None:
    one = decoder("longrope")
    shared = prompt(tiny.NEAR_TOKENS, seed=7)
    far = shared + prompt(20, seed=8)
    whole = logits(one, far)
    near = one.open(shared)
    assert one.reserve(near, len(shared))
    one.step([near], [len(shared)])  # grows beyond the context: its blocks of the near kind stay findable
    row = one.open(far)
    assert one.reserve(row, len(far))
    assert one.cached(row) == 0
    assert np.array_equal(one.logits([row], [one.pending(row)]), whole)
    again = one.open([*far, 3])
    assert one.reserve(again, len(far) + 1)
    assert one.cached(again) == 48
    short = one.open(shared[: tiny.NEAR_TOKENS - 1])
    assert one.reserve(short, tiny.NEAR_TOKENS - 1)
    assert one.cached(short) == 16


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_rows_that_outgrow_their_context_write_alone_what_they_write_beside_others(
    engine_of: EngineOf, sink: Any, cache_bytes: int
) -> None:
    """Also where the cache has room for one of them, so that rows are preempted."""
    rows = [
        GenerationRow(prompt(5 * n + 1, seed=n), 50, sampling=Sampling(temperature=0.8 * (n % 2), seed=n))
        for n in range(8)
    ]
    alone = [pieces_of(engine_of("longrope"), [row], sink())[0] for row in rows]
    assert pieces_of(engine_of("longrope", 2, cache_bytes=cache_bytes), rows, sink()) == dict(enumerate(alone))


def pieces_of(engine: Any, rows: list[GenerationRow], out: Any) -> dict[int, list[int]]:
    engine.run(rows, out)
    return {i: [token.id for token in pieces] for i, pieces in out.pieces.items()}
