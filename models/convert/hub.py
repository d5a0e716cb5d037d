"""Downloads from a hub, through its own client: only the files a conversion needs.

A connection that breaks is taken up again where it broke; a process that ends keeps the files that were whole.

The client's own settings hold: ``HF_ENDPOINT``, ``HF_HOME`` (where downloads are kept), ``HF_TOKEN``. Nothing that is
downloaded is executed.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.convert.source import Source, read_source

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

_COMMIT = re.compile(r"[0-9a-f]{40}")


class CannotFetch(Exception):
    """The hub, or the copy of it on this machine, does not give the repository; the message says what would help."""


def download(
    repository: str,
    revision: str | None = None,
    *,
    offline: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> Source:
    """The repository's files on this machine; those that are here already are not downloaded again.

    Args:
        repository: its id on the hub, ``owner/name``.
        revision: a branch, a tag or a commit; None: the main branch.
        offline: ask nobody; take what was downloaded before.
        token: for repositories that want one; None: the client's own.
        endpoint, cache: where the hub is and where downloads are kept; None: the client's settings.

    Raises:
        CannotFetch: there is no such repository or revision, it is not for this user, the hub cannot be reached, or
            the download broke off; called again, it goes on with the files that are not whole.
        SourceError: what was downloaded is no model.
    """
    from huggingface_hub import snapshot_download

    def fetch(patterns: tuple[str, ...]) -> Path:
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

    with _problems(repository, revision):
        folder = fetch((*FILES, *SAFE_WEIGHTS))
        if not any(folder.glob("*.safetensors")):
            folder = fetch((*FILES, *OLD_WEIGHTS))
    return read_source(folder, repository, folder.name if _COMMIT.fullmatch(folder.name) else None)


@contextmanager
def _problems(repository: str, revision: str | None) -> Iterator[None]:
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
        raise CannotFetch(f"The download of {repository} broke off: {error}. Call again to go on.") from error
