"""Writes a decoder in four bits, and measures how much less likely its texts become.

The model is written in int8 first: our engine measures the inputs of its matrices (`models.convert.calibration`), and
most matrices of its layers are rounded to four bits by these. The others, the embeddings and the last layer stay in
int8, where four bits would cost the most.
"""

import tempfile
from pathlib import Path

import numpy as np

from models.cards import Figure
from models.convert.calibration import matrices
from models.convert.contract import CannotConvert, Probe, Request, Watched
from models.convert.decoder_files import write_decoder, write_facts
from models.convert.likeliness import passage_ids
from models.convert.network import Decoder
from models.convert.probe import open_loop
from models.convert.selfcheck import NAME, finite
from models.convert.source import Source
from models.convert.tokens import Tokens

MOST_LOSS_PERCENT = 4.0
"""A larger loss is said: a smaller model in int8 is then often the better choice."""


def write_in_four_bits(
    source: Source, decoder: Decoder, tokens: Tokens, folder: Path, request: Request
) -> tuple[int, tuple[Figure, ...]]:
    """Write the decoder's files. Returns the number of parameters and the measured loss.

    Raises:
        CannotConvert: our decode engine is not there, or does not compute this model.
    """
    ids = passage_ids(tokens, request.context_of(decoder.context_tokens))
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        other = Path(beside)
        write_facts(decoder, tokens.specials, tokens.vocabulary, other)
        in_floats = decoder.closed_loop_tokens is None or decoder.closed_loop_tokens >= len(ids)
        if in_floats:
            request.report("measuring the model in float32")
            write_decoder(source, decoder, other, "float32")
            with open_loop(other) as loop:
                before = _perplexity(loop, ids)
        write_decoder(source, decoder, other, "int8", equalize=False)
        with (request.open_probe or open_loop)(other) as probe:
            if not isinstance(probe, Watched):
                raise CannotConvert(
                    "Only our decode engine serves four bits, and it does not serve this model here: "
                    "leave out --quantization."
                )
            if not in_floats:
                before = _perplexity(probe, ids)
            request.report("measuring the inputs of the model's layers")
            chosen = matrices(probe, tokens, decoder)
            request.report("rounding to four bits")
            parameters = write_decoder(source, decoder, folder, "int4", in_four_bits=chosen)
    write_facts(decoder, tokens.specials, tokens.vocabulary, folder)
    with (request.open_probe or open_loop)(folder) as probe:
        loss = finite(100 * (_perplexity(probe, ids) / before - 1))
    than = "float32" if in_floats else "int8"
    if loss > MOST_LOSS_PERCENT:
        request.report(
            f"warning: four bits raise the perplexity of a text by {loss:.1f} % over {than}, more than "
            f"{MOST_LOSS_PERCENT:g} %; int8 (the default) serves this model better"
        )
    return parameters, (
        Figure(NAME, f"perplexity of the passage in {than}", float(f"{before:.3g}"), len(ids) - 1),
        Figure(NAME, f"rise of the perplexity by four bits over {than}, percent", round(loss, 1), len(ids) - 1),
    )


def _perplexity(probe: Probe, ids: list[int]) -> float:
    return finite(float(np.exp(probe.surprises(ids).mean())))
