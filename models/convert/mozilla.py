"""Mozilla's registry of Firefox's translators, and downloads from it.

The registry is a collection of Remote Settings (Kinto's protocol over HTTP): the root states the place of attachments,
the collection lists a record for each file of a direction, in pages, and a record has its file's size and SHA-256. A
download that broke off continues from there; a file with a wrong SHA-256 is not used.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from models.convert.hub import CannotFetch
from models.convert.source import Source
from models.convert.student_files import source_of_student

PREFIX = "mozilla:"
SERVER = "https://firefox.settings.services.mozilla.com/v1"
SERVER_VARIABLE = "MOZILLA_SETTINGS_SERVER"
"""The environment's variable that names another server."""
COLLECTION = "/buckets/main/collections/translations-models/records"
TIMEOUT_S = 60.0
MOST_PAGES, MOST_FILE_BYTES = 100, 1 << 30
_KINDS = ("model", "vocab", "srcvocab", "trgvocab", "lex")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of the registry."""

    name: str
    location: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Offer:
    """One direction in one variant and version, and its files."""

    source: str
    target: str
    variant: str
    version: str
    files: tuple[Attachment, ...]

    @property
    def pair(self) -> str:
        """The offer's name for users: ``en-de``."""
        return f"{self.source}-{self.target}"

    @property
    def name(self) -> str:
        """The name of its model."""
        return f"firefox-{self.pair}" + (f"-{self.variant}" if self.variant else "")


def chosen(wanted: str, offers: Sequence[Offer], version: str | None = None) -> list[Offer]:
    """The offers that a user's words denote.

    Args:
        wanted: the text after ``mozilla:``, such as ``en-de``, ``en-de,fr,es`` or, for a variant, ``en-de:tiny``.
        offers: all offers of the registry.
        version: the version; None: the newest that is not a beta, of several variants the first by name.

    Raises:
        CannotFetch: the registry lacks one of the offers.
    """
    pairs, _, variant = wanted.partition(":")
    first, *others = [each.strip() for each in pairs.split(",")]
    known = {offer.pair: offer for offer in offers}
    if others and first in known:
        others = [other if other in known else f"{known[first].source}-{other}" for other in others]
    found = []
    for pair in (first, *others):
        able = [each for each in offers if each.pair == pair and (not variant or each.variant == variant)]
        able = [each for each in able if version is None or each.version == version]
        if not able:
            raise CannotFetch(_lacks(pair, variant, version, offers))
        found.append(max(able, key=lambda each: (_numbers(each.version), each.variant == "")))
    return found


def _lacks(pair: str, variant: str, version: str | None, offers: Sequence[Offer]) -> str:
    same = [each for each in offers if each.pair == pair]
    if same:
        there = ", ".join(f"{each.variant or 'no variant'} {each.version}" for each in same)
        return f"Mozilla's registry has {pair} not as {variant or version}; there are: {there}."
    return f"Mozilla's registry has no {pair}; there are: {', '.join(sorted({each.pair for each in offers}))}."


def _numbers(version: str) -> tuple[bool, list[int]]:
    """A sort key: newer versions come later, and betas come before all others."""
    return "a" not in version and not version.startswith("0"), [int(each) for each in _NUMBER.findall(version)]


class Registry:
    """A connection to the registry, which the caller must close.

    Args:
        server: the registry's root; None: the environment's, else Mozilla's.
    """

    def __init__(self, server: str | None = None) -> None:
        self._server = (server or os.environ.get(SERVER_VARIABLE) or SERVER).rstrip("/")
        self._client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=True)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def offers(self) -> list[Offer]:
        """Every direction with all of its files.

        Raises:
            CannotFetch: the registry cannot be reached, or its answer violates the protocol.
        """
        groups: dict[tuple[str, str, str, str], dict[str, Attachment]] = {}
        for record in self._records():
            kind = record.get("fileType")
            key = [record.get(name) or record.get(other) or "" for name, other in _FIELDS]
            attachment = _attachment(record)
            if kind in _KINDS and attachment is not None and all(isinstance(each, str) for each in key):
                groups.setdefault((key[0], key[1], key[2], key[3]), {})[str(kind)] = attachment
        whole = {"model", "vocab"}, {"model", "srcvocab", "trgvocab"}
        return [
            Offer(*key, files=tuple(files.values()))
            for key, files in sorted(groups.items())
            if any(kinds <= files.keys() for kinds in whole)
        ]

    def fetch(self, offer: Offer, cache: Path, report: Callable[[str], None] = lambda line: None) -> Source:
        """The files of a direction on this machine; complete files are not downloaded again.

        Raises:
            CannotFetch: a download broke off (another call continues it), or a file differs from its record.
            CannotConvert, SourceError: the files are of an unsupported kind.
        """
        folder = cache / f"{offer.name}-{offer.version}"
        folder.mkdir(parents=True, exist_ok=True)
        base = self._attachments()
        for file in offer.files:
            if not (folder / file.name).is_file():
                report(f"downloading {file.name} ({file.size_bytes / 1e6:.1f} MB)")
                self._download(base + file.location, file, folder)
        return source_of_student(folder, f"mozilla/{offer.name}", offer.version, (offer.source, offer.target))

    def _download(self, url: str, file: Attachment, folder: Path) -> None:
        begun = folder / f"{file.name}.part"
        have = begun.stat().st_size if begun.is_file() else 0
        if have > file.size_bytes:
            have = 0
        try:
            if have < file.size_bytes:
                self._append(url, file, begun, have)
        except (httpx.HTTPError, OSError) as error:
            why = str(error) or type(error).__name__
            raise CannotFetch(f"The download of {file.name} broke off: {why}. Call again to go on.") from error
        digest = hashlib.sha256(begun.read_bytes()).hexdigest()
        if digest != file.sha256:
            begun.unlink()
            raise CannotFetch(f"{file.name} has another SHA-256 than the registry says; it was thrown away.")
        begun.rename(folder / file.name)

    def _append(self, url: str, file: Attachment, begun: Path, have: int) -> None:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self._client.stream("GET", url, headers=headers) as answer:
            answer.raise_for_status()
            goes_on = answer.status_code == httpx.codes.PARTIAL_CONTENT
            with begun.open("ab" if goes_on else "wb") as out:
                for chunk in answer.iter_raw():
                    out.write(chunk)
                    if out.tell() > file.size_bytes:
                        raise OSError("it is longer than the registry says")

    def _records(self) -> Iterator[Mapping[str, Any]]:
        url: str | None = self._server + COLLECTION
        for _ in range(MOST_PAGES):
            if url is None:
                return
            answer = self._get(url)
            url = answer.headers.get("Next-Page")
            data = _object(answer).get("data")
            if not isinstance(data, list):
                raise CannotFetch(f"{self._server} gives no list of records.")
            yield from (each for each in data if isinstance(each, dict))

    def _attachments(self) -> str:
        try:
            base = _object(self._get(f"{self._server}/"))["capabilities"]["attachments"]["base_url"]
        except (KeyError, TypeError):
            base = None
        if not isinstance(base, str):
            raise CannotFetch(f"{self._server} does not say where its files lie.")
        return base if base.endswith("/") else f"{base}/"

    def _get(self, url: str) -> httpx.Response:
        try:
            return self._client.get(url).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CannotFetch(f"{self._server} cannot be asked: {error or type(error).__name__}.") from error


_FIELDS = (
    ("fromLang", "sourceLanguage"),
    ("toLang", "targetLanguage"),
    ("variant", "architecture"),
    ("version", "version"),
)
"""The names of a record's fields, in the older and in the newer collections."""


def _object(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except (ValueError, RecursionError) as error:
        raise CannotFetch(f"{answer.url} gives no JSON.") from error
    return found if isinstance(found, dict) else {}


def _attachment(record: Mapping[str, Any]) -> Attachment | None:
    """The file of a record; None if the record names no file that can be written and checked."""
    about = record.get("attachment")
    if not isinstance(about, dict):
        return None
    name, location, sha256, size = (about.get(key) for key in ("filename", "location", "hash", "size"))
    texts = isinstance(name, str) and isinstance(location, str) and isinstance(sha256, str)
    if not texts or not _NAME.fullmatch(str(name)) or not _SHA256.fullmatch(str(sha256)):
        return None
    if not isinstance(size, int) or not 0 < size <= MOST_FILE_BYTES:
        return None
    return Attachment(str(name), str(location).lstrip("/"), str(sha256), size)
