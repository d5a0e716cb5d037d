"""A fake client on the level below HTTP, where the application sees a connection come and go."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI


@dataclass
class Connection:
    """One HTTP request on the level below HTTP: it can leave."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    body_came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def status(self) -> int | None:
        return next((m["status"] for m in self.sent if m["type"] == "http.response.start"), None)

    @property
    def text(self) -> str:
        return b"".join(m.get("body", b"") for m in self.sent).decode()

    async def run(self, app: FastAPI, path: str, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        read = False

        async def receive() -> dict[str, Any]:
            nonlocal read
            if not read:
                read = True
                return {"type": "http.request", "body": raw, "more_body": False}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.sent.append(message)
            if message["type"] == "http.response.body":
                self.body_came.set()

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [(b"content-type", b"application/json"), (b"host", b"t"), (b"accept", b"*/*")],
            "client": ("127.0.0.1", 1), "server": ("t", 80),
        }  # fmt: skip
        await app(scope, receive, send)
