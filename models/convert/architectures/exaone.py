"""EXAONE 4: norms only after each half of a layer; if some layers have windows, the others have no positions."""

from dataclasses import replace
from functools import partial

from models.convert.architectures import llama
from models.convert.architectures.olmo import NORMS
from models.convert.architectures.page import Page
from models.convert.architectures.smollm3 import STILL
from models.convert.contract import CannotConvert
from models.convert.network import Decoder
from models.convert.stated import Stated


def _facts(stated: Stated) -> Decoder:
    decoder = replace(llama.LLAMA.facts(stated), norms="after", qk_norm="each")
    window = stated.window()
    if not window:
        return decoder
    types = stated.layer_types(_usual(stated.get("sliding_window_pattern"), decoder.layers))
    return replace(
        decoder,
        windows=tuple(window if kind == "sliding_attention" else 0 for kind in types),
        ropes=tuple(decoder.ropes[0] if kind == "sliding_attention" else STILL for kind in types),
    )


def _usual(pattern: object, layers: int) -> list[str]:
    """The kinds of the layers. A number n: every n-th layer sees all. Letters (``LLLG``): the last layer sees all."""
    if isinstance(pattern, int) and not isinstance(pattern, bool) and pattern > 0:
        return ["full_attention" if (i + 1) % pattern == 0 else "sliding_attention" for i in range(layers)]
    if isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"}:
        letters = [pattern[i % len(pattern)] for i in range(layers - 1)] + ["G"]
        return ["full_attention" if letter == "G" else "sliding_attention" for letter in letters]
    raise CannotConvert("config.json: sliding_window_pattern is neither a number of layers nor letters L and G.")


EXAONE4 = Page(
    _facts,
    partial(llama.weights, norms=NORMS),
    {
        **llama.DEFAULTS,
        "vocab_size": 102400,
        "intermediate_size": 16384,
        "rms_norm_eps": 1e-5,
        "sliding_window": 4096,
        "sliding_window_pattern": 4,
    },
)
