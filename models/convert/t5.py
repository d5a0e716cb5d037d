"""T5, Flan-T5 and mT5: encoder-decoders that answer a text with a text.

CTranslate2's converter is right about these networks but for two things. It scales what goes into the last layer
wherever embeddings are said to be tied, and transformers 5 says so of every T5; T5 1.1 and Flan-T5 must not be scaled.
And most have more embeddings than tokens: what no text can yield is banned here, by a bias of the last layer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.cards import GenerationSpec, TokenizerSpec
from models.convert import tokens as tokenizer_file
from models.convert.chat import FILE, chat_template, stop_tokens
from models.convert.contract import USUAL_CONTEXT_TOKENS, CannotConvert, Converted, Request
from models.convert.seq2seq import read, write_checked
from models.convert.seq2seq_check import TEXTS, Reference, observe, require_close
from models.convert.source import Source
from models.convert.tokens import Tokens
from models.families.t5 import TEMPLATE

PREFIXES = ("", "translate English to German: ", "summarize: ", "Answer the question. ")
"""What users put before texts; the check asks each text with one of them."""
TRAINED_TOKENS = 512
"""As long as T5's texts were in training, where a repository says nothing."""


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    request.report(f"reading {source.repository}")
    model, tokenizer = read(source)
    tokens = Tokens(source, model.config.vocab_size)
    eos = tokens.specials.get("eos_token")
    if eos is None:
        raise CannotConvert(f"{source.repository} names no token that ends a text (eos_token).")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    request.report("asking the original for answers")
    wanted = [
        observe(model, tokenizer, PREFIXES[i % len(PREFIXES)] + text, tokens.unreachable)
        for i, text in enumerate(TEXTS)
    ]
    _require_rows(tokens, eos, wanted)
    request.report("converting")
    spec = _specification(model, tokenizer, tokens)
    figures = write_checked(spec, folder, wanted, request)
    tokens.write(folder)
    (folder / FILE).write_text(chat_template(source) or TEMPLATE, encoding="utf-8")
    request.report("comparing what will be served with the original")
    figures += require_close(folder, wanted, [[] for _ in wanted], request.quantization)
    most = request.context_tokens or min(_stated(source), USUAL_CONTEXT_TOKENS)
    return Converted(
        task="generation",
        family="t5",
        context_length_tokens=most,
        parameters=parameters,
        tokenizer=TokenizerSpec("huggingface", tokenizer_file.FILE),
        figures=figures,
        generation=GenerationSpec(
            template=FILE,
            stop_tokens=stop_tokens(source, tokens, None),
            eos_token=eos,
            max_target_tokens=most,
            variables=dict(tokens.specials),
        ),
    )


def _specification(model: Any, tokenizer: Any, tokens: Tokens) -> Any:
    """CTranslate2's specification with the weights."""
    import torch
    from ctranslate2.converters.transformers import _MODEL_LOADERS  # its converter would load everything once more
    from ctranslate2.specs.model_spec import OPTIONAL

    loader = _MODEL_LOADERS[type(model.config).__name__]
    with torch.no_grad():
        spec = loader.get_model_spec(model)
    is_scaled = getattr(model.config, "scale_decoder_outputs", False)
    spec.decoder.scale_outputs = np.float32(model.config.d_model**-0.5) if is_scaled else OPTIONAL
    if tokens.unreachable:
        bias = np.zeros(model.config.vocab_size, np.float32)
        bias[tokens.unreachable] = -np.inf
        spec.decoder.projection.bias = bias
    loader.set_config(spec.config, model, tokenizer)
    spec.config.layer_norm_epsilon = model.config.layer_norm_epsilon
    loader.set_vocabulary(spec, tokens.vocabulary)
    return spec


def _require_rows(tokens: Tokens, eos: str, wanted: Sequence[Reference]) -> None:
    """Refuse a tokenizer whose rows would not be those that the original reads."""
    for each in wanted:
        row = [*(tokens.vocabulary[id] for id in tokens.model.encode(each.text, add_special_tokens=False).ids), eos]
        if tuple(row) != each.row:
            raise CannotConvert(
                f"The tokens of {each.text[:40]!r} would be {row}; the original reads {list(each.row)}."
            )


def _stated(source: Source) -> int:
    """The longest text that the repository speaks of. The network itself has no last position."""
    stated = source.tokenizer_config.get("model_max_length") or source.config.get("n_positions")
    return int(stated) if isinstance(stated, int | float) and 0 < stated < 10**9 else TRAINED_TOKENS
