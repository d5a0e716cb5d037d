"""Files as passages to translate, and back: what stands around the passages comes through byte for byte.

A reader finds passages in the text of a file and says how each translation is written there. A file whose passages come
back as they were is the file, byte for byte: nothing is parsed into a tree and written anew. Files of
messages, tables and cues are in ``catalogs``, files with formatting in ``formatted``. Knows no HTTP.

Files come from strangers: every pattern is linear in the text, nothing is executed, no entity is expanded.
"""

import asyncio
import codecs
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import NamedTuple

from server.errors import BadRequest, Overloaded
from server.tasks.offload import offload
from server.tasks.results import Done, Translation, Usage
from server.tasks.text.language import tell
from server.tasks.translation.markup import Rules, runs_of
from server.tasks.translation.progress import TranslationOptions
from server.tasks.translation.task import TranslationTask

WORD = re.compile(r"[^\W\d_]")
"""Without a letter there is nothing to translate."""

LONGEST = 4_000
"""A paragraph is cut at a line break after so many characters, so that no text of a file outgrows the queue."""

ENDINGS = (
    ".txt", ".md", ".html", ".htm", ".srt", ".vtt", ".json", ".yaml", ".yml", ".po", ".pot", ".csv", ".tsv", ".jsonl",
    ".properties", ".strings", ".docx", ".odt", ".epub", ".pptx",
)  # fmt: skip
"""The endings of the names of files that are read."""

ARCHIVES = (".docx", ".odt", ".epub", ".pptx")

HTML = Rules()
_TAGS = re.compile(r"<[^<>]*>")


class Passage(NamedTuple):
    """A stretch of a file's text that is translated."""

    start: int
    end: int
    text: str
    """The text that the translator reads."""
    write: Callable[[str], str] = str
    """The translation as the file writes it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A text with its passages, in order."""

    text: str
    passages: Sequence[Passage]

    def fill(self, translations: Sequence[str]) -> str:
        """The text with a translation for each passage. A passage that comes back as it was stays as it was written."""
        written: list[str] = []
        at = 0
        for passage, translation in zip(self.passages, translations, strict=True):
            if translation != passage.text:
                written += (self.text[at : passage.start], passage.write(translation))
                at = passage.end
        return "".join([*written, self.text[at:]])


@dataclass(frozen=True, slots=True)
class Document:
    """A file, taken apart."""

    parts: Sequence[Part]
    rules: Rules | None
    """How the passages are read; None: plain text."""
    finish: Callable[[Sequence[str]], bytes]
    """The file, made of its parts' texts."""

    size: int = 0
    """Bytes of the file."""

    @property
    def texts(self) -> list[str]:
        """The texts of all passages."""
        return [passage.text for part in self.parts for passage in part.passages]

    def write(self, translations: Sequence[str]) -> bytes:
        """The file with one translation for each text."""
        left = iter(translations)
        return self.finish([part.fill([next(left) for _ in part.passages]) for part in self.parts])


class Found(NamedTuple):
    """The passages that a reader finds in a text file."""

    passages: Sequence[Passage]
    rules: Rules | None = None


def read(name: str, raw: bytes) -> Document:
    """Take a file apart.

    Args:
        name: the name of the file; its ending says the format.
        raw: what is in it.

    Raises:
        BadRequest: a format that is not read, or a file that is not of its format.
    """
    from server.tasks import formatted  # it builds on this module

    kind = ending(name)
    if kind in ARCHIVES:
        return formatted.unpack(kind, raw)
    text, encode = _decode(raw, kind)
    found = _readers()[kind](text)
    passages = [each for each in found.passages if WORD.search(each.text)]
    return Document([Part(text, passages)], found.rules, lambda texts: encode(texts[0]), len(raw))


PORTION_TEXTS = 64
PORTION_CHARACTERS = 8_000
"""The part of a file that is queued at once, so that other requests get their turn."""
SAMPLE_CHARACTERS = 4_000
"""The number of characters of a file from which its language is detected."""
SMALL_SHARE = 4
"""A file is read so many times more slowly than a text."""


def effort(raw: bytes) -> int:
    """The size that ``offload`` gets for reading or writing a file."""
    return SMALL_SHARE * len(raw)


async def language_of(document: Document, languages: Collection[str]) -> str | None:
    """The language of a file, told by its beginning: one for the whole. None: it cannot be told."""
    sample = ""
    for text in document.texts:
        sample += f"{_TAGS.sub(' ', text[:SAMPLE_CHARACTERS])}\n"
        if len(sample) > SAMPLE_CHARACTERS:
            break
    [found] = await tell([sample], languages)
    return found[0] if found is not None else None


async def translate(document: Document, task: TranslationTask, source: str | None, target: str) -> Done[Translation]:
    """Translate the texts of a file, a portion at a time.

    Raises:
        Overloaded: there is no room for the first portion; later ones wait.
        ServerError: what a translation raises.
    """
    options = TranslationOptions(rules=document.rules)
    items: list[Translation] = []
    usage, timing = Usage(0, 0), None
    for portion in portions(document.texts):
        while True:
            try:
                done = await task.translate(portion, source, target, options)
                break
            except Overloaded as error:
                if timing is None:
                    raise
                await asyncio.sleep(error.wait_s)
        items += done.items
        usage = Usage(
            usage.prompt_tokens + done.usage.prompt_tokens, usage.completion_tokens + done.usage.completion_tokens
        )
        timing = done.timing if timing is None else replace(timing, ended_s=done.timing.ended_s)
    if timing is None:
        return await task.translate([], source, target, options)
    return Done(items, usage, timing)


async def write(document: Document, done: Done[Translation]) -> bytes:
    """The file with its translations."""
    size = sum(len(part.text) for part in document.parts)
    return await offload(lambda: document.write([item.text for item in done.items]), SMALL_SHARE * size)


def portions(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts in lists of a size that is queued at once."""
    portion: list[str] = []
    characters = 0
    for text in texts:
        if portion and (len(portion) == PORTION_TEXTS or characters + len(text) > PORTION_CHARACTERS):
            yield portion
            portion, characters = [], 0
        portion.append(text)
        characters += len(text)
    if portion:
        yield portion


def ending(name: str) -> str:
    """The format of a file of this name, as an ending in lower case.

    Raises:
        BadRequest: it is not read.
    """
    kind = PurePath(name).suffix.lower()
    if kind not in ENDINGS:
        raise BadRequest(f"Files '{kind[:20]}' are not translated; these are: {', '.join(ENDINGS)}.", "file")
    return kind


def damaged(why: str) -> BadRequest:
    """The error for a file that is not what its name says."""
    return BadRequest(f"The file cannot be read: {why}.", "file")


_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED = re.compile(rb"<meta[^<>]{0,80}charset\s{0,9}=\s{0,9}[\"']?(?:iso-8859-1|windows-1252|latin-?1)\b", re.I)


def _decode(raw: bytes, kind: str) -> tuple[str, Callable[[str], bytes]]:
    """The text of a file, and what writes such a text in the same encoding and with the same byte order mark."""
    bom, encoding = next(((bom, name) for bom, name in _BOMS if raw.startswith(bom)), (b"", "utf-8"))
    errors = "strict"
    try:
        try:
            text = raw[len(bom) :].decode(encoding)
        except UnicodeDecodeError:
            if kind == ".properties" and not bom:
                encoding = "latin-1"  # what Java read before its version 9
            elif kind in (".html", ".htm") and not bom and _DECLARED.search(raw[:1024]):
                encoding, errors = "cp1252", "xmlcharrefreplace"
            else:
                raise
            text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise damaged(f"byte {error.start + len(bom)} is not {encoding.upper()}") from None
    if "\0" in text:
        raise damaged("it is no text")
    return text, lambda made: bom + made.encode(encoding, errors)


def lines_of(text: str) -> Iterator[tuple[int, int]]:
    """Where each line begins and ends, without its line break."""
    at = 0
    while at < len(text):
        found = text.find("\n", at)
        after = len(text) if found < 0 else found
        yield at, after - (text[after - 1 : after] == "\r" and after > at)
        at = after + 1


def stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """A stretch without the white space at its ends."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))


def _plain(text: str) -> Found:
    """Paragraphs: lines up to a blank one."""
    found: list[Passage] = []
    start = end = -1

    def close() -> None:
        nonlocal start
        if start >= 0:
            raw = text[start:end]
            crlf = "\r\n" in raw
            found.append(
                Passage(start, end, raw.replace("\r\n", "\n"), _with_crlf if crlf else str),
            )
        start = -1

    for line, after in lines_of(text):
        inner, last = stripped(text, line, after)
        if inner >= last or (start >= 0 and last - start > LONGEST):
            close()
        if inner < last:
            start = inner if start < 0 else start
            end = last
    close()
    return Found(found)


def _with_crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def runs(text: str, rules: Rules, offset: int = 0) -> list[Passage]:
    """The passages of HTML or XML: what stands between two tags that end a sentence."""
    found, at = [], offset
    for run in runs_of(text, rules):
        raw = run if isinstance(run, str) else run.raw(0, len(run.text), run.marks)
        if not isinstance(run, str) and WORD.search(run.text):
            found.append(Passage(at, at + len(raw), raw))
        at += len(raw)
    return found


def _html(text: str) -> Found:
    return Found(runs(text, HTML), HTML)


def _readers() -> dict[str, Callable[[str], Found]]:
    from server.tasks import catalogs, markdown  # they build on this module

    return {
        ".txt": _plain,
        ".md": markdown.markdown,
        ".html": _html,
        ".htm": _html,
        ".srt": catalogs.subtitles,
        ".vtt": catalogs.subtitles,
        ".json": catalogs.json_file,
        ".yaml": catalogs.yaml_file,
        ".yml": catalogs.yaml_file,
        ".po": catalogs.gettext,
        ".pot": catalogs.gettext,
        ".csv": catalogs.table,
        ".tsv": catalogs.table,
        ".jsonl": catalogs.json_lines,
        ".properties": catalogs.properties,
        ".strings": catalogs.strings,
    }
