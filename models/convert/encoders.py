"""The body of an encoder (BERT, DistilBERT, RoBERTa, XLM-R, CamemBERT) in CTranslate2's format, checked.

What comes after the body, a head or a pooling, is the affair of `classifiers` and `embedders`.

Only hidden states are converted. CTranslate2's own converter would write a pooler too, which for RoBERTa is made of
random numbers; a head that begins with a pooler keeps it among its own arrays instead.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from models.cards import Figure, Pooling, TokenizerSpec
from models.convert import original
from models.convert import tokens as tokenizer_file
from models.convert.contract import CannotConvert, Mismatch, Request
from models.convert.passage import PASSAGE
from models.convert.selfcheck import ALLOWED_NOISE, NAME, noise_of, require_exact, rounded
from models.convert.source import Source
from models.convert.tokens import Tokens

Floats = npt.NDArray[np.float32]

TYPES = ("bert", "camembert", "distilbert", "roberta", "xlm-roberta")
CUT_BEYOND_PADDING = ("camembert", "roberta", "xlm-roberta")
"""Their positions are counted from the padding's id on: the first places of the table are never used."""


@dataclass(frozen=True, slots=True)
class Body:
    """What was written, and what it was compared on."""

    tokenizer: TokenizerSpec
    context_tokens: int
    wanted: tuple["States", ...]
    """What the original computes for each text of the check, one of them as long as the model reads."""
    exact: tuple[Floats, ...]
    """The hidden states of each text through CTranslate2, in float32."""
    served: tuple[Floats, ...]
    """The same as they will be served."""
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class States:
    """What the original computes for one text."""

    hidden: Floats
    """The body's hidden states, of shape (tokens, d)."""
    logits: Floats | None
    """The head's logits, of shape (labels,), where there is a head."""


def pooled(hidden: Sequence[Floats], pooling: Pooling) -> Floats:
    """One vector a text, as the engine pools."""
    return np.stack([each[0] if pooling == "cls" else each.mean(0) for each in hidden])


def load(kind: str, source: Source, dispensable: Sequence[str] = ()) -> Any:
    """The original; see `models.convert.original`.

    Raises:
        CannotConvert: it is of no type known here, too.
    """
    if source.model_type not in TYPES:
        known = ", ".join(TYPES)
        raise CannotConvert(
            f"{source.repository} is an encoder of the type {source.model_type!r}; known here: {known}."
        )
    if source.config.get("position_embedding_type", "absolute") != "absolute":
        raise CannotConvert("config.json has relative positions, which no engine here computes.")
    return original.load(kind, source, dispensable)


def write_body(model: Any, source: Source, folder: Path, request: Request, most_tokens: int | None = None) -> Body:
    """Convert the body, compare it with the original and write it with its tokenizer.

    Args:
        model: the original, a body or a body with a head. Its weights are not to be used afterwards.
        source: the repository.
        folder: where to.
        request: how.
        most_tokens: the repository reads no longer texts than this.

    Raises:
        CannotConvert: see `models.convert.contract`.
        Mismatch: its hidden states differ.
    """
    tokens = Tokens(source, model.get_input_embeddings().num_embeddings)
    positions = _positions(model)
    context = request.context_of(min(positions, most_tokens or positions, _stated(source)))
    rows = _rows(tokens, context)
    _require_tokenizer(source, tokens, rows)
    request.report(f"asking the original for {sum(map(len, rows))} tokens")
    wanted = tuple(_original(model, row) for row in rows)  # now, since quantizing overwrites the original's weights
    hidden = np.concatenate([each.hidden for each in wanted])
    request.report("converting")
    spec = _specification(model.base_model, tokens)
    spec.validate()
    with tempfile.TemporaryDirectory(prefix="hearth-convert-") as beside:
        spec.save(beside)
        exact = _encode(Path(beside), rows)
    figure = require_exact(hidden, np.concatenate(exact))
    spec.optimize(quantization=request.quantization)
    spec.save(str(folder))
    tokens.write(folder)
    request.report("comparing what will be served with the original")
    served = _encode(folder, rows)
    noise = noise_of(hidden, np.concatenate(served))
    if not noise <= ALLOWED_NOISE[request.quantization]:
        raise Mismatch(
            f"the noise of the hidden states as served ({request.quantization})",
            noise,
            ALLOWED_NOISE[request.quantization],
        )
    figures = (
        Figure(NAME, "largest difference of a hidden state in float32", figure.value, figure.rows),
        Figure(NAME, f"noise of the hidden states as served, {request.quantization}", rounded(noise), figure.rows),
    )
    tokenizer = TokenizerSpec("huggingface", tokenizer_file.FILE)
    return Body(tokenizer, context, wanted, tuple(exact), tuple(served), figures)


def _specification(model: Any, tokens: Tokens) -> Any:
    """CTranslate2's specification of the body."""
    from ctranslate2.converters.transformers import _MODEL_LOADERS  # its converter would load everything once more
    from ctranslate2.specs.transformer_spec import TransformerEncoderModelSpec

    config = model.config
    # Transformers 5 has no such key any longer, and the converter asks for it.
    config.position_embedding_type = "absolute"
    loader = _MODEL_LOADERS[type(config).__name__]
    source = SimpleNamespace(config=config, roberta=model) if config.model_type == "xlm-roberta" else model
    spec = TransformerEncoderModelSpec(loader.get_model_spec(source).encoder)
    spec.config.layer_norm_epsilon = getattr(config, "layer_norm_eps", 1e-12)
    spec.config.unk_token = tokens.specials.get("unk_token", tokens.vocabulary[0])
    spec.register_vocabulary(tokens.vocabulary)
    return spec


def _positions(model: Any) -> int:
    config = model.config
    unused = config.pad_token_id + 1 if config.model_type in CUT_BEYOND_PADDING else 0
    return int(config.max_position_embeddings) - unused


def _stated(source: Source) -> int:
    """What the tokenizer's configuration says; a number beyond all measure means nothing."""
    stated = source.tokenizer_config.get("model_max_length")
    return int(stated) if isinstance(stated, int | float) and 0 < stated < 10**9 else 10**9


def _rows(tokens: Tokens, context: int) -> tuple[tuple[int, ...], ...]:
    """The passage's paragraphs, and all of it again and again up to what the model reads."""
    texts = [*PASSAGE.split("\n\n"), PASSAGE]
    rows = [tuple(tokens.model.encode(text).ids) for text in texts]
    inner, end = rows[-1][:-1], rows[-1][-1:]
    while len(inner) < context:
        inner += inner
    return (*(row for row in rows[:-1] if len(row) <= context), inner[: context - 1] + end)


def _require_tokenizer(source: Source, tokens: Tokens, rows: Sequence[Sequence[int]]) -> None:
    """Refuse a ``tokenizer.json`` that is not what transformers reads."""
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(str(source.folder), local_files_only=True, trust_remote_code=False)
    for text in PASSAGE.split("\n\n"):
        if list(theirs(text).input_ids) != tokens.model.encode(text).ids:
            raise CannotConvert(f"{tokenizer_file.FILE} gives other ids than transformers does for {text[:40]!r}.")


def _original(model: Any, row: Sequence[int]) -> States:
    import torch

    with torch.inference_mode():
        found = model(torch.tensor([list(row)]), output_hidden_states=True)
    logits = found.get("logits")
    return States(found.hidden_states[-1][0].numpy().copy(), None if logits is None else logits[0].numpy().copy())


def _encode(folder: Path, rows: Sequence[Sequence[int]]) -> list[Floats]:
    """The hidden states of a written body, each row alone."""
    import ctranslate2

    encoder = ctranslate2.Encoder(str(folder), device="cpu", compute_type="default", inter_threads=1)
    try:
        return [np.array(encoder.forward_batch([list(row)]).last_hidden_state)[0] for row in rows]
    finally:
        del encoder
