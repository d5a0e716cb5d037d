"""Mozilla's registry of translators on loopback: Remote Settings' root, a collection in pages, attachments."""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

COLLECTION = "/v1/buckets/main/collections/translations-models/records"
PAGE_RECORDS = 2


class StandIn:
    """The stand-in. Use ``open_registry``."""

    def __init__(self) -> None:
        self.url = ""
        self.records: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.ranges: list[str] = []
        """What each download asked for, in order; empty: all."""
        self.cuts: list[int] = []
        """After so many bytes the next downloads are cut off, one each."""
        self.takes_ranges = True

    def add(self, folder: Path, source: str, target: str, version: str = "1.0", variant: str | None = None) -> None:
        """A record for each file of a folder."""
        for file in sorted(folder.iterdir()):
            content = file.read_bytes()
            location = f"main-workspace/translations-models/{len(self.records):08}.bin"
            self.files[f"/{location}"] = content
            record = {
                "name": file.name,
                "fromLang": source,
                "toLang": target,
                "version": version,
                "fileType": file.name.partition(".")[0],
                "schema": 1,
                "id": f"record-{len(self.records)}",
                "last_modified": 1_700_000_000_000 + len(self.records),
                "attachment": {
                    "hash": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                    "filename": file.name,
                    "location": location,
                    "mimetype": "application/octet-stream",
                },
            }
            self.records.append(record | ({} if variant is None else {"variant": variant}))


@contextmanager
def open_registry() -> Iterator[StandIn]:
    """A registry that listens; it ends with its threads."""
    made = StandIn()

    class Handler(_Handler):
        """The handler of this one."""

    Handler.registry = made
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        made.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    registry: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/v1/":
            base = self.registry.url.removesuffix("v1")
            self._json({"project_name": "Remote Settings", "capabilities": {"attachments": {"base_url": base}}})
        elif url.path == COLLECTION:
            begin = int(parse_qs(url.query).get("_since_record", ["0"])[0])
            end = begin + PAGE_RECORDS
            more = end < len(self.registry.records)
            next_page = {"Next-Page": f"{self.registry.url.removesuffix('/v1')}{COLLECTION}?_since_record={end}"}
            self._json({"data": self.registry.records[begin:end]}, next_page if more else {})
        elif url.path in self.registry.files:
            self._attachment(self.registry.files[url.path])
        else:
            self._json({"code": 404, "errno": 111, "error": "Not Found"}, status=404)

    def _attachment(self, content: bytes) -> None:
        asked = self.headers.get("Range", "")
        self.registry.ranges.append(asked)
        match = re.fullmatch(r"bytes=(\d+)-", asked) if self.registry.takes_ranges else None
        begin = int(match[1]) if match else 0
        self.send_response(206 if match else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        if match:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        cut = self.registry.cuts.pop(0) if self.registry.cuts else None
        with contextlib.suppress(ConnectionError):  # a client may have read enough
            self.wfile.write(content[begin : None if cut is None else begin + cut])
        self.close_connection = self.close_connection or cut is not None

    def _json(self, value: Any, headers: dict[str, str] | None = None, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, each in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, each)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
