"""Every family computes what CTranslate2 computes from the same files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
import pytest

from server.engines.step.support import config
from tests.engines.step import reference as numpy_reference
from tests.engines.step import tiny
from tests.engines.step.conftest import logits, prompt

Floats = npt.NDArray[np.float32]


# CTranslate2 knows no cap of attention.
CTRANSLATE2S = [name for name, family in tiny.FAMILIES.items() if name != "gemma2" and not family.own]


def reference(folder: Path, ids: list[int], compute_type: str) -> Floats:
    generator = ctranslate2.Generator(str(folder), compute_type=compute_type, intra_threads=1)
    return np.array(generator.forward_batch([ids]))[0]


@pytest.mark.parametrize("family", CTRANSLATE2S)
def test_logits_are_nearer_to_the_float_model_than_ctranslate2s(
    family: str, decoder: Callable[..., Any], folder_of: Callable[[str], Path]
) -> None:
    # CTranslate2 refuses a prompt longer than the window here; the window has a test of its own.
    ids = prompt(20 if family == "mistral" else 60)
    int8, exact = (reference(folder_of(family), ids, kind) for kind in ("int8", "float32"))
    ours = logits(decoder(family), ids)
    noise = np.abs(int8 - exact).mean()
    assert noise > 0
    assert np.abs(ours - exact).mean() < 0.95 * noise
    gap = np.sort(int8, axis=1)[:, -1] - np.sort(int8, axis=1)[:, -2]
    clear = gap > 6 * noise
    assert clear.sum() > 5
    assert (ours.argmax(1) == int8.argmax(1))[clear].all()


@pytest.mark.parametrize("channel", [0, 45, 71])
def test_a_large_input_does_not_coarsen_those_of_other_blocks(channel: int, compiled: Any, tmp_path: Path) -> None:
    """Trained models have such channels; a scale a row would give every input the step that the largest one wants."""

    def enlarge(spec: Any) -> None:
        for layer in spec.decoder.layer:
            for norm in (layer.self_attention.layer_norm, layer.ffn.layer_norm):
                norm.gamma[channel] *= 30

    folder = tiny.write(tmp_path, replace(tiny.FAMILIES["llama"], change=enlarge))
    ids = prompt(60)
    int8, exact = (reference(folder, ids, kind) for kind in ("int8", "float32"))
    noise = np.abs(int8 - exact).mean()
    for isa in compiled.instruction_sets():
        ours = logits(compiled.Decoder(str(folder / "model.bin"), config(folder), 1, isa, 128, 0), ids)
        assert np.abs(ours - exact).mean() < 0.8 * noise, isa


def test_a_window_hides_what_is_older(decoder: Callable[..., Any], folder_of: Callable[[str], Path]) -> None:
    """Two layers of 24 positions each: a token sees the 47 before it; CTranslate2's own loop agrees."""
    mistral = decoder("mistral")
    a, b = prompt(60, seed=1), prompt(60, seed=1)
    b[0] = (b[0] + 1) % tiny.VOCABULARY
    first, second = logits(mistral, a), logits(mistral, b)
    assert not np.array_equal(first[40], second[40])
    assert np.array_equal(first[47:], second[47:])
    plain = logits(decoder("llama"), a)
    assert np.array_equal(plain[:24], first[:24])
    assert not np.array_equal(plain[24], first[24])


def test_caps_and_windows_of_gemma_2_are_those_of_its_formula(
    decoder: Callable[..., Any], folder_of: Callable[[str], Path]
) -> None:
    ids = prompt(60, seed=2)
    folder = folder_of("gemma2")
    ours = logits(decoder("gemma2"), ids)
    noise = np.abs(ours - numpy_reference.logits(folder, ids)).mean()
    variables = numpy_reference.read(folder)
    changes: list[dict[str, Any]] = [
        {"final_logit_softcap": 0.0},
        {"attention_logit_softcap": 0.0},
        {"variables": {**variables, "layer_0/self_attention/sliding_window": np.float32(0)}},
    ]
    for change in changes:
        wrong = numpy_reference.logits(folder, ids, **change)
        assert np.abs(ours - wrong)[30:].mean() > 4 * noise, change
    assert np.abs(ours).max() <= 3.0


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2", "gemma3"])
def test_greedy_text_is_ctranslate2s(
    family: str, compiled: Any, folder_of: Callable[[str], Path], decoder: Callable[..., Any]
) -> None:
    """Token by token through the cache, as far as the reference is not undecided itself."""
    generator = ctranslate2.Generator(str(folder_of(family)), compute_type="int8", intra_threads=1)
    ids = prompt(12, seed=3)
    result = generator.generate_batch(
        [[f"t{i}" for i in ids]],
        max_length=40,
        include_prompt_in_result=False,
        end_token=[],
        return_logits_vocab=True,
    )[0]
    one = decoder(family)
    row = one.open(ids)
    for theirs, scores in zip(result.sequences_ids[0], result.logits[0], strict=True):
        assert one.reserve(row, one.pending(row))
        (ours,), _ = one.step([row], [one.pending(row)])
        top = np.sort(np.array(scores))[-2:]
        if ours != theirs:
            assert top[1] - top[0] < 0.5, "a clear choice differs"
            break


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "gemma3"])
def test_all_instruction_sets_agree(family: str, compiled: Any, decoder: Callable[..., Any]) -> None:
    ids = prompt(50)
    best, *others = (logits(decoder(family, isa=isa), ids) for isa in compiled.instruction_sets())
    for other in others:
        assert np.abs(best - other).mean() < 0.02
