"""Converts sentence embedders: an encoder's body, with the pooling of the repository's sentence-transformers files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.cards import EmbeddingSpec, Figure, Pooling
from models.convert.contract import CannotConvert, Converted, Mismatch, Request
from models.convert.encoders import Body, Floats, pooled, write_body
from models.convert.purpose import MODULES
from models.convert.selfcheck import NAME
from models.convert.source import Source, SourceError

LEAST_COSINE = 0.97
"""The largest distance between a served vector and the original's; int8 costs a hundredth at most."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The pooling of hidden states into a vector."""

    pooling: Pooling
    normalize: bool
    most_tokens: int | None
    prompts: Mapping[str, str]


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    pipeline = pipeline_of(source)
    body = write_body(source, folder, request, "AutoModel", pipeline.most_tokens)
    return Converted(
        task="embedding",
        family="encoder",
        context_length_tokens=body.context_tokens,
        parameters=body.parameters,
        tokenizer=body.tokenizer,
        figures=(*body.figures, *_checked(body, pipeline)),
        embedding=EmbeddingSpec(body.encoder.width, pipeline.pooling, pipeline.normalize, pipeline.prompts),
    )


def _checked(body: Body, pipeline: Pipeline) -> tuple[Figure, ...]:
    if body.exact is None:
        return ()
    if body.original is None:
        return (require_near(body.exact, body.served, pipeline.pooling, "in float32"),)
    wanted = [each.hidden for each in body.original]
    return (require_near(wanted, body.served, pipeline.pooling, "of the original"),)


def require_near(wanted: Sequence[Floats], served: Sequence[Floats], pooling: Pooling, whose: str) -> Figure:
    """Refuse served vectors that are not near those in float32, or those of the original.

    Raises:
        Mismatch: a vector is not near enough.
    """
    cosine = float(_cosines(pooled(wanted, pooling), pooled(served, pooling)).min())
    if not cosine >= LEAST_COSINE:
        raise Mismatch(
            "1 less the smallest cosine between a vector as served and its own", 1 - cosine, 1 - LEAST_COSINE
        )
    return Figure(NAME, f"smallest cosine between a vector as served and one {whose}", round(cosine, 4), len(wanted))


def pipeline_of(source: Source) -> Pipeline:
    """The pooling in ``modules.json``. Without the file it is sentence-transformers' default: the mean, of any length.

    Raises:
        CannotConvert: ``modules.json`` has unsupported modules, or a masked language model lacks the file.
    """
    if not source.has(MODULES):
        if source.architecture.endswith("ForMaskedLM"):
            raise CannotConvert(
                f"{source.repository} guesses masked words, and has no {MODULES} that says how it embeds texts."
            )
        return Pipeline("mean", False, None, {})
    modules = _modules(source)
    kinds = [kind for kind, _ in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise CannotConvert(
            f"{MODULES} has the modules {', '.join(kinds)}; served here: Transformer, Pooling and perhaps Normalize."
        )
    # In older repositories the file's name has the body's type: sentence_roberta_config.json.
    named = sorted(file.name for file in source.folder.glob("sentence_*_config.json"))
    bounds = source.json(named[0]) if named else {}
    if bounds.get("do_lower_case"):
        raise CannotConvert(f"{named[0]} has do_lower_case, which its tokenizer.json should do instead.")
    most = bounds.get("max_seq_length")
    prompts = source.json("config_sentence_transformers.json").get("prompts") or {}
    written = {str(name): prompt for name, prompt in prompts.items() if isinstance(prompt, str) and prompt}
    return Pipeline(_pooling(source, modules[1][1]), "Normalize" in kinds, int(most) if most else None, written)


def _modules(source: Source) -> list[tuple[str, str]]:
    """The class and the folder of each module."""
    try:
        listed = json.loads(source.path(MODULES).read_text("utf-8"))
        return [(str(each["type"]).rpartition(".")[2], str(each["path"])) for each in listed]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SourceError(f"{source.path(MODULES)} is no list of modules: {error}") from error


def _pooling(source: Source, path: str) -> Pooling:
    """The single pooling mode that a module's configuration turns on."""
    config: Mapping[str, Any] = source.json(f"{path}/config.json")
    names: Mapping[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
    flags = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "lasttoken"}
    chosen = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    stated = config.get("pooling_mode")
    name = stated if isinstance(stated, str) else flags.get(chosen[0], "") if len(chosen) == 1 else ""
    if name not in names:
        raise CannotConvert(
            f"{path}/config.json pools by {stated or ', '.join(chosen) or 'nothing'}; here: {', '.join(names)}."
        )
    return names[name]


def _cosines(a: Floats, b: Floats) -> Floats:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(1) / np.maximum(lengths, 1e-12), np.float32)
