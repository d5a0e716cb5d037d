"""``hearth summarize``: a text or a whole file through ``/v1/summaries`` of a running server."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.cli.client import Client

FORMATS = (".txt", ".md", ".text", "")
"""Suffixes of files of plain text."""


def summarize(
    input: str,
    output: Path | None,
    sentences: int | None,
    words: int | None,
    model: str | None,
    as_json: bool,
    url: str,
    api_key: str,
) -> int:
    """Summarize a text or a file. What a check found goes to standard error, the summary to its place."""
    file = Path(input)
    text = input
    if _is_file(file):
        if file.suffix.lower() not in FORMATS:
            print(f"hearth: {file}: only files of plain text (txt, md) are summarized", file=sys.stderr)
            return 2
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError as error:
            print(f"hearth: {file}: byte {error.start} is not UTF-8.", file=sys.stderr)
            return 1
    body = {"input": text, "model": model, "max_sentences": sentences, "max_words": words}
    with Client(url, api_key) as client:
        (item,) = client.call("POST", "/v1/summaries", body)["data"]
    said = json.dumps(item, ensure_ascii=False) if as_json else item["text"]
    if output is None:
        print(said)
    else:
        output.write_text(said + "\n", "utf-8")
    for sentence in item["sentences"]:
        for flag in sentence["flags"]:
            print(f"hearth: {_fault(sentence['text'], flag)}", file=sys.stderr)
    if not item["sentences"]:
        print("hearth: no sentence is short enough for this length", file=sys.stderr)
    return 0


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # a text can be too long for the name of a file, or have characters that no name has
        return False


def _fault(sentence: str, flag: Mapping[str, Any]) -> str:
    """A fault in words."""
    part = sentence[flag["start"] : flag["end"]]
    if flag["flag"] == "unsupported":
        return f"nothing in the text supports: {part}"
    what = {"number": "the number", "name": "the name", "negation": "the negation of"}[flag["flag"]]
    return f"check {what} '{part}' in: {sentence}"
