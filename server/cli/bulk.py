"""``hearth translate`` and ``hearth classify``: a text, or a file through a running server.

A file is txt (a text a line), csv (a column) or jsonl (a field). Its results come in its order. A run that was
stopped goes on where it was when the same command is given again. Lines that cannot be read, or that the server
refuses, go to ``OUTPUT.rejected.jsonl`` with their number and the reason: none is lost, and none is in the way.

Files of other formats are translated whole, by the server (``server/tasks/documents.py``).
"""

import csv
import io
import json
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

from server.cli.client import CallFailed, Client
from server.tasks.documents import ENDINGS

SURPLUS = "\0surplus"
"""The key under which the library puts fields beyond the columns; no column has this name."""

FORMATS = (".txt", ".csv", ".jsonl")
OTHERS = tuple(ending for ending in ENDINGS if ending not in FORMATS)


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
        also = f"for translate also {', '.join(OTHERS)}"
        raise FileProblem(f"{file}: the format must be one of {', '.join(FORMATS)}; {also}.")
    try:
        with file.open(encoding="utf-8", newline="" if kind == ".csv" else None) as lines:
            if kind == ".csv":
                yield from _read_csv(lines, field, file)
            else:
                for number, line in enumerate(lines, 1):
                    yield _read_line(number, line.rstrip("\n"), kind, field)
    except UnicodeDecodeError as error:
        raise FileProblem(f"{file}: byte {error.start} is not UTF-8.") from None


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
        return Line(number, {"line": line}, problem="half of a surrogate pair, which is not Unicode text")
    text = record.get(field)
    if not isinstance(text, str) or not text.strip():
        return Line(number, record, problem=f"'{field}' is missing, empty or not text")
    return Line(number, record, text)


def _is_unicode(record: Mapping[str, Any]) -> bool:
    """Whether the record can be written again: escapes in JSON can stand for characters that UTF-8 has not."""
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
        """The beginning of the file; called with the first record."""
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


BATCH = 64
"""Lines of one call."""
IN_FLIGHT = 4
"""Calls at once: enough to keep the server's batches full."""

Work = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]
"""A function from texts to the new fields of each."""


def translate(
    input: str, output: Path | None, field: str, model: str | None, to: str, source: str, url: str, api_key: str
) -> int:
    """Translate a text or a file."""

    def work(client: Client, texts: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        body = {"model": model, "input": list(texts), "target": to, "source": source}
        data = client.call("POST", "/v1/translations", body)["data"]
        return [{"translation": item["text"], "source_language": item["source"]} for item in data]

    with Client(url, api_key) as client:
        file = Path(input)
        if file.suffix.lower() in OTHERS and file.is_file():
            fields = {"source": source, "target": to} | ({"model": model} if model else {})
            return _translate_document(client, file, output, fields)
        return _run(input, output, field, "translation", lambda texts: work(client, texts))


def _translate_document(client: Client, file: Path, output: Path | None, fields: Mapping[str, str]) -> int:
    """Translate a file whose structure stays; the server reads and writes it."""
    if output is None:
        print("hearth: a file needs -o OUTPUT", file=sys.stderr)
        return 2
    told = client.send_file("/translate_file", file.name, file.read_bytes(), fields)
    part = output.with_name(output.name + ".part")
    part.write_bytes(client.fetch(urlsplit(told["translatedFileUrl"]).path))
    part.replace(output)
    for flag, times in told.get("flags", {}).items():
        print(f"hearth: {times} passages are flagged '{flag}'", file=sys.stderr)
    return 0


def classify(input: str, output: Path | None, field: str, model: str | None, url: str, api_key: str) -> int:
    """Classify a text or a file."""

    def work(client: Client, texts: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        data = client.call("POST", "/classify", {"model": model, "input": list(texts)})["data"]
        return [{"label": item["label"], "score": round(max(item["probs"]), 4)} for item in data]

    with Client(url, api_key) as client:
        return _run(input, output, field, "label", lambda texts: work(client, texts))


def _run(given: str, output: Path | None, field: str, key: str, work: Work) -> int:
    file = Path(given)
    if not file.is_file():
        for name, value in work([given])[0].items():
            print(value if name == key else f"  {name}: {value}")
        return 0
    if output is None:
        print("hearth: a file needs -o OUTPUT", file=sys.stderr)
        return 2
    try:
        rejected = _File(file, output, field, key).work_off(work)
    except FileProblem as error:
        print(f"hearth: {error}", file=sys.stderr)
        return 1
    if rejected:
        print(f"hearth: {rejected} lines were rejected; they are in {output}.rejected.jsonl", file=sys.stderr)
    return 0


class _File:
    """One file at work. Until the output is whole, ``.part`` and ``.state`` lie beside it."""

    def __init__(self, file: Path, output: Path, field: str, key: str) -> None:
        self._file = file
        self._output = output
        self._field = field
        self._writer = Writer(file.suffix.lower(), key)
        self._part = output.with_name(output.name + ".part")
        self._state = output.with_name(output.name + ".state")
        self._aside = output.with_name(output.name + ".rejected.jsonl")

    def work_off(self, work: Work) -> int:
        """Work through the file from where the last run stopped. Returns the number of rejected lines."""
        state = self._resume()
        total = sum(1 for _ in read(self._file, self._field))
        lines = islice(read(self._file, self._field), state["lines"], None)
        bar = tqdm(total=total, initial=state["lines"], unit=" lines", disable=not sys.stderr.isatty())
        mode = "a" if state["lines"] else "w"
        with (
            self._part.open(mode, encoding="utf-8", newline="") as part,
            self._aside.open(mode, encoding="utf-8") as aside,
            ThreadPoolExecutor(IN_FLIGHT) as pool,
        ):
            for batch, results in _in_order(pool, lines, work):
                for line, result in zip(batch, results, strict=True):
                    if isinstance(result, str):
                        state["rejected"] += 1
                        what = {"line": line.number, "reason": result, "record": dict(line.record)}
                        aside.write(json.dumps(what, ensure_ascii=False) + "\n")
                    else:
                        record = {**line.record, **result}
                        if not state["begun"]:
                            part.write(self._writer.header(record))
                            state["begun"] = list(record)
                        part.write(self._writer.encode(record))
                part.flush()
                aside.flush()
                state["lines"] += len(batch)
                state["bytes"], state["aside_bytes"] = part.tell(), aside.tell()
                self._state.write_text(json.dumps(state))
                bar.update(len(batch))
        bar.close()
        self._part.replace(self._output)
        self._state.unlink(missing_ok=True)
        if not state["rejected"]:
            self._aside.unlink(missing_ok=True)
        return int(state["rejected"])

    def _resume(self) -> dict[str, Any]:
        """Continue after an earlier run: cut off the output that it wrote after its last note."""
        fresh = {"size": self._file.stat().st_size, "lines": 0, "rejected": 0, "begun": None}
        try:
            state: dict[str, Any] = json.loads(self._state.read_text())
        except (OSError, ValueError):
            return fresh
        if state.get("size") != fresh["size"] or not self._part.exists() or not self._aside.exists():
            return fresh
        for file, size in ((self._part, state["bytes"]), (self._aside, state["aside_bytes"])):
            with file.open("r+b") as opened:
                opened.truncate(size)
        if state["begun"]:
            self._writer.header(dict.fromkeys(state["begun"]))
        return state


def _in_order(
    pool: ThreadPoolExecutor, lines: Iterator[Line], work: Work
) -> Iterator[tuple[list[Line], list[Mapping[str, Any] | str]]]:
    """Batches with their results, in the order of the lines, a few in flight at once."""
    waiting: deque[tuple[list[Line], Future[list[Mapping[str, Any] | str]]]] = deque()
    while True:
        while len(waiting) < IN_FLIGHT and (batch := list(islice(lines, BATCH))):
            waiting.append((batch, pool.submit(_work_off, batch, work)))
        if not waiting:
            return
        batch, future = waiting.popleft()
        yield batch, future.result()


def _work_off(batch: Sequence[Line], work: Work) -> list[Mapping[str, Any] | str]:
    """The result of each line, or the reason why it has none. A refused call is tried again line by line."""
    results: list[Mapping[str, Any] | str] = [line.problem for line in batch]
    good = [i for i, line in enumerate(batch) if not line.problem]
    empty = [i for i in good if not batch[i].text.strip()]
    for i in empty:
        results[i] = "it is empty"
    good = [i for i in good if i not in empty]
    if not good:
        return results
    try:
        for i, result in zip(good, work([batch[i].text for i in good]), strict=True):
            results[i] = result
    except CallFailed as error:
        if not error.is_refusal:
            raise
        for i in good:
            try:
                results[i] = work([batch[i].text])[0]
            except CallFailed as one:
                if not one.is_refusal:
                    raise
                results[i] = str(one)
    return results
