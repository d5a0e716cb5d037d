"""Structured logs: one line an event, with the id of its request.

Logs hold nothing of the contents of requests: user text, keys and addresses are never logged. Facts go in
``extra={"facts": {...}}``; as JSON they are fields of the line, as text they follow the message.
"""

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LogFormat = Literal["text", "json"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the current task works for."""


ESCAPED = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    code: f"\\u{code:04x}" for code in (0x2028, 0x2029)
}
"""Characters that would end a line or control a terminal. They are replaced, so an event stays one line."""


class JsonLines(logging.Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Encode time, level, logger, message, request id, the facts and a traceback if there is one."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _facts(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """A readable line; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, message and the facts as ``name=value``."""
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items())
        said = f"{record.getMessage()}{' ' if facts else ''}{facts}".translate(ESCAPED)
        line = f"{_time(record)} {record.levelname:<7} {said}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(level: str = "INFO", form: LogFormat = "text", stream: TextIO | None = None) -> None:
    """Send the log of the whole process to ``stream`` (standard error), replacing what was set before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # The access line is ours (server/api/access.py); uvicorn's would log addresses and raw paths.
    logging.getLogger("uvicorn.access").disabled = True


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    facts: dict[str, Any] = {}
    if (current := request_id.get()) is not None:
        facts["request_id"] = current
    facts |= getattr(record, "facts", {})
    return {name: value for name, value in facts.items() if value is not None}
