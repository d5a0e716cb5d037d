"""``hearth translate`` and ``hearth classify``: a text, or a file through a running server.

A file's results come in its order. A run that was stopped goes on where it was when the same command is given
again. Lines that cannot be read, or that the server refuses, go to ``OUTPUT.rejected.jsonl`` with the reason.
"""

import json
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from server.cli.client import CallFailed, Client
from server.cli.files import FileProblem, Line, Writer, read

BATCH = 64
"""Lines of one call."""
IN_FLIGHT = 4
"""Calls at once: enough to keep the server's batches full."""

Work = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]
"""Texts to the fields that each gets."""


def translate(
    input: str, output: Path | None, field: str, model: str | None, to: str, source: str, url: str, api_key: str
) -> int:
    """Translate a text or a file."""

    def work(client: Client, texts: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        body = {"model": model, "input": list(texts), "target": to, "source": source}
        data = client.call("POST", "/v1/translations", body)["data"]
        return [{"translation": item["text"], "source_language": item["source"]} for item in data]

    with Client(url, api_key) as client:
        return _run(input, output, field, "translation", lambda texts: work(client, texts))


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
        print(f"hearth: {rejected} lines were kept aside in {output}.rejected.jsonl", file=sys.stderr)
    return 0


class _File:
    """One file on its way. Beside the output lie, until it is whole, ``.part`` and ``.state``."""

    def __init__(self, file: Path, output: Path, field: str, key: str) -> None:
        self._file = file
        self._output = output
        self._field = field
        self._writer = Writer(file.suffix.lower(), key)
        self._part = output.with_name(output.name + ".part")
        self._state = output.with_name(output.name + ".state")
        self._aside = output.with_name(output.name + ".rejected.jsonl")

    def work_off(self, work: Work) -> int:
        """Work the file off from where it was left; how many lines were kept aside."""
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
        """Where an earlier run stopped: what it wrote after its last note is cut off."""
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
    """The result of each line, or why it has none. A call that is refused is tried again line by line."""
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
