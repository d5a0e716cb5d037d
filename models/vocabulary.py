"""The vocabulary files that CTranslate2 reads: the row of the embedding table for each token string."""

import json
from pathlib import Path

from models.tables import ManifestError

SHARED = "shared_vocabulary.json"
SOURCE, TARGET = "source_vocabulary.json", "target_vocabulary.json"
"""The file names of a translator with a vocabulary for each language."""
_NAMES = ("vocabulary.json", SHARED, SOURCE)


def read_vocabulary(folder: Path) -> list[str]:
    """The token strings of a model, by row; for a translator the strings that it reads.

    Raises:
        ManifestError: the file is missing or not a list of strings, or a token is listed twice
            (CTranslate2 would silently take the first).
    """
    for name in _NAMES:
        if (folder / name).is_file():
            return _read(folder / name)
    raise ManifestError(folder, f"has no vocabulary: none of {', '.join(_NAMES)}")


def read_target_vocabulary(folder: Path) -> list[str] | None:
    """The token strings that a translator writes; None if it reads the same ones. Raises as `read_vocabulary`."""
    return _read(folder / TARGET) if (folder / TARGET).is_file() else None


def _read(file: Path) -> list[str]:
    try:
        tokens = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError(file, "is not JSON") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise ManifestError(file, "is not a list of strings")
    if len(set(tokens)) != len(tokens):
        raise ManifestError(file, "lists a token twice")
    return tokens
