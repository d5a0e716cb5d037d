"""Downloads from a hub, through its own client: only the files a conversion needs, and weights last.

It downloads the list of files and the configurations first, and refuses a repository that cannot be converted before it
downloads weights. If a connection breaks, the download continues from there; if the process ends, complete files stay.

The client's own settings apply: ``HF_ENDPOINT``, ``HF_HOME`` (the folder of downloads), ``HF_TOKEN``. No downloaded
file is executed.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from models.convert.gguf_names import dialect_of
from models.convert.kinds import refuse_kind
from models.convert.opened import source_of_gguf
from models.convert.source import Source, SourceError, read_object, read_source

FILES = (
    *("config.json", "generation_config.json", "README.md"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    *("source.spm", "target.spm", "chat_template.jinja", "chat_template.json"),
    # sentence-transformers' pooling, and its prompts before texts.
    *("modules.json", "sentence_*_config.json", "config_sentence_transformers.json", "?_*/config.json"),
)
SAFE_WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
OLD_WEIGHTS = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
"""Pickles, for repositories without other weights; only their tensors are read (`models.convert.original`)."""

CTRANSLATE2 = ("model.bin", "vocabulary.json", "vocabulary.txt", "shared_vocabulary.json")
ADAPTER = "adapter_config.json"

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_USUAL_TAGS = ("Q8_0", "F16", "BF16", "F32", "Q6_K", "Q5_K_M", "Q4_K_M")
"""The preferred GGUF files if the user names none: weights become int8, so a file of eight bits loses least."""


class CannotFetch(Exception):
    """Neither the hub nor its copy on this machine has the repository; the message names a remedy."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A repository as a user names it."""

    repository: str
    revision: str | None = None
    tag: str | None = None
    """The GGUF's quantization or file name; None: the best match."""


def wanted_of(text: str) -> Wanted:
    """The meaning of ``owner/name``, ``owner/name:Q4_K_M``, ``hf.co/owner/name``, or the address of a page or a file.

    Raises:
        CannotFetch: the name has none of these forms.
    """
    address = re.fullmatch(r"(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/(.+)", text)
    path, _, tag = (address[1] if address else text).partition(":")
    parts = path.strip("/").split("/")
    if "://" in text and not address:
        raise CannotFetch(f"{text!r} is no address of a hub that is known here; HF_ENDPOINT names another hub.")
    if len(parts) >= 4 and parts[2] in ("tree", "blob", "resolve"):
        file = "/".join(parts[4:])
        return Wanted("/".join(parts[:2]), parts[3], tag or file or None)
    return Wanted(path.strip("/"), None, tag or None)


def download(
    repository: str,
    revision: str | None = None,
    *,
    tag: str | None = None,
    offline: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    cache: Path | None = None,
    accept: Callable[[Source], None] = lambda source: None,
) -> Source:
    """The repository's files on this machine; files from an earlier download are not downloaded again.

    Args:
        repository: its id on the hub, ``owner/name``.
        revision: a branch, a tag or a commit; None: the main branch.
        tag: the quantization or name of a GGUF file; None: the repository's own weights, or the best GGUF.
        offline: use no network, only files from an earlier download.
        token: for repositories that require one; None: the client's own.
        endpoint, cache: the hub's address and the folder of downloads; None: the client's settings.
        accept: called with the configurations before weights are downloaded; raises if the conversion would fail.

    Raises:
        CannotFetch: the repository or revision is unknown, this user may not read it, the hub cannot be reached, or
            the download broke off; another call continues with the incomplete files.
        CannotConvert: it holds no model that can be converted.
        SourceError: the downloaded files are not a model.
    """
    from huggingface_hub import HfApi, snapshot_download

    def fetch(patterns: Sequence[str], revision: str | None) -> Path:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(patterns),
                local_files_only=offline,
                token=token,
                endpoint=endpoint,
                cache_dir=cache,
                library_name="hearth",
            )
        )

    names: set[str] = set()
    of_gguf: Mapping[str, Any] = {}
    if not offline:
        with _problems(repository, revision, "The hub does not give {repository}: {error}."):
            about = HfApi(endpoint=endpoint, token=token).model_info(repository, revision=revision)
        names = {each.rfilename for each in about.siblings or ()}
        of_gguf = about.gguf or {}
    with _problems(repository, revision):
        folder = fetch((*FILES, ADAPTER), revision)
    names = names or {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    commit = folder.name if _COMMIT.fullmatch(folder.name) else None
    refuse_kind(repository, names, lambda name: read_object(folder / name) if (folder / name).is_file() else {})
    weights = _weights(names)
    if tag is not None or not weights:
        ggufs = gguf_names(repository, names, tag)
        if ggufs:
            if of_gguf.get("architecture"):  # the hub has read the header
                dialect_of({"general.architecture": of_gguf["architecture"]})
            with _problems(repository, revision):
                folder = fetch(ggufs, commit or revision)
            source = source_of_gguf(folder / ggufs[0], repository, commit)
            accept(source)
            return source
    source = read_source(folder, repository, commit)
    accept(source)
    with _problems(repository, revision):
        fetch(weights, commit or revision)
    return source


def _weights(names: Collection[str]) -> list[str]:
    """The files of weights; pickles only if the repository has no others."""
    for patterns in (SAFE_WEIGHTS, OLD_WEIGHTS, CTRANSLATE2):
        found = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
        if found:
            return sorted(found)
    return []


def gguf_names(repository: str, names: Collection[str], tag: str | None) -> list[str]:
    """The files of one model among a repository's GGUF files.

    Args:
        repository: for messages.
        names: the names of all its files.
        tag: a quantization, or a file's name; None: the first of ``_USUAL_TAGS`` that the repository has.

    Raises:
        SourceError: no file has this tag, or several files match it.
    """
    models = sorted(name for name in names if name.endswith(".gguf") and "mmproj" not in name.lower())
    firsts = [name for name in models if (match := _SHARD.search(name)) is None or int(match[1]) == 1]
    if tag is not None:
        chosen = [name for name in firsts if name == tag or _has_tag(name, tag)]
        if not chosen:
            there = ", ".join(sorted({name.rpartition("/")[2] for name in firsts})) or "none"
            raise SourceError(f"{repository} has no GGUF of {tag}; there are: {there}.")
    else:
        usual = ([name for name in firsts if _has_tag(name, each)] for each in _USUAL_TAGS)
        chosen = next((found for found in usual if found), firsts)
    if len(chosen) > 1:
        raise SourceError(f"{repository} has several GGUF files; name one: {', '.join(chosen[:9])}.")
    if not chosen:
        return []
    match = _SHARD.search(chosen[0])
    if match is None:
        return chosen
    beginning = chosen[0][: match.start()]
    return [name for name in models if name.startswith(beginning) and name.endswith(f"-of-{match[2]}.gguf")]


def _has_tag(name: str, tag: str) -> bool:
    return re.search(rf"(^|[-._/]){re.escape(tag)}([-.]|$)", name, re.IGNORECASE) is not None


@contextmanager
def _problems(
    repository: str,
    revision: str | None,
    otherwise: str = "The download of {repository} broke off: {error}. Call again to go on.",
) -> Iterator[None]:
    """Turns the client's errors into messages that name a remedy."""
    from huggingface_hub import errors
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the library below: a lost connection

    try:
        yield
    except errors.GatedRepoError as error:
        raise CannotFetch(
            f"{repository} is gated: accept its terms on its page, then give a token with --token-file or HF_TOKEN."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise CannotFetch(
            f"There is no repository {repository}, or it is private and wants a token (--token-file or HF_TOKEN)."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CannotFetch(f"{repository} has no revision {revision!r}.") from error
    except errors.LocalEntryNotFoundError as error:
        if error.__cause__ is None:
            raise CannotFetch(
                f"{repository} is not on this machine, or not whole, and the hub was not asked."
            ) from error
        why = str(error.__cause__).strip().splitlines() or [type(error.__cause__).__name__]
        raise CannotFetch(f"The hub does not give {repository}: {why[0]}") from error
    except errors.HFValidationError as error:
        raise CannotFetch(f"{repository!r} is no repository id: owner/name is one.") from error
    except (OSError, HTTPError) as error:
        raise CannotFetch(otherwise.format(repository=repository, error=error)) from error
