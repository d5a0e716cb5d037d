"""``hearth pull``, ``convert`` and ``rm``: model folders from a hub's repositories, and out of the way again."""

import contextlib
import glob
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from models.convert import CannotConvert, Check, Quantization, Request, Source, convert, open_path
from models.convert.hub import CannotFetch, download, wanted_of
from models.convert.make import UNFINISHED, require_name
from models.convert.mozilla import PREFIX, Registry, chosen
from models.convert.packaged import PACKAGES, import_packaged
from models.convert.short_names import SHORT_NAMES, folder_name
from models.convert.source import SourceError
from models.convert.table import converter_for, needed
from models.extras import how_to_install
from models.registry import ManifestError, model_files, read_card
from server.settings import SHIPPED_MODELS, Settings

PACKAGED = "package:"
HUB = ("huggingface_hub",)
_NO_NAME = re.compile(r"LABEL_\d+")


class _Refused(Exception):
    """A command cannot be done; the message is for the person at the terminal."""


def pull(
    name_of: str,
    revision: str | None,
    name: str | None,
    offline: bool,
    token_file: Path | None,
    check: Check,
    **how: Any,
) -> int:
    """Download a hub's repository or Mozilla's translators, convert them and say what came of it."""
    if name_of.startswith(PACKAGED):
        return pull_packaged(name_of.removeprefix(PACKAGED), how["settings"], how.get("quantization", "int8_float32"))
    if name_of.startswith(PREFIX):
        if offline or token_file is not None:
            print(f"hearth: {PREFIX} takes neither --offline nor --token-file", file=sys.stderr)
            return 1
        return _pull_mozilla(name_of.removeprefix(PREFIX), revision, name, check, **how)
    short = SHORT_NAMES.get(name_of.lower())

    def source() -> Source:
        _require(HUB)
        if short is not None:
            _report(short.said(name_of))
        wanted = wanted_of(short.repository if short is not None else name_of)
        token = token_file.read_text("utf-8").strip() if token_file is not None else None

        def accept(source: Source) -> None:
            """Say at once what cannot be converted, before anything heavy is downloaded or loaded."""
            converter_for(source, how["quantization"])
            _require(needed(source, check))

        return download(
            wanted.repository,
            revision or (short.revision if short is not None else None) or wanted.revision,
            tag=wanted.tag,
            offline=offline,
            token=token,
            accept=accept,
        )

    if name is None and short is None and how.get("if_missing"):
        name = wanted_of(name_of).repository.rpartition("/")[2]  # known before anything is downloaded
    if short is not None:
        return _make(source, name or folder_name(name_of), check, aliases=(name_of.lower(),), **how)
    return _make(source, name, check, **how)


def pull_packaged(name: str, settings: Settings, quantization: Quantization = "int8_float32") -> int:
    """Make models of those in an installed package; those that are there already are left."""
    if name not in PACKAGES:
        print(f"hearth: no package {name!r} is known to hold models; known: {', '.join(PACKAGES)}", file=sys.stderr)
        return 1
    from server.cli.probes import open_served

    try:
        made = import_packaged(name, settings.models_dir, Request(quantization, open_probe=open_served, report=_report))
    except (CannotConvert, ManifestError, SourceError, OSError) as error:
        print(f"hearth: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"{folder} is there" for folder in made) or f"the package {name} is not installed")
    return 0 if made else 1


def _pull_mozilla(wanted: str, version: str | None, name: str | None, check: Check, **how: Any) -> int:
    """Download directions of Firefox's translators, one model each; those that are there already are left."""
    root: Path = how["settings"].models_dir
    cache = root / f"{UNFINISHED}mozilla"
    registry = Registry()
    try:
        offers = chosen(wanted, registry.offers(), version)
        if name is not None and len(offers) > 1:
            raise _Refused("--name names one model, and several are asked for")
        for offer in offers:
            if (len(offers) > 1 or how.get("if_missing")) and _is_there(root, name or offer.name):
                continue
            code = _make(partial(registry.fetch, offer, cache, _report), name or offer.name, check, **how)
            if code != 0:
                return code
            shutil.rmtree(cache / f"{offer.name}-{offer.version}")
        with contextlib.suppress(OSError):
            cache.rmdir()
    except (CannotFetch, _Refused, OSError) as error:
        print(f"hearth: {error}", file=sys.stderr)
        return 1
    finally:
        registry.close()
    return 0


def convert_model(source: str, name: str | None, check: Check, **how: Any) -> int:
    """Convert a GGUF file, a folder with a repository's files, or a repository by its id."""
    path = Path(source)
    if path.exists() or path.suffix == ".gguf":
        return _make(lambda: open_path(path), name, check, **how)
    return pull(source, None, name, False, None, check, **how)


def remove(name: str, settings: Settings, force: bool, as_json: bool) -> int:
    """Remove a model's folder.

    No path is made of the name: the folders that are there are asked for theirs.
    """
    folders: dict[str, Path] = {}
    for file in model_files(settings.model_folders):
        if not file.parent.is_symlink():
            folders.setdefault(_id_of(file.parent), file.parent)
    folder = folders.get(name)
    if folder is None:
        known = ", ".join(sorted(folders)) or "none"
        print(f"hearth: there is no model {name!r} in {settings.models_dir}; there are: {known}", file=sys.stderr)
        return 1
    root = folder.parent
    if root.resolve() == SHIPPED_MODELS.resolve() and not force:
        print(f"hearth: {name} ships with Hearth; --force removes it all the same", file=sys.stderr)
        return 1
    # Out of a server's sight at once; a removal that is cut off leaves nothing that looks like a model.
    gone = Path(tempfile.mkdtemp(dir=root, prefix=UNFINISHED))
    os.rename(folder, gone / folder.name)
    shutil.rmtree(gone)
    for file in root.glob(f"{glob.escape(name)}*.gguf"):
        print(f"hearth: {file} is there still; a server that finds it imports it again", file=sys.stderr)
    print(json.dumps({"id": name, "removed": str(folder)}) if as_json else f"{folder} removed")
    return 0


def _make(
    read: Callable[[], Source],
    name: str | None,
    check: Check,
    quantization: Quantization,
    context_tokens: int | None,
    labels: tuple[str, ...],
    settings: Settings,
    as_json: bool,
    aliases: tuple[str, ...] = (),
    if_missing: bool = False,
) -> int:
    try:
        root = settings.models_dir
        if name is not None:
            if if_missing and _is_there(root, name):
                return 0
            require_name(root, name)
        source = read()
        name = name or source.repository.rpartition("/")[2]
        if if_missing and _is_there(root, name):
            return 0
        require_name(root, name)
        converter_for(source, quantization)
        _require(needed(source, check))
        from server.cli.probes import open_served

        request = Request(quantization, context_tokens, labels, check, open_served, aliases=aliases, report=_report)
        made = convert(source, root, name, request)
    except (CannotConvert, CannotFetch, ManifestError, SourceError, OSError, _Refused) as error:
        if if_missing and name is not None and _is_there(root, name):  # another process has made it meanwhile
            return 0
        print(f"hearth: {error}", file=sys.stderr)
        return 1
    _tell(made, as_json)
    return 0


def _is_there(root: Path, name: str) -> bool:
    """Whether the folder of models holds this one; says so."""
    if not (root / name).exists():
        return False
    _report(f"{name} is there already")
    return True


def _report(line: str) -> None:
    print(f"{line} ...", file=sys.stderr)


def _tell(folder: Path, as_json: bool) -> None:
    card = read_card(folder)
    figures = [{"metric": f.metric, "value": f.value, "rows": f.rows} for f in card.figures]
    if as_json:
        facts = {"task": card.task, "family": card.family, "context_length": card.context_length_tokens}
        origin = {"repository": card.origin.repository, "revision": card.origin.revision} if card.origin else None
        rest = {"quantization": card.quantization, "license": card.license, "origin": origin, "self_check": figures}
        print(json.dumps({"id": card.id, "folder": str(folder), **facts, **rest}, ensure_ascii=False, indent=2))
        return
    for figure in figures:
        print(f"{figure['value']:<10g} {figure['metric']} ({figure['rows']})")
    print(f"{folder} written; a running server that serves {folder.parent} finds it when it is asked for '{card.id}'.")
    if all(_NO_NAME.fullmatch(label) for head in card.heads for label in head.labels) and card.heads:
        print("Its labels have no names; --labels gives them some, in their order: --labels negative,positive")
    print(f"licence: {card.license}; context: {card.context_length_tokens} tokens; {card.quantization}")


def _id_of(folder: Path) -> str:
    try:
        return read_card(folder).id
    except ManifestError:
        return folder.name


def _require(packages: Sequence[str]) -> None:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        extra = "convert" if packages == HUB else "originals"
        raise _Refused(f"this needs {', '.join(missing)}; to install: {how_to_install(extra)}")
