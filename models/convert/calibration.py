"""The inputs of a decoder's matrices, on texts that the model writes itself.

An error of a weight counts by the inputs that it meets, so a converter that rounds to four bits needs some. A trained
model writes text like the text it was trained on; no other text has to be at hand, for any language or task.
"""

from models.convert.contract import Watched
from models.convert.model_bin import FourBitMatrices
from models.convert.network import Decoder
from models.convert.tokens import Tokens

_TEXTS = 32
_TEXT_TOKENS = 128
_MATRICES = {
    "self_attention/linear_0": 0,
    "self_attention/linear_1": 1,
    "ffn/linear_0": 2,
    "ffn/linear_0_noact": 2,
    "ffn/linear_1": 3,
}
"""The matrices of a layer, and the place of each one's inputs in `Watched.input_squares`."""


def measured(probe: Watched, tokens: Tokens, decoder: Decoder) -> FourBitMatrices:
    """The matrices of all layers, each with the mean squares of its inputs.

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
    names = [name for name in _MATRICES if decoder.gated or name != "ffn/linear_0_noact"]
    return {
        f"decoder/layer_{i}/{name}/weight": layer[_MATRICES[name]] / count
        for i, layer in enumerate(sums)
        for name in names
    }
