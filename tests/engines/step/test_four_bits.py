"""Four-bit weights: the engine computes with the numbers in the file, and refuses a file whose form is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.engines.step.support import config, is_own, supports
from tests.engines.step import reference, tiny
from tests.engines.step.conftest import IN_FOUR_BITS, FolderOf, logits, prompt

IDS = prompt(60)


def numbers(folder: Path, chosen: Callable[[str], bool] = tiny.in_layers) -> Any:
    """The logits of an int8 folder whose chosen matrices have the numbers that four bits say."""
    return reference.logits(folder, IDS, tiny.in_four_bits(reference.read(folder), chosen))


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma3", "gpt2", "gptj"])
def test_the_engine_computes_with_the_numbers_of_the_file(
    family: str, compiled: Any, decoder: Callable[..., Any], folder_of: FolderOf
) -> None:
    wanted = numbers(folder_of(family))
    before = np.abs(reference.logits(folder_of(family), IDS) - wanted).mean()
    for isa in compiled.instruction_sets():
        found = logits(decoder(f"{family}{IN_FOUR_BITS}", isa=isa), IDS)
        assert np.abs(found - wanted).mean() < 0.2 * before, isa
        assert np.abs(found - wanted).mean() < 0.03 * wanted.std(), isa


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_embeddings_and_the_last_layer_may_have_four_bits(
    family: str, compiled: Any, folder_of: FolderOf, tmp_path: Path
) -> None:
    def every(name: str) -> bool:
        return name.endswith("/weight")

    wanted = numbers(folder_of(family), every)
    folder = tiny.write_four_bits(tmp_path / "four", folder_of(family), every)
    one = compiled.Decoder(str(folder / "model.bin"), config(folder), 1, "", 128, 0)
    assert np.abs(logits(one, IDS) - wanted).mean() < 0.03 * wanted.std()


def test_only_our_engine_serves_a_folder_in_four_bits(folder_of: FolderOf) -> None:
    folder = folder_of(f"llama{IN_FOUR_BITS}")
    assert is_own(folder)
    assert supports(folder) is None


def test_a_file_in_four_bits_is_a_third_smaller_or_more(folder_of: FolderOf, decoder: Callable[..., Any]) -> None:
    assert decoder(f"llama{IN_FOUR_BITS}").weight_bytes < 0.75 * decoder("llama").weight_bytes


@pytest.mark.parametrize(
    ("chosen", "revision", "says"),
    [
        (lambda name: name.endswith("layer_0/ffn/linear_0/weight"), 2, "only one of .* has four-bit weights"),
        (tiny.in_layers, 1, "has shape"),
    ],
)
def test_a_file_of_another_form_is_refused(
    chosen: Callable[[str], bool], revision: int, says: str, compiled: Any, folder_of: FolderOf, tmp_path: Path
) -> None:
    folder = tiny.write_four_bits(tmp_path / "four", folder_of("llama"), chosen, revision)
    with pytest.raises(ValueError, match=says):
        compiled.Decoder(str(folder / "model.bin"), config(folder), 1, "", 128, 0)


def test_group_scales_of_another_shape_or_name_are_refused(compiled: Any, folder_of: FolderOf, tmp_path: Path) -> None:
    data = (folder_of(f"llama{IN_FOUR_BITS}") / "model.bin").read_bytes()
    name = b"decoder/layer_0/ffn/linear_1/weight_group_scale\0"
    at = data.index(name)
    file = tmp_path / "model.bin"
    rank = at + len(name)
    shape = np.frombuffer(data[rank + 1 : rank + 9], "<u4")
    turned = data[: rank + 1] + shape[::-1].tobytes() + data[rank + 9 :]
    renamed = data[:at] + name.replace(b"group", b"grope") + data[rank:]
    for changed, says in ((turned, "weight_group_scale' has shape"), (renamed, "weight_group_scale' is missing")):
        file.write_bytes(changed)
        with pytest.raises(ValueError, match=says):
            compiled.Decoder(str(file), compiled.Config(), 1, "", 128, 0)


def test_the_inputs_of_a_layer_are_shown(decoder: Callable[..., Any], folder_of: FolderOf) -> None:
    """With the weights, they give the layer's products: the residual stream after it is what the next layer reads."""
    one = decoder("llama", threads=2)
    row = one.open(IDS)
    assert one.reserve(row, len(IDS))
    with pytest.raises(ValueError, match="more tokens"):
        one.inputs(row, 4)
    first, second = one.inputs(row, len(IDS))
    assert [each.shape for each in first] == [(60, 72), (60, 64), (60, 72), (60, 100)]
    v = reference.read(folder_of("llama"))
    x = v["embeddings/weight"][IDS]

    def normed(x: Any, scope: str) -> Any:
        return x / np.sqrt(np.square(x).mean(1, keepdims=True) + 1e-6) * v[f"{scope}/gamma"]

    assert np.abs(first[0] - normed(x, "layer_0/self_attention/layer_norm")).max() < 1e-4
    x = x + first[1] @ v["layer_0/self_attention/linear_1/weight"].T
    assert np.abs(first[2] - normed(x, "layer_0/ffn/layer_norm")).mean() < 0.02
    x = x + first[3] @ v["layer_0/ffn/linear_1/weight"].T
    assert np.abs(second[0] - normed(x, "layer_1/self_attention/layer_norm")).mean() < 0.03
    assert one.pending(row) == 0
