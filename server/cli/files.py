"""Files of texts: txt (a text a line), csv (a column), jsonl (a field). Read in order, written in order.

What cannot be read is kept offload with its line number and the reason, never lost and never in the way.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SURPLUS = "\0surplus"
"""Where the library puts fields beyond the columns; no column has this name."""

FORMATS = (".txt", ".csv", ".jsonl")


@dataclass(frozen=True, slots=True)
class Line:
    """One record of a file. ``problem`` says why it has no text."""

    number: int
    record: Mapping[str, Any]
    text: str = ""
    problem: str = ""


class FileProblem(Exception):
    """The file as a whole cannot be read; the message is for the person at the terminal."""


def read(file: Path, field: str) -> Iterator[Line]:
    """Yield every record in order, bad ones included.

    Raises:
        FileProblem: unknown format, no such column, not UTF-8.
    """
    kind = file.suffix.lower()
    if kind not in FORMATS:
        raise FileProblem(f"{file}: the format must be one of {', '.join(FORMATS)}.")
    try:
        with file.open(encoding="utf-8", newline="" if kind == ".csv" else None) as lines:
            if kind == ".csv":
                yield from _read_csv(lines, field, file)
            else:
                for number, line in enumerate(lines, 1):
                    yield _read_line(number, line.rstrip("\n"), kind, field)
    except UnicodeDecodeError as error:
        raise FileProblem(f"{file}: byte {error.start} is no UTF-8.") from None


def _read_csv(lines: Any, field: str, file: Path) -> Iterator[Line]:
    reader = csv.DictReader(lines, strict=True, restkey=SURPLUS)
    if field not in (reader.fieldnames or ()):
        there = ", ".join(reader.fieldnames or ()) or "none"
        raise FileProblem(f"{file}: there is no column '{field}'; there are {there}. Name one with --field.")
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(reader.line_num, {}, problem=f"no csv: {error}")
            continue
        extra = record.pop(SURPLUS, None)
        text = record.get(field)
        if extra or text is None or not text.strip():
            problem = "more fields than columns" if extra else f"'{field}' is empty"
            yield Line(reader.line_num, record, problem=problem)
        else:
            yield Line(reader.line_num, record, text)


def _read_line(number: int, line: str, kind: str, field: str) -> Line:
    if kind == ".txt":
        return Line(number, {"text": line}, line)
    try:
        record = json.loads(line)
    except ValueError:
        return Line(number, {"line": line}, problem="no JSON")
    if not isinstance(record, dict):
        return Line(number, {"line": line}, problem="no JSON object")
    if "\\ud" in line.lower() and not _is_unicode(record):
        return Line(number, {"line": line}, problem="half of a surrogate pair, which is no Unicode text")
    text = record.get(field)
    if not isinstance(text, str) or not text.strip():
        return Line(number, record, problem=f"'{field}' is missing, empty or no text")
    return Line(number, record, text)


def _is_unicode(record: Mapping[str, Any]) -> bool:
    """Whether the record can be written again: escapes in JSON can say what UTF-8 cannot."""
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


class Writer:
    """Encodes results in the format of a file: the input's record with new fields."""

    def __init__(self, kind: str, key: str) -> None:
        """Write for this suffix; of a txt result only the field ``key`` is written."""
        self._kind = kind
        self._key = key
        self._columns: list[str] | None = None

    def header(self, record: Mapping[str, Any]) -> str:
        """What begins the file; called with the first record."""
        self._columns = list(record)
        return self._row(self._columns) if self._kind == ".csv" else ""

    def encode(self, record: Mapping[str, Any]) -> str:
        """One record."""
        if self._kind == ".txt":
            return str(record[self._key]).replace("\n", " ") + "\n"
        if self._kind == ".jsonl":
            return json.dumps(dict(record), ensure_ascii=False) + "\n"
        return self._row([record.get(column, "") for column in self._columns or record])

    @staticmethod
    def _row(values: list[Any]) -> str:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerow(values)
        return buffer.getvalue()
