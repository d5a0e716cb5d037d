"""Downloads from a hub, through its own client: only the files a conversion needs, and weights last.

The list of files and the configurations come first: a repository that cannot be converted is refused before its weights
are downloaded. A connection that breaks is taken up again where it broke; a process that ends keeps the files that were
whole.

The client's own settings hold: ``HF_ENDPOINT``, ``HF_HOME`` (where downloads are kept), ``HF_TOKEN``. Nothing that is
downloaded is executed.
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
    # How sentence-transformers pools, and what it puts before texts.
    *("modules.json", "sentence_*_config.json", "config_sentence_transformers.json", "?_*/config.json"),
)
SAFE_WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
OLD_WEIGHTS = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
"""Pickles: for repositories that have nothing else; read for their tensors only (`models.convert.original`)."""

CTRANSLATE2 = ("model.bin", "vocabulary.json", "vocabulary.txt", "shared_vocabulary.json")
ADAPTER = "adapter_config.json"

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_USUAL_TAGS = ("Q8_0", "F16", "BF16", "F32", "Q6_K", "Q5_K_M", "Q4_K_M")
"""Which of several GGUF files is taken where none is named: weights become int8, so one of eight bits loses least."""


class CannotFetch(Exception):
    """The hub, or the copy of it on this machine, does not give the repository; the message says what would help."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A repository as a person names it."""

    repository: str
    revision: str | None = None
    tag: str | None = None
    """Which GGUF, by its quantization or its file's name; None: whatever fits best."""


def wanted_of(text: str) -> Wanted:
    """What is meant by ``owner/name``, ``owner/name:Q4_K_M``, ``hf.co/owner/name``, or the address of a page or a file.

    Raises:
        CannotFetch: nothing that is known.
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
    """The repository's files on this machine; those that are here already are not downloaded again.

    Args:
        repository: its id on the hub, ``owner/name``.
        revision: a branch, a tag or a commit; None: the main branch.
        tag: which of its GGUF files, by quantization or name; None: its own weights, or the GGUF that fits best.
        offline: ask nobody; take what was downloaded before.
        token: for repositories that want one; None: the client's own.
        endpoint, cache: where the hub is and where downloads are kept; None: the client's settings.
        accept: called with the configurations before weights are downloaded; raises where they would be for nothing.

    Raises:
        CannotFetch: there is no such repository or revision, it is not for this user, the hub cannot be reached, or
            the download broke off; called again, it goes on with the files that are not whole.
        CannotConvert: it holds no model that could be converted.
        SourceError: what was downloaded is no model.
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
    """The files of weights: pickles only where there is nothing else."""
    for patterns in (SAFE_WEIGHTS, OLD_WEIGHTS, CTRANSLATE2):
        found = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
        if found:
            return sorted(found)
    return []


def gguf_names(repository: str, names: Collection[str], tag: str | None) -> list[str]:
    """The files of one model among a repository's GGUF files.

    Args:
        repository: for messages.
        names: of all its files.
        tag: a quantization, or a file's name; None: the first of ``_USUAL_TAGS`` that there is.

    Raises:
        SourceError: there is none of this tag, or nothing tells which is meant.
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
    """The client's errors as what a person can do about them."""
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
