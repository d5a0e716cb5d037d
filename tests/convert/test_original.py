"""Weights that are a pickle: torch's restricted reader makes tensors of them and runs nothing."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from models.convert.contract import CannotConvert  # noqa: E402
from models.convert.original import load  # noqa: E402
from models.convert.source import Source, read_source  # noqa: E402

WEIGHTS = "pytorch_model.bin"


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.touch, (self.file,))


@pytest.fixture
def pickled(tmp_path: Path) -> Source:
    """A tiny repository whose only weights are a pickle."""
    config = transformers.GPT2Config(vocab_size=16, n_positions=8, n_embd=8, n_layer=1, n_head=1)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    [safe] = tmp_path.glob("*.safetensors")
    from safetensors.torch import load_file

    torch.save(OrderedDict(load_file(safe)), tmp_path / WEIGHTS)
    safe.unlink()
    return read_source(tmp_path)


def test_tensors_in_a_pickle_are_read(pickled: Source) -> None:
    assert load("AutoModelForCausalLM", pickled).transformer.wte.weight.shape == (16, 8)


def test_anything_else_in_a_pickle_is_refused_before_it_runs(pickled: Source, tmp_path: Path) -> None:
    weights = torch.load(pickled.path(WEIGHTS), weights_only=True)
    torch.save(weights | {"bomb": Bomb(tmp_path / "gone_off")}, pickled.path(WEIGHTS))
    with pytest.raises(CannotConvert, match="cannot be read"):
        load("AutoModelForCausalLM", pickled)
    assert not (tmp_path / "gone_off").exists()
