"""The lines of a batch's files: input lines are read and checked, output lines are written, in OpenAI's shapes."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from server.store.batches import NewLine

MOST_PROBLEMS = 100
"""The most faults that a failed batch names."""
MOST_ID_CHARACTERS = 512
KNOWN = frozenset({"custom_id", "method", "url", "body"})


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of an input file, in the fields of OpenAI's batch errors."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


@dataclass
class InputLines:
    """Reads an input file, once from its beginning to its end.

    Args:
        file: where it lies.
        endpoint: the only ``url`` of its lines.
        most_lines, most_bytes: of the file, and of one line.
        parse: reads JSON, as strictly as that of a request; raises ValueError.
    """

    file: Path
    endpoint: str
    most_lines: int
    most_bytes: int
    parse: Callable[[bytes], Any]
    problems: list[Problem] = field(default_factory=list)
    models: set[str | None] = field(default_factory=set)
    """The models that its lines name."""
    count: int = 0
    """Lines that were in order."""

    def __post_init__(self) -> None:
        self._seen: dict[str, int] = {}

    def read(self) -> Iterator[NewLine]:
        """All lines that are in order. Empty lines count as none, but have numbers."""
        with self.file.open("rb") as opened:
            number = 0
            while raw := opened.readline(self.most_bytes + 1):
                number += 1
                if len(raw) > self.most_bytes:
                    told = f"The line has more than {self.most_bytes} bytes; nothing after it was read."
                    self._tell(Problem("line_too_long", told, number))
                    return
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")
                if not raw.strip():
                    continue
                if self.count + len(self.problems) >= self.most_lines:
                    told = f"The file has more than {self.most_lines} lines."
                    self._tell(Problem("too_many_lines", told, number))
                    return
                found = self._check(number, raw)
                if isinstance(found, NewLine):
                    self.count += 1
                    yield found
                elif not self._tell(found):
                    return
        if not self.count and not self.problems:
            self._tell(Problem("empty_file", "The input file has no lines."))

    def _tell(self, problem: Problem) -> bool:
        self.problems.append(problem)
        return len(self.problems) < MOST_PROBLEMS

    def _check(self, number: int, raw: bytes) -> NewLine | Problem:
        try:
            line = self.parse(raw)
        except ValueError as error:
            return Problem("invalid_json_line", f"The line is not valid JSON: {error}."[:300], number)
        if not isinstance(line, dict):
            return Problem("invalid_json_line", "The line is no JSON object.", number)
        custom_id, body = line.get("custom_id"), line.get("body")
        if missing := next((name for name in ("custom_id", "method", "url", "body") if line.get(name) is None), None):
            return Problem("missing_required_parameter", f"'{missing}' is missing.", number, missing)
        if unknown := next((name for name in line if name not in KNOWN), None):
            return Problem("unknown_parameter", f"There is no parameter '{unknown[:100]}'.", number, unknown[:100])
        if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MOST_ID_CHARACTERS:
            told = f"'custom_id' must be a text of 1 to {MOST_ID_CHARACTERS} characters."
            return Problem("invalid_custom_id", told, number, "custom_id")
        if line["method"] != "POST":
            return Problem("invalid_method", "'method' must be POST.", number, "method")
        if line["url"] != self.endpoint:
            return Problem("mismatched_url", f"'url' must be the batch's endpoint, {self.endpoint}.", number, "url")
        if not isinstance(body, dict):
            return Problem("invalid_body", "'body' must be a JSON object.", number, "body")
        if body.get("stream"):
            return Problem("invalid_body", "'stream' must not be true: a line has one answer.", number, "body.stream")
        if (first := self._seen.setdefault(custom_id, number)) != number:
            told = f"'custom_id' is that of line {first} too."
            return Problem("duplicate_custom_id", told, number, "custom_id")
        model = body.get("model")
        self.models.add(model if isinstance(model, str) else None)
        return NewLine(number, custom_id, to_json(body))


def answered(custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """The output line of a request that was answered, with a success or an error. ``body`` is JSON of one line."""
    head = f'{{"id": "batch_req_{uuid.uuid4().hex}", "custom_id": {json.dumps(custom_id)}, "response": '
    told = f'{{"status_code": {status}, "request_id": {json.dumps(request_id)}, "body": '
    return (head + told).encode() + body + b'}, "error": null}\n'


UNANSWERED = {
    "batch_expired": "This request could not be executed before the completion window expired.",
    "batch_cancelled": "This request was not executed: the batch was cancelled before.",
}


def unanswered(custom_id: str, code: str) -> bytes:
    """The output line of a request that was not worked on."""
    line: dict[str, Any] = {
        "id": f"batch_req_{uuid.uuid4().hex}",
        "custom_id": custom_id,
        "response": None,
        "error": {"code": code, "message": UNANSWERED[code]},
    }
    return to_json(line) + b"\n"
