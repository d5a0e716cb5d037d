"""Opens a model on this machine and its weights: a hub's folder, a GGUF, a Firefox student, an Argos package."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from models.convert.argos_files import SUFFIX as ARGOS
from models.convert.argos_files import is_argos, source_of_argos
from models.convert.gguf_names import config_of, hub_tensors
from models.convert.gguf_tokenizer import tokenizer_files
from models.convert.kinds import refuse_kind
from models.convert.source import Source, SourceError, read_object, read_source
from models.convert.student_files import is_student, source_of_student
from models.convert.tensors.base import BadWeights, Tensor, Tensors, WeightFile
from models.convert.tensors.gguf import is_gguf, read_gguf
from models.convert.tensors.pickled import read_pickled
from models.convert.tensors.safetensors import read_safetensors, shards

SAFE, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
OLD, OLD_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


def open_path(path: Path) -> Source:
    """The model in a file or a folder.

    Raises:
        SourceError: the path has no model, or the model cannot be read.
        CannotConvert: the model is of an unsupported kind; the message names the kind and a remedy.
    """
    if path.is_file() and path.suffix == ARGOS:
        return source_of_argos(path)
    if path.is_file():
        if not is_gguf(path):
            refuse_kind(path.name, {path.name}, lambda name: {})
            raise SourceError(f"{path} is no GGUF file, and no folder with a model.")
        return source_of_gguf(path)
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []
    names = {file.relative_to(path).as_posix() for file in files}
    ggufs = sorted(name for name in names if name.endswith(".gguf") and "/" not in name)
    if ggufs and not any(name in names for name in (SAFE, SAFE_INDEX, OLD, OLD_INDEX)):
        firsts = [name for name in ggufs if (match := _SHARD.fullmatch(name)) is None or int(match[2]) == 1]
        if len(firsts) != 1:
            raise SourceError(f"{path} has several GGUF files; name one: {', '.join(firsts)}.")
        return source_of_gguf(path / firsts[0])
    if is_student(names):
        return source_of_student(path)
    if is_argos(names):
        return source_of_argos(path)
    refuse_kind(str(path), names, lambda name: read_object(path / name) if name in names else {})
    return read_source(path)


def source_of_gguf(path: Path, repository: str = "", revision: str | None = None) -> Source:
    """The model in a GGUF file, or in the several files of which it is the first.

    Raises:
        BadWeights: a file is damaged or missing.
        CannotConvert: the file has a part that no engine here computes.
    """
    files = gguf_files(path)
    with ExitStack() as stack:
        read = read_gguf([_opened(file, stack) for file in files])
        config = config_of(read.facts, read.tensors)
    facts = read.facts
    texts = tokenizer_files(facts)
    licence = str(facts.get("general.license", "")).strip()
    if licence:
        texts["README.md"] = f"---\nlicense: {licence.splitlines()[0]}\n---\n"
    name = repository or path.stem
    return Source(path.parent, name, revision, config, texts, files)


def gguf_files(path: Path) -> tuple[Path, ...]:
    """All files of the model whose first file this is.

    Raises:
        BadWeights: one is missing.
    """
    match = _SHARD.fullmatch(path.name)
    if match is None:
        return (path,)
    files = tuple(path.with_name(f"{match[1]}-{i + 1:05}-of-{match[3]}.gguf") for i in range(int(match[3])))
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise BadWeights(f"The weights are not whole: {missing[0]} is missing.")
    return files


@contextmanager
def open_weights(source: Source) -> Iterator[Tensors]:
    """The tensors of a repository by the hub's names, to be used while the files are open.

    Raises:
        BadWeights: the weights are missing or cannot be read.
    """
    with ExitStack() as stack:
        if source.weights:
            read = read_gguf([_opened(file, stack) for file in source.weights])
            yield hub_tensors(read.facts, read.tensors, source.config)
            return
        found: dict[str, Tensor] = {}
        for file in _weight_files(source):
            opened = _opened(file, stack)
            held = read_safetensors(opened) if file.suffix == ".safetensors" else read_pickled(opened)
            both = found.keys() & held.keys()
            if both:
                raise BadWeights(f"The tensor {min(both)[:80]!r} is in two files.")
            found |= held
        yield found


def _weight_files(source: Source) -> list[Path]:
    for whole, index in ((SAFE, SAFE_INDEX), (OLD, OLD_INDEX)):
        if source.has(whole):
            return [source.path(whole)]
        if source.has(index):
            return shards(source.folder, source.json(index))
    alone = sorted(source.folder.glob("*.safetensors"))
    if len(alone) == 1:
        return alone
    raise BadWeights(f"{source.repository} has no weights that are read here: no {SAFE}, {OLD} or GGUF.")


def _opened(path: Path, stack: ExitStack) -> WeightFile:
    try:
        file = WeightFile(path)
    except OSError as error:
        raise BadWeights(f"{path} cannot be read: {error.strerror}.") from error
    stack.callback(file.close)
    return file
