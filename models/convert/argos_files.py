"""Opens Argos Translate's packages, which LibreTranslate serves: an ``.argosmodel`` file, or an installed package.

A package is an archive of one folder: ``metadata.json`` (the languages), ``sentencepiece.model``, and ``model/`` with
an encoder-decoder in CTranslate2's format, which OpenNMT-py trained. The sentence splitter in it is not used. The
format is that of argostranslate/package.py.
"""

import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.convert.languages import code_of
from models.convert.source import Source, SourceError, object_of, read_object

ARCHITECTURE = "ArgosPackage"
"""The value of `Source.architecture` for a package; its files name no class."""
SUFFIX = ".argosmodel"
METADATA, PIECES, BPE, WEIGHTS = "metadata.json", "sentencepiece.model", "bpe.model", "model/model.bin"
MOST_BYTES = 4 << 30
"""The largest model that is unpacked. Packages have 50 to 250 MB."""
_WANTED = re.compile(r"metadata\.json|README\.md|(?:sentencepiece|bpe)\.model|model/\w[\w.-]*")
_OTHER_CODES: Mapping[str, str] = {"zt": "zh-Hant", "pb": "pt-BR"}
"""Codes of Argos' index that are not ISO's."""


def is_argos(names: Collection[str]) -> bool:
    """Tells whether a folder with these files is an installed package."""
    return METADATA in names and WEIGHTS in names


def source_of_argos(path: Path) -> Source:
    """The package in an ``.argosmodel`` file or in a folder.

    Raises:
        SourceError: it is damaged, or does not name two languages.
    """
    if path.is_dir():
        facts, files, weights = read_object(path / METADATA), {}, ()
        folder = path
    else:
        with _opened(path) as (archive, members):
            facts = object_of(_text(archive, members, METADATA), METADATA)
            files = {"README.md": _text(archive, members, "README.md")} if "README.md" in members else {}
        folder, weights = path.parent, (path,)  # type: ignore[assignment]
    kind = facts.get("type", "translate")
    if kind != "translate":
        raise SourceError(f"{path} is an Argos package of the type {kind!r}; only translators are served.")
    pair = [_code(facts.get(key)) for key in ("from_code", "to_code")]
    if None in pair or pair[0] == pair[1]:
        raise SourceError(f"{path}: {METADATA} names no two languages (from_code, to_code).")
    config = {
        "architectures": [ARCHITECTURE],
        "languages": pair,
        "target_prefix": str(facts.get("target_prefix") or ""),
    }
    version = str(facts.get("package_version") or "") or None
    return Source(folder, f"argos-{pair[0]}-{pair[1]}", version, config, files, weights)


@contextmanager
def package_files(source: Source) -> Iterator[Path]:
    """The folder of a package's files; those of an archive are unpacked while they are used."""
    if not source.weights:
        yield source.folder
        return
    with tempfile.TemporaryDirectory(prefix="hearth-argos-") as unpacked:
        with _opened(source.weights[0]) as (archive, members):
            if sum(each.file_size for each in members.values()) > MOST_BYTES:
                raise SourceError(f"{source.weights[0]} unpacks to more than {MOST_BYTES >> 30} GiB.")
            for name, member in members.items():
                to = Path(unpacked, name)
                to.parent.mkdir(exist_ok=True)
                with archive.open(member) as read, to.open("wb") as written:
                    shutil.copyfileobj(read, written, 1 << 20)
        yield Path(unpacked)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """A package's archive, and its wanted files by their names within the package's folder.

    Raises:
        SourceError: it is damaged, while it is opened or while it is read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [each for each in archive.infolist() if not each.is_dir()]
            roots = [each.filename.removesuffix(METADATA) for each in infos if each.filename.endswith(METADATA)]
            root = min(roots, key=len, default=None)
            if root is None:
                raise SourceError(f"{path} is no Argos package: it has no {METADATA}.")
            within = {each.filename.removeprefix(root): each for each in infos if each.filename.startswith(root)}
            yield archive, {name: each for name, each in within.items() if _WANTED.fullmatch(name)}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise SourceError(f"{path} is no whole Argos package: {error}") from error


def _text(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str) -> str:
    member = members[name]
    if member.file_size > 1 << 20:
        raise SourceError(f"{name} has {member.file_size} bytes.")
    return archive.read(member).decode("utf-8", "replace")


def _code(name: Any) -> str | None:
    return _OTHER_CODES.get(name) or code_of(name) if isinstance(name, str) else None
