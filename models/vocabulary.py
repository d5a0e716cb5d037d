"""The vocabulary file that CTranslate2 reads: the row of the embedding table for each token string."""

import json
from pathlib import Path

from models.tables import ManifestError

_NAMES = ("vocabulary.json", "shared_vocabulary.json", "source_vocabulary.json")


def read_vocabulary(folder: Path) -> list[str]:
    """The token strings of a model, by row.

    Raises:
        ManifestError: there is no such file, it is no list of strings, or a token is listed twice
            (CTranslate2 would silently take the first).
    """
    for name in _NAMES:
        file = folder / name
        if file.is_file():
            break
    else:
        raise ManifestError(folder, f"has no vocabulary: none of {', '.join(_NAMES)}")
    try:
        tokens = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError(file, "is not JSON") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise ManifestError(file, "is not a list of strings")
    if len(set(tokens)) != len(tokens):
        raise ManifestError(file, "lists a token twice")
    return tokens
