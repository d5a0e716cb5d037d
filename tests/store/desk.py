"""A client of batches, and a pause of the work that they wait for."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.store.test_files import FILE, form

ENDED = ("completed", "failed", "expired", "cancelled")


class Desk:
    """A client of batches."""

    def __init__(self, served: Any, key: str = "") -> None:
        self.served = served
        self.headers = {"authorization": f"Bearer {key}"} if key else {}

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        headers = self.headers | more.pop("headers", {})
        return await self.served.http.request(method, path, headers=headers, **more)

    async def upload(self, content: bytes) -> str:
        sent = form(('name="purpose"', b"batch"), (FILE, content), boundary="of-a-test")
        answer = await self.ask("POST", "/v1/files", **sent)
        return str(answer.json()["id"])

    async def create(self, lines: Sequence[Any] | bytes, endpoint: str, **more: Any) -> Any:
        content = lines if isinstance(lines, bytes) else b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        file_id = await self.upload(content)
        body = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h"} | more
        answer = await self.ask("POST", "/v1/batches", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def find(self, id: str) -> Any:
        return (await self.ask("GET", f"/v1/batches/{id}")).json()

    async def end(self, id: str, *statuses: str) -> Any:
        """The batch, once it is in one of these states; without any, once it has ended."""
        while (batch := await self.find(id))["status"] not in (statuses or ENDED):  # noqa: ASYNC110
            await asyncio.sleep(0)
        return batch

    async def content(self, file_id: str | None) -> dict[str, Any]:
        """The lines of an output file, by their custom ids; each must be there once."""
        if file_id is None:
            return {}
        text = (await self.ask("GET", f"/v1/files/{file_id}/content")).text
        lines = [json.loads(line) for line in text.splitlines()]
        made = {line["custom_id"]: line for line in lines}
        assert len(made) == len(lines)
        return made


def line(custom_id: str, url: str, **body: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


@contextmanager
def held(client: Desk, model: str) -> Iterator[Any]:
    """The model's queue is paused: its lines stay at work."""
    batcher = client.served.registry.models[model].batcher
    batcher.hold()
    try:
        yield batcher
    finally:
        batcher.release()
