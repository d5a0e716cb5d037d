"""A hub on loopback that speaks the hub's own protocol to its own client: commits, listings, ETags, redirects to
storage, ranges, error codes. It can refuse, and it can cut a download off.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE_BYTES = 10_000
"""Files from this size on are kept in storage, as a hub keeps weights: a redirect leads there."""
TOKEN = "hf_stand_in"  # noqa: S105

_API = re.compile(r"/api/models/(?P<id>[^/]+/[^/]+)(/revision/(?P<revision>[^/]+)|/tree/(?P<tree>[^/]+))?")
_RESOLVE = re.compile(r"/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass
class Repository:
    """Files by commit, and what the branches and tags point at."""

    commits: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    gguf: str = ""
    """The architecture of its GGUF files, which a hub tells."""

    def commit(self, files: Mapping[str, bytes], *refs: str) -> str:
        """Add a commit that the refs (``main`` when none is named) point at; its id."""
        everything = b"".join(name.encode() + content for name, content in sorted(files.items()))
        sha = hashlib.sha1(everything, usedforsecurity=False).hexdigest()
        self.commits[sha] = dict(files)
        self.refs |= dict.fromkeys(refs or ("main",), sha)
        return sha


class Hub:
    """The stand-in. Use ``open_hub``."""

    def __init__(self) -> None:
        self.url = ""
        self.storage_url = ""
        """The same server by another name: storage is on another host, and the client treats it so."""
        self.repositories: dict[str, Repository] = {}
        self.requests: list[tuple[str, str, str]] = []
        """Method, path and range of each request, in order."""
        self.cuts: list[int] = []
        """After so many bytes the next downloads from storage are cut off, one each."""

    def add(self, id: str, files: Mapping[str, bytes], *refs: str) -> str:
        """Add a commit to a repository; its id."""
        return self.repositories.setdefault(id, Repository()).commit(files, *refs)

    def add_folder(self, id: str, folder: Path) -> str:
        """Add a folder's files as a commit."""
        files = {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
        return self.add(id, files)

    def asked(self, method: str, end: str) -> list[str]:
        """The ranges of the requests of a method for paths that end so."""
        return [range_ for how, path, range_ in self.requests if how == method and path.endswith(end)]


@contextmanager
def open_hub() -> Iterator[Hub]:
    """A hub that listens; it ends with its threads."""
    hub = Hub()

    class Handler(_Handler):
        """The handler of this hub."""

    Handler.hub = hub
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        hub.storage_url = f"http://localhost:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, *, head: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        try:
            if path.startswith("/storage/"):
                self._storage(path.removeprefix("/storage/"))
            elif match := _API.fullmatch(path):
                self._api(match)
            elif match := _RESOLVE.fullmatch(path):
                self._resolve(match, head)
            else:
                raise _Refusal(404, "", "no such page")
        except _Refusal as refusal:
            body = json.dumps({"error": str(refusal)}).encode()
            self._send(refusal.status, b"" if head else body, {"X-Error-Code": refusal.code}, len(body))

    def _api(self, match: re.Match[str]) -> None:
        repository, sha = self._find(match["id"], match["revision"] or match["tree"] or "main")
        files = repository.commits[sha]
        if match["tree"]:
            found: Any = [_entry(name, content) for name, content in sorted(files.items())]
        else:
            siblings = [{"rfilename": name} for name in sorted(files)]
            found = {"id": match["id"], "modelId": match["id"], "sha": sha, "siblings": siblings, "private": False}
            found |= {"gguf": {"architecture": repository.gguf}} if repository.gguf else {}
        self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def _resolve(self, match: re.Match[str], head: bool) -> None:
        repository, sha = self._find(match["id"], match["revision"])
        if repository.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Refusal(403, "GatedRepo", "Access to this model is restricted.")
        content = repository.commits[sha].get(match["path"])
        if content is None:
            raise _Refusal(404, "EntryNotFound", "Entry not found")
        about = {"X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if len(content) < LARGE_BYTES:
            self._send(200, b"" if head else content, {**about, "ETag": f'"{_oid(content)}"'}, len(content))
            return
        digest = hashlib.sha256(content).hexdigest()
        about |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{digest}"'}
        self._send(302, b"", {**about, "Location": f"{self.hub.storage_url}/storage/{digest}"})

    def _storage(self, digest: str) -> None:
        every = (
            content
            for r in self.hub.repositories.values()
            for files in r.commits.values()
            for content in files.values()
        )
        content = next(each for each in every if hashlib.sha256(each).hexdigest() == digest)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(wanted[1]) if wanted else 0
        about = {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if wanted:
            about["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        part = content[begin:]
        if self.hub.cuts and self.command == "GET":
            self._send(206 if wanted else 200, part[: self.hub.cuts.pop(0)], about, len(part))
            self.close_connection = True
            return
        self._send(206 if wanted else 200, part if self.command == "GET" else b"", about, len(part))

    def _find(self, id: str, revision: str) -> tuple[Repository, str]:
        repository = self.hub.repositories.get(id)
        if repository is None:  # a hub does not tell strangers what is private and what is not there
            raise _Refusal(401, "RepoNotFound", "Repository not found")
        sha = repository.refs.get(revision, revision)
        if sha not in repository.commits:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository, sha

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


def _entry(name: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
    if len(content) >= LARGE_BYTES:
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 135}
    return entry


def _oid(content: bytes) -> str:
    """The id that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
