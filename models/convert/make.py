"""Turns a repository's files into a model folder for a server: the folder appears whole or not at all."""

import os
import re
import tempfile
import time
from pathlib import Path

from models.cards import Manifest, Origin
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.source import Source
from models.convert.table import converter_for
from models.registry import read_card, verify
from models.tokenizers import load_tokenizer
from models.writing import digests, write_manifest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
UNFINISHED = ".unfinished-"
"""The prefix of unfinished folders. A server looks for manifests one level down; these have theirs two levels down."""


def require_name(models_dir: Path, name: str) -> Path:
    """The folder of a new model.

    Raises:
        CannotConvert: the name is invalid or taken.
    """
    if not _NAME.fullmatch(name):
        raise CannotConvert(f"{name!r} is no name: letters, digits, '.', '_' and '-' only, at most 96.")
    if (models_dir / name).exists():
        raise CannotConvert(f"{models_dir / name} is there already. Take another name, or remove it first.")
    return models_dir / name


def convert(source: Source, models_dir: Path, name: str, request: Request) -> Path:
    """Convert, check and move the model into place; returns the new folder.

    Raises:
        CannotConvert: the name is taken, or the repository cannot be converted. No files stay behind.
        Mismatch: the self-check failed.
        SourceError: the repository's files are damaged.
    """
    converter = converter_for(source, request.quantization)
    made = require_name(models_dir, name)
    if request.labels and not source.architecture.endswith(("ForSequenceClassification", "ForTokenClassification")):
        raise CannotConvert(f"{source.repository} is no classifier: it has no labels to name.")
    models_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models_dir, prefix=UNFINISHED) as beside:
        folder = Path(beside) / name
        folder.mkdir()
        converted = converter(source, folder, request)
        write_manifest(folder, _manifest(source, folder, name, converted, request))
        card = read_card(folder)
        verify(card, weights=False)  # the checksums of the weights are new
        load_tokenizer(card)
        require_name(models_dir, name)
        os.rename(folder, made)
    return made


def _manifest(source: Source, folder: Path, name: str, converted: Converted, request: Request) -> Manifest:
    revision = f" @ {source.revision[:12]}" if source.revision else ""
    return Manifest(
        id=name,
        task=converted.task,
        family=converted.family,
        summary=request.summary
        or f"{source.architecture or 'A decoder of CTranslate2'} from {source.repository}{revision}.",
        license=source.license,
        created=int(time.time()),
        context_length_tokens=converted.context_length_tokens,
        quantization=request.quantization,
        parameters=converted.parameters,
        tokenizer=converted.tokenizer,
        aliases=request.aliases,
        origin=Origin(source.repository, source.revision or ""),
        generation=converted.generation,
        translation=converted.translation,
        embedding=converted.embedding,
        heads=converted.heads,
        entities=converted.entities,
        judge=converted.judge,
        figures=(*request.figures, *converted.figures),
        files=digests(folder),
    )
