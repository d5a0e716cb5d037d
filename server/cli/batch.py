"""``hearth batch``: a file of requests through a running server, behind everybody else's work.

The server does the work and remembers it. This command uploads the file, watches, and fetches the answers. Beside the
output lies a note of the batch until the answers are there, so the same command goes on where it was stopped,
whichever side was stopped.
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from server.cli.client import CallFailed, Client

LOOK_S = 1.0
"""The pause between two looks at the batch."""
ENDED = ("completed", "failed", "expired", "cancelled")


class _Note:
    """The progress of earlier runs of the same file, in a file beside the output."""

    def __init__(self, output: Path, sha256: str) -> None:
        self._file = output.with_name(output.name + ".state")
        self.facts: dict[str, str] = {"sha256": sha256}
        try:
            found = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return
        if isinstance(found, dict) and found.get("sha256") == sha256:
            self.facts = found

    def write(self, **facts: str) -> None:
        """Add facts."""
        self.facts |= facts
        part = self._file.with_name(self._file.name + ".part")
        part.write_text(json.dumps(self.facts), "utf-8")
        part.replace(self._file)

    def drop(self) -> None:
        """The run is over."""
        self._file.unlink(missing_ok=True)


def run(file: Path, output: Path | None, endpoint: str | None, cancel: bool, url: str, api_key: str) -> int:
    """Run a file of requests, or go on with it; ``cancel`` ends it and fetches what is finished."""
    try:
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            opened.seek(0)
            asked = endpoint or _endpoint(opened.readline())
    except OSError as error:
        print(f"hearth: {file}: {error.strerror}", file=sys.stderr)
        return 1
    except ValueError:
        print(f"hearth: {file}: its first line names no 'url'; name one with --endpoint.", file=sys.stderr)
        return 1
    output = output or file.with_name(f"{file.stem}.answers.jsonl")
    note = _Note(output, sha256)
    with Client(url, api_key) as client:
        id = _begun(client, note, file, asked)
        if cancel:
            client.call("POST", f"/v1/batches/{id}/cancel")
        try:
            batch = _watch(client, id)
        except KeyboardInterrupt:
            print("hearth: the batch goes on. The same command watches it again; --cancel ends it.", file=sys.stderr)
            raise
        except CallFailed as error:
            if error.status == 404:
                note.drop()
            raise
        return _fetch(client, note, batch, output)


def _endpoint(line: bytes) -> str:
    """The path that a line asks.

    Raises:
        ValueError: it is no line of a batch.
    """
    said = json.loads(line)
    if not isinstance(said, dict) or not isinstance(said.get("url"), str):
        raise ValueError
    return str(said["url"])


def _begun(client: Client, note: _Note, file: Path, endpoint: str) -> str:
    """The id of the file's batch: that of an earlier run, or a new one."""
    if "batch_id" in note.facts:
        return note.facts["batch_id"]
    if "file_id" not in note.facts:
        with file.open("rb") as opened:
            sent = client.send_file("/v1/files", file.name, opened, {"purpose": "batch"})
        note.write(file_id=sent["id"])
    file_id = note.facts["file_id"]
    # A run that was stopped between the next two lines has begun a batch that the note does not know.
    recent = client.call("GET", "/v1/batches?limit=100")["data"]
    made = next((each for each in recent if each["input_file_id"] == file_id), None)
    if made is None:
        told = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h"}
        made = client.call("POST", "/v1/batches", told)
    note.write(batch_id=made["id"])
    return str(made["id"])


def _watch(client: Client, id: str) -> dict[str, Any]:
    """Show the progress until the batch has ended. A server that is away is waited for."""
    shown = sys.stderr.isatty()
    print(f"hearth: {id}", file=sys.stderr)
    with tqdm(unit=" lines", disable=not shown) as bar:
        before, away = None, False
        while True:
            try:
                batch: dict[str, Any] = client.call("GET", f"/v1/batches/{id}")
            except CallFailed as error:
                if 0 < error.status < 500:
                    raise
                if not away:
                    bar.write(f"hearth: {error}; the batch waits for it", file=sys.stderr)
                away = True
                time.sleep(LOOK_S)
                continue
            away = False
            counts = batch["request_counts"]
            if batch["status"] != before:
                before = batch["status"]
                bar.set_description(before)
                if not shown:
                    print(f"hearth: {before}", file=sys.stderr)
                # The estimate is made of the lines that this run has seen.
                bar.reset(counts["total"] or None)
                bar.initial = counts["completed"] + counts["failed"]
            bar.n = counts["completed"] + counts["failed"]
            bar.refresh()
            if before in ENDED:
                return batch
            time.sleep(LOOK_S)


def _fetch(client: Client, note: _Note, batch: dict[str, Any], output: Path) -> int:
    """Fetch the answers and remove them from the server. Returns the exit code."""
    for problem in (batch["errors"] or {"data": []})["data"]:
        where = f"line {problem['line']}: " if problem["line"] else ""
        print(f"hearth: {where}{problem['message']}", file=sys.stderr)
    errors = output.with_name(output.name + ".errors.jsonl")
    for file_id, target in ((batch["output_file_id"], output), (batch["error_file_id"], errors)):
        target.unlink(missing_ok=True)
        if file_id is not None:
            client.save(f"/v1/files/{file_id}/content", target)
    for file_id in (batch["input_file_id"], batch["output_file_id"], batch["error_file_id"]):
        if file_id is not None:
            _delete(client, file_id)
    note.drop()
    counts, used = batch["request_counts"], batch["usage"]
    print(
        f"hearth: {batch['status']}: {counts['completed']} of {counts['total']} lines answered, "
        f"{used['input_tokens']} tokens read, {used['output_tokens']} made",
        file=sys.stderr,
    )
    if batch["error_file_id"] is not None:
        print(f"hearth: the lines without an answer are in {errors}, each with its reason", file=sys.stderr)
    return 0 if batch["status"] == "completed" else 1


def _delete(client: Client, file_id: str) -> None:
    try:
        client.call("DELETE", f"/v1/files/{file_id}")
    except CallFailed as error:
        if error.status != 404:
            raise
