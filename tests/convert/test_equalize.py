"""Evened columns change nothing that a decoder computes, and make its int8 finer; every family's page, no torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest

from models.convert.architectures import page_of
from models.convert.architectures.page import Weights
from models.convert.decoder_files import write_facts
from models.convert.equalize import equalized
from models.convert.model_bin import Variables, write_model
from models.convert.network import Decoder, scalars, vectors
from models.convert.tensors.base import whole
from tests.convert.decoder_repositories import KINDS, OUT, OWN, SIZES

IDS = [int(id) for id in np.random.default_rng(5).integers(0, 320, 40)]


class Random(Weights):
    """Weights of any name and shape, whose columns differ as those of trained models do."""

    def __init__(self, spread: float) -> None:
        super().__init__({}, {})
        self._random = np.random.default_rng(0)
        self._spread = spread

    def take(self, name: str, *shape: int) -> Any:
        """See `Weights`."""
        if len(shape) == 1:
            return InMemory(self._random.normal(0.5, 0.2, shape).astype(np.float32))
        columns = np.exp(self._random.normal(0, self._spread, shape[1]))
        return InMemory((self._random.normal(0, 0.6 / shape[1] ** 0.5, shape) * columns).astype(np.float32))


class InMemory:
    """A tensor that is there."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape

    def rows(self, begin: int, end: int) -> np.ndarray:
        """See `Tensor`."""
        return self.array[begin:end].copy()


def variables(kind: str, spread: float = 0.7) -> tuple[Decoder, Variables]:
    """A tiny decoder of random weights, whose columns differ by this."""
    name, more = KINDS[kind]
    page = page_of({"Gemma3Text": "Gemma3ForCausalLM", "GPT2": "GPT2LMHeadModel"}.get(name, f"{name}ForCausalLM"))
    sizes = {**SIZES, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256} if kind == "gpt2" else SIZES
    decoder = page.decoder({key: value for key, value in {**sizes, **more}.items() if value is not OUT})
    return decoder, {
        **scalars(decoder),
        **vectors(decoder),
        **{f"decoder/{name}": tensor for name, tensor in page.weights(decoder, Random(spread))},
    }


def logits(folder: Path, decoder: Decoder, of: Variables, quantization: Any) -> np.ndarray:
    """What CTranslate2's loop computes of it, in float32."""
    folder.mkdir()
    write_model(folder / "model.bin", *decoder.specification, of, quantization)
    write_facts(decoder, {"unk_token": "0"}, [str(i) for i in range(decoder.vocabulary)], folder)
    loop = ctranslate2.Generator(str(folder), compute_type="float32")  # so that weights alone are rounded
    return np.array(loop.forward_batch([IDS]))[0].astype(np.float64)


@pytest.fixture
def both(tmp_path: Path) -> Callable[..., list[np.ndarray]]:
    """The logits of a kind as it is and evened."""

    def both(kind: str, quantization: str = "float32", spread: float = 0.7) -> list[np.ndarray]:
        decoder, plain = variables(kind, spread)
        made = {"plain": plain, "evened": equalized(decoder, plain)}
        return [logits(tmp_path / f"{quantization}-{name}", decoder, of, quantization) for name, of in made.items()]

    return both


# Our engine alone computes the others, in int8; tests/convert/test_flags.py holds it to their formulas.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in OWN])
def test_a_family_computes_the_same_with_evened_columns(both: Any, kind: str) -> None:
    plain, evened = both(kind)
    assert np.abs(evened - plain).max() < 1e-4 * np.abs(plain).max()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if variables(kind)[0].norms in ("before", "around")])
def test_every_matrix_is_evened_where_the_family_allows_it(kind: str) -> None:
    decoder, plain = variables(kind)
    changed = {name for name, tensor in equalized(decoder, plain).items() if tensor is not plain[name]}
    linears = ["self_attention/linear_0", "self_attention/linear_1", "ffn/linear_0"]
    linears += ["ffn/linear_0_noact", "ffn/linear_1"] if decoder.gated else []
    assert {f"decoder/layer_{i}/{name}/weight" for i in range(decoder.layers) for name in linears} <= changed
    assert not any(name.endswith(("embeddings/weight", "projection/weight", "_norm/weight")) for name in changed)


def test_int8_of_evened_columns_is_nearer_to_the_floats(both: Any) -> None:
    exact, _ = both("llama", spread=1.5)
    plain, evened = (np.square(each - exact).mean() for each in both("llama", "int8_float32", spread=1.5))
    assert evened < 0.8 * plain


def test_a_layer_with_something_unknown_is_left_as_it_is() -> None:
    decoder, plain = variables("llama")
    strange = {**plain, "decoder/layer_1/self_attention/sub_norm/gamma": InMemory(np.ones(64, np.float32))}
    changed = {name for name, tensor in equalized(decoder, strange).items() if tensor is not strange[name]}
    assert changed
    assert all(name.startswith("decoder/layer_0/") for name in changed)


def test_columns_that_differ_by_chance_alone_are_left_as_they_are() -> None:
    decoder, plain = variables("llama", spread=0)
    for name, tensor in equalized(decoder, plain).items():
        was = plain[name]
        if not isinstance(tensor, np.generic) and not isinstance(was, np.generic):
            assert np.array_equal(whole(tensor), whole(was)), name


def test_columns_of_zeros_stay_zeros(tmp_path: Path) -> None:
    decoder, plain = variables("llama")
    name = "decoder/layer_0/ffn/linear_1/weight"
    array = plain[name].rows(0, decoder.width)  # type: ignore[union-attr]
    array[:, 3] = 0
    plain = {**plain, name: InMemory(array)}
    assert not equalized(decoder, plain)[name].rows(0, decoder.width)[:, 3].any()  # type: ignore[union-attr]
    assert np.isfinite(logits(tmp_path / "made", decoder, equalized(decoder, plain), "float32")).all()
