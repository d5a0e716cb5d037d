"""Writes the body of an encoder (BERT and similar) in CTranslate2's format, and checks it.

The written model returns hidden states; `classifiers` and `embedders` add the head or the pooling. Only the comparison
with the original needs torch and transformers.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.cards import Figure, Pooling, TokenizerSpec
from models.convert import tokens as tokenizer_file
from models.convert.architectures.bert import (
    ENCODERS,
    HEADS_OF_OTHERS,
    REVISION,
    SPECIFICATION,
    Encoder,
    EncoderPage,
    scalars,
)
from models.convert.architectures.page import Weights
from models.convert.architectures.rotating import GTE, NOMIC
from models.convert.contract import CannotConvert, Mismatch, Quantization, Request
from models.convert.model_bin import Variables, write_model
from models.convert.opened import open_weights
from models.convert.passage import PASSAGE
from models.convert.selfcheck import ALLOWED_NOISE, NAME, noise_of, require_exact, rounded
from models.convert.source import Source
from models.convert.tokens import Tokens

FAMILIES: Mapping[str, EncoderPage] = {**ENCODERS, "gte": GTE, "new": GTE, "nomic_bert": NOMIC}
"""The page of each ``model_type``."""
Floats = npt.NDArray[np.float32]
Row = tuple[tuple[int, ...], tuple[int, ...]]
"""The ids of a text or of a pair of texts, and the kind of text of each id."""
Arrays = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class States:
    """The original's outputs for one text."""

    hidden: Floats
    """The body's hidden states, of shape (tokens, d)."""
    logits: Floats | None
    """The head's logits, of shape (labels,), if the model has a head."""


@dataclass(frozen=True, slots=True)
class Body:
    """The written body, and the texts of its check."""

    tokenizer: TokenizerSpec
    tokens: Tokens
    encoder: Encoder
    context_tokens: int
    parameters: int
    head: Arrays
    """The weights that `read_head` took."""
    served: tuple[Floats, ...]
    """The served hidden states of each text of the check, one of which is as long as the context; empty without a
    comparison."""
    exact: tuple[Floats, ...] | None
    """The same in float32; None without a comparison."""
    original: tuple[States, ...] | None
    """The same by transformers, if the request asked for it."""
    figures: tuple[Figure, ...]


def pooled(hidden: Sequence[Floats], pooling: Pooling) -> Floats:
    """One vector for each text, pooled as the engine does."""
    ways: Mapping[Pooling, Callable[[Floats], Floats]] = {
        "cls": lambda states: states[0],
        "last": lambda states: states[-1],
        "mean": lambda states: states.mean(0),
    }
    return np.stack([ways[pooling](each) for each in hidden])


def page_of_encoder(source: Source) -> EncoderPage:
    """The page of a repository's family.

    Raises:
        CannotConvert: the family is unknown.
    """
    page = FAMILIES.get(source.model_type)
    if page is None:
        known = ", ".join(FAMILIES)
        raise CannotConvert(
            f"{source.repository} is an encoder of the type {source.model_type!r}; known here: {known}."
        )
    return page


def write_body(
    source: Source,
    folder: Path,
    request: Request,
    kind: str,
    most_tokens: int | None = None,
    read_head: Callable[[EncoderPage, Encoder, Weights], Arrays] = lambda page, encoder, take: {},
    pairs: bool = False,
) -> Body:
    """Convert the body, compare its outputs with the reference, and write it with its tokenizer.

    Args:
        source: the repository.
        folder: the destination.
        request: the options.
        kind: the automatic class of transformers that reads the original, for ``--check original``.
        most_tokens: the length of the longest text that the repository reads.
        read_head: takes the weights after the body.
        pairs: whether the model reads pairs of texts, and is checked with them.

    Raises:
        CannotConvert: the repository lacks a part, or has a part that no engine here computes.
        Mismatch: the hidden states differ.
    """
    page = page_of_encoder(source)
    encoder = page.facts(source.config)
    tokens = Tokens(source, encoder.vocabulary)
    tokens.write(folder)
    context = request.context_of(
        min(encoder.context_tokens, most_tokens or encoder.context_tokens, stated_tokens(source))
    )
    rows: tuple[Row, ...]
    if pairs:
        rows = pairs_of_check(tokens, context)
    else:
        rows = tuple((row, (0,) * len(row)) for row in rows_of_check(tokens, context))
    request.report(f"converting {source.repository}")
    exact: tuple[Floats, ...] | None = None
    served: tuple[Floats, ...] = ()
    with open_weights(source) as tensors:
        take = Weights(page.named(tensors), {})
        variables: Variables = {
            **scalars(encoder),
            **{f"encoder/{name}": tensor for name, tensor in page.variables(encoder, take)},
        }
        head = read_head(page, encoder, take)
        take.require_all_taken(HEADS_OF_OTHERS)
        _write(encoder, tokens, variables, folder, request.quantization)
        if request.check != "structure":
            request.report("checking what will be served")
            with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
                _write(encoder, tokens, variables, Path(beside), "float32")
                exact = _encode(Path(beside), encoder, rows)
            served = _encode(folder, encoder, rows)
    figures: tuple[Figure, ...] = ()
    original = None
    if request.check == "original" and exact is not None:
        original = _original(source, kind, tokens, rows, encoder)
        figure = require_exact(np.concatenate([each.hidden for each in original]), np.concatenate(exact))
        figures = (Figure(NAME, "largest difference of a hidden state in float32", figure.value, figure.rows),)
    if exact is not None:
        figures += (_require_served(exact, served, request.quantization),)
    tokenizer = TokenizerSpec("huggingface", tokenizer_file.FILE)
    return Body(tokenizer, tokens, encoder, context, take.parameters, head, served, exact, original, figures)


def _require_served(exact: Sequence[Floats], served: Sequence[Floats], quantization: Quantization) -> Figure:
    wanted, found = np.concatenate(exact), np.concatenate(served)
    noise, allowed = noise_of(wanted, found), ALLOWED_NOISE[quantization]
    if not noise <= allowed:
        raise Mismatch(f"the noise of the hidden states as served ({quantization})", noise, allowed)
    return Figure(NAME, f"noise of the hidden states as served, {quantization}", rounded(noise), len(wanted))


def _write(encoder: Encoder, tokens: Tokens, variables: Variables, folder: Path, quantization: Quantization) -> None:
    """The files that CTranslate2 reads, and for some families a setting for the engine."""
    write_model(folder / "model.bin", SPECIFICATION, REVISION, variables, quantization)
    config: dict[str, Any] = {
        "bos_token": tokens.specials.get("bos_token", "<s>"),
        "eos_token": tokens.specials.get("eos_token", "</s>"),
        "layer_norm_epsilon": encoder.epsilon,
        "multi_query_attention": False,
        "unk_token": tokens.specials.get("unk_token", tokens.vocabulary[0]),
    }
    if encoder.positions_as_types:
        config["positions_as_types"] = True
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    (folder / "vocabulary.json").write_text(json.dumps(tokens.vocabulary, indent=2), encoding="utf-8")


def stated_tokens(source: Source) -> int:
    """The tokenizer's own limit; some configurations have an enormous number, which means no limit."""
    stated = source.tokenizer_config.get("model_max_length")
    return int(stated) if isinstance(stated, int | float) and 0 < stated < 10**9 else 10**9


def text_length(tokens: Tokens) -> int:
    """The number of tokens of the whole passage."""
    return len(tokens.model.encode(PASSAGE).ids)


def rows_of_check(tokens: Tokens, context: int) -> tuple[tuple[int, ...], ...]:
    """The passage's paragraphs, and the whole passage repeated up to the model's context."""
    texts = [*PASSAGE.split("\n\n"), PASSAGE]
    rows = [tuple(tokens.model.encode(text).ids) for text in texts]
    inner, end = rows[-1][:-1], rows[-1][-1:]
    if not inner:
        raise CannotConvert(f"{tokenizer_file.FILE} reads nothing of a plain text.")
    while len(inner) < context:
        inner += inner
    return (*(row for row in rows[:-1] if 0 < len(row) <= context), inner[: context - 1] + end)


def pairs_of_check(tokens: Tokens, context: int) -> tuple[Row, ...]:
    """A question with each of the passage's paragraphs, and with the whole passage up to the model's context."""
    query = QUERY_OF_CHECK
    found = []
    for text in (*PASSAGE.split("\n\n"), PASSAGE):
        encoding = tokens.model.encode(query, text)
        places = [place for place, sequence in enumerate(encoding.sequence_ids) if sequence == 1]
        if not places or 0 not in encoding.sequence_ids:
            raise CannotConvert(f"{tokenizer_file.FILE} reads nothing of a pair of plain texts.")
        # A text that is too long loses its end, and keeps what the tokenizer puts behind it.
        over = max(0, len(encoding.ids) - context)
        end = places[-1] + 1
        if over < len(places):
            found.append(
                tuple((*row[: end - over], *row[end:]) for row in (tuple(encoding.ids), tuple(encoding.type_ids)))
            )
    if not found:
        raise CannotConvert(f"A context of {context} tokens has no room for a pair of texts.")
    return tuple((ids, types) for ids, types in found)


QUERY_OF_CHECK = "Who came to the harbour?"
"""The first text of the pairs that check a model of pairs."""


def _original(source: Source, kind: str, tokens: Tokens, rows: Sequence[Row], encoder: Encoder) -> tuple[States, ...]:
    """transformers' outputs for the rows.

    Raises:
        CannotConvert: transformers makes other rows, or cannot read the repository.
    """
    import torch
    from transformers import AutoTokenizer

    from models.convert.original import load

    theirs = AutoTokenizer.from_pretrained(str(source.folder), local_files_only=True, trust_remote_code=False)
    for text in PASSAGE.split("\n\n"):
        if list(theirs(text).input_ids) != tokens.model.encode(text).ids:
            raise CannotConvert(f"{tokenizer_file.FILE} gives other ids than transformers does for {text[:40]!r}.")
        if list(theirs(QUERY_OF_CHECK, text).input_ids) != tokens.model.encode(QUERY_OF_CHECK, text).ids:
            raise CannotConvert(f"{tokenizer_file.FILE} gives other ids than transformers does for a pair of texts.")
    model = load(kind, source, dispensable=("pooler",) if kind == "AutoModel" else ())
    found = []
    with torch.inference_mode():
        for ids, types in rows:
            given = {"token_type_ids": torch.tensor([list(types)])} if encoder.types > 1 else {}
            made = model(torch.tensor([list(ids)]), **given, output_hidden_states=True)
            logits = made.get("logits")
            hidden = made.hidden_states[-1][0].numpy().copy()
            found.append(States(hidden, None if logits is None else logits[0].numpy().copy()))
    return tuple(found)


def _encode(folder: Path, encoder: Encoder, rows: Sequence[Row]) -> tuple[Floats, ...]:
    """The hidden states of a written body, each row alone."""
    import ctranslate2

    loaded = ctranslate2.Encoder(str(folder), device="cpu", compute_type="default", inter_threads=1)
    try:
        found = []
        for ids, types in rows:
            kinds = list(range(len(ids))) if encoder.positions_as_types else list(types)
            given = [kinds] if encoder.positions_as_types or encoder.types > 1 else None
            found.append(np.array(loaded.forward_batch([list(ids)], token_type_ids=given).last_hidden_state)[0])
        return tuple(found)
    finally:
        del loaded
