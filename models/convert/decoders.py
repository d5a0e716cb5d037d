"""Converts decoders from a repository or a GGUF: a family's page names the tensors, written a few rows at a time.

Only the comparison with the original needs torch and transformers (`models.convert.against_original`).
"""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from models.cards import Figure, TokenizerSpec
from models.convert import tokens as tokenizer_file
from models.convert.architectures import page_of
from models.convert.chat import chat_template, generation_spec
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.decoder_files import write_decoder, write_facts
from models.convert.likeliness import require_likely_and_agreed, require_text
from models.convert.network import Decoder
from models.convert.source import Source
from models.convert.tokens import Tokens


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    if request.check == "original" and (source.weights or find_spec("torch") is None):
        why = "a GGUF has none" if source.weights else "torch is not installed"
        raise CannotConvert(f"{source.repository} cannot be compared with the original: {why}.")
    template = chat_template(source)
    decoder = page_of(source.architecture).decoder(source.config)
    if decoder.is_own and request.quantization == "float32":
        raise CannotConvert(
            f"{source.repository} is computed by our decode engine alone, which serves int8: leave out --quantization."
        )
    tokens = Tokens(source, decoder.vocabulary)
    tokens.write(folder)
    require_text(tokens, folder)
    written = generation_spec(source, tokens, template, folder)
    request.report(f"converting {source.repository}")
    figures: tuple[Figure, ...] = ()
    if request.quantization == "int4":
        from models.convert.in_four_bits import write_in_four_bits

        parameters, figures = write_in_four_bits(source, decoder, tokens, folder, request)
        written = replace(written, closed_loop_tokens=0)
    else:
        parameters = write_decoder(source, decoder, folder, request.quantization)
        write_facts(decoder, tokens.specials, tokens.vocabulary, folder)
        written = replace(written, closed_loop_tokens=decoder.closed_loop_tokens)
    request.report("checking what will be served")
    return Converted(
        task="generation",
        family="hub",
        context_length_tokens=request.context_of(decoder.context_tokens),
        parameters=parameters,
        tokenizer=TokenizerSpec("huggingface", tokenizer_file.FILE),
        figures=(*figures, *_checked(source, decoder, tokens, parameters, folder, request, written.closed_loop_tokens)),
        generation=written,
    )


def _checked(
    source: Source,
    decoder: Decoder,
    tokens: Tokens,
    parameters: int,
    folder: Path,
    request: Request,
    reach: int | None,
) -> tuple[Figure, ...]:
    if request.check == "original":
        from models.convert.against_original import require_original

        return require_original(source, decoder, tokens, folder, request)
    return require_likely_and_agreed(tokens, decoder.context_tokens, reach, parameters, folder, request)
