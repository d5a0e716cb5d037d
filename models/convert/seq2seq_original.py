"""Outputs of transformers' own encoder-decoders, for users with torch and for the families' tests."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from models.cards import TranslationSpec
from models.convert.contract import CannotConvert
from models.convert.original import load
from models.convert.seq2seq_check import MOST_TOKENS, TEXTS, Reference, pairs_to_ask
from models.convert.source import Source


def read(source: Source) -> tuple[Any, Any]:
    """The original in float32, and its tokenizer."""
    import transformers

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Marian's tokenizer asks for a library that it does not use here
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(source.folder), local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # the library raises any class
        raise CannotConvert(f"{source.repository} cannot be read: {error}") from error
    # Positions are computed, not stored, and some repositories leave out tied weights.
    return load("AutoModelForSeq2SeqLM", source, dispensable=("embed_positions", "embed_tokens")), tokenizer


def references(model: Any, tokenizer: Any, section: TranslationSpec) -> list[Reference]:
    """The original's translations, in some of the directions."""
    return [_reference(model, tokenizer, section, text, *pair) for pair in pairs_to_ask(section) for text in TEXTS]


def _reference(model: Any, tokenizer: Any, section: TranslationSpec, text: str, source: str, target: str) -> Reference:
    options: dict[str, Any] = {}
    if hasattr(tokenizer, "src_lang"):  # M2M100 and NLLB
        tokenizer.src_lang = section.codes.get(source, source)
        options["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(section.token(target))
        written = text
    else:
        written = f"{section.token(target)} {text}" if section.target_token else text
    # Decoding never chooses Marian's padding, and CTranslate2 has no such token.
    banned = [model.config.pad_token_id] if model.config.model_type == "marian" else []
    made = observe(model, tokenizer, written, banned, **options)
    return replace(made, text=text, source=source, target=target)


def observe(model: Any, tokenizer: Any, text: str, banned: Sequence[int] = (), **options: Any) -> Reference:
    """The original's output for an unchanged text.

    Args:
        model, tokenizer: the original's transformers objects.
        text: the text with its prefix.
        banned: ids that decoding never chooses.
        **options: options of transformers' ``generate``.
    """
    import torch

    row = tokenizer(text, return_tensors="pt").input_ids
    limits = {"min_new_tokens": 0, "max_new_tokens": MOST_TOKENS, "max_length": None, "forced_eos_token_id": None}
    with torch.inference_mode():
        made = model.generate(
            row, num_beams=1, do_sample=False, suppress_tokens=list(banned) or None, **limits, **options
        )
        logits = model(input_ids=row, decoder_input_ids=made[:, :-1]).logits[0]
        logits[:, list(banned)] = -torch.inf
        logprobs = logits.log_softmax(-1).gather(1, made[0, 1:, None])[:, 0]
    ids, end = made[0, 1:].tolist(), tokenizer.eos_token_id
    if end in ids:
        ids = ids[: ids.index(end)]
    return Reference(
        text,
        tuple(tokenizer.convert_ids_to_tokens(row[0].tolist())),
        tuple(tokenizer.convert_ids_to_tokens(ids)),
        tuple(logprobs[: len(ids)].tolist()),
    )
