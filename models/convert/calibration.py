"""The inputs of a decoder's matrices, on texts that the model writes itself.

An error of a weight counts by the inputs that it meets, so a converter that rounds to four bits needs some. A trained
model writes text like the text it was trained on; no other text has to be at hand, for any language or task.
"""

from functools import partial

import numpy as np

from models.convert.contract import Watched
from models.convert.four_bits import four_bits
from models.convert.model_bin import FourBitMatrices
from models.convert.network import Decoder
from models.convert.tokens import Tokens

_TEXTS = 32
_TEXT_TOKENS = 128
FOUR_BIT_MATRICES = {"self_attention/linear_1": 1, "ffn/linear_0": 2, "ffn/linear_0_noact": 2, "ffn/linear_1": 3}
"""The matrices of a layer that get four bits, and the place of each one's inputs in `Watched.input_squares`. The matrix
of queries, keys and values stays in int8: it is a tenth of a layer, and four bits there would cost as much as in all
others together (`load_tests/step/RESULTS.md`).
"""


def matrices(probe: Watched, tokens: Tokens, decoder: Decoder) -> FourBitMatrices:
    """The matrices that get four bits, each with the function that rounds it by the mean squares of its inputs.

    Args:
        probe: the model in int8, its columns not evened.
        tokens: the model's tokenizer.
        decoder: the model's facts.
    """
    begin = tokens.begins_with or tokens.specials.get("eos_token")
    texts = probe.written([0 if begin is None else tokens.id(begin)], _TEXTS, _TEXT_TOKENS)
    sums = probe.input_squares(texts[0])
    for text in texts[1:]:
        for layer, found in zip(sums, probe.input_squares(text), strict=True):
            for total, squares in zip(layer, found, strict=True):
                total += squares
    count = sum(map(len, texts))
    names = [name for name in FOUR_BIT_MATRICES if decoder.gated or name != "ffn/linear_0_noact"]
    return {
        f"decoder/layer_{i}/{name}/weight": partial(
            four_bits, importance=layer[FOUR_BIT_MATRICES[name]] / np.float32(count)
        )
        for i, layer in enumerate(sums)
        for name in names
    }
