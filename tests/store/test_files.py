"""``/v1/files`` and ``/v1/uploads``: what is refused and how, and that no file is whole in memory."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from server.api.forms import MOST_HEADER_BYTES
from tests.store.conftest import Kept

pytestmark = pytest.mark.anyio
KEYS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("anna", "ben")}


def form(*parts: tuple[str, bytes], boundary: str = "b") -> dict[str, Any]:
    """A form as it is sent, part by part: the header's value of its name, and its content."""
    body = b"".join(
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (boundary.encode(), name.encode(), content)
        for name, content in parts
    )
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return {"content": body + f"--{boundary}--\r\n".encode(), "headers": headers}


FILE = 'name="file"; filename="a.jsonl"'


@pytest.mark.parametrize("purpose_first", [True, False])
async def test_a_file_comes_back_as_it_was_sent(kept: Kept, purpose_first: bool) -> None:
    content = b'{"a": 1}\r\n--b\r\n--\n' * 100_000 + b"\r\n"  # the boundary of another form among its bytes
    parts = [('name="purpose"', b"batch"), (FILE, content)]
    async with kept() as served:
        sent = form(*parts[:: 1 if purpose_first else -1], boundary="another")
        made = (await served.http.post("/v1/files", **sent)).json()
        expected = {"bytes": len(content), "filename": "a.jsonl", "purpose": "batch", "status": "processed"}
        assert made | expected == made
        assert made["expires_at"] == made["created_at"] + 30 * 24 * 3600
        answer = await served.http.get(f"/v1/files/{made['id']}/content")
        assert answer.content == content
        file = await served.app.state.store.files.find(made["id"], "")
        assert file.sha256 == hashlib.sha256(content).hexdigest()


WRONG: list[tuple[list[tuple[str, bytes]], int, str | None]] = [
    ([(FILE, b"x")], 400, "purpose"),
    ([('name="purpose"', b"batch")], 400, "file"),
    ([('name="purpose"', b"batch"), ('name="file"', b"x")], 400, "file"),
    ([('name="purpose"', b"poems"), (FILE, b"x")], 400, "purpose"),
    ([('name="purpose"', b"batch"), (FILE, b"x"), (FILE, b"x")], 400, "file"),
    ([('name="purpose"', b"batch"), (FILE, b"x"), ('name="colour"', b"red")], 400, "colour"),
    ([('name="purpose"', b"batch"), (FILE, b"x"), ('name="expires_after[seconds]"', b"5")], 400, None),
    ([('name="purpose"', b"batch"), (FILE, b"x"), ('name="expires_after[anchor]"', b"x")], 400, None),
    ([('name="purpose"', b"\xff"), (FILE, b"x")], 400, None),
    ([("", b"x")], 400, None),
    ([(f'name="{"n" * MOST_HEADER_BYTES}"', b"x")], 400, None),
    ([('name="purpose"', b"x" * 9_000), (FILE, b"x")], 400, None),
    ([('name="purpose"', b"batch"), (FILE, b"x" * 2_001)], 413, "file"),
]


async def test_a_form_that_is_wrong_is_refused_and_keeps_nothing(kept: Kept) -> None:
    async with kept(max_file_bytes=2_000) as served:
        for parts, status, param in WRONG:
            answer = await served.http.post("/v1/files", **form(*parts))
            assert answer.status_code == status, (parts, answer.text)
            assert param is None or answer.json()["error"]["param"] == param, parts
        assert (await served.http.get("/v1/files")).json()["data"] == []


async def test_a_body_that_is_no_form_is_refused(kept: Kept) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    async with kept() as served:
        for body in (b"", b"--b", b"--b\r\n", b"--b--", b"--bx\r\n\r\n", b"x" * 100_000, b"--b\r\n\r\n\r\n--b--"):
            answer = await served.http.post("/v1/files", content=body, headers=headers)
            assert answer.status_code == 400, (body[:20], answer.text)
        answer = await served.http.post("/v1/files", json={"purpose": "batch"})
        assert answer.status_code == 415


async def test_an_upload_that_breaks_off_leaves_nothing(kept: Kept, tmp_path: Any) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield form((FILE, b"x" * 3_000_000))["content"][:2_000_000]

    async with kept() as served:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = await served.http.post("/v1/files", content=broken(), headers=headers)
        assert answer.status_code == 400
        assert list((tmp_path / "data" / "incoming").iterdir()) == []


async def test_the_pieces_of_a_file_are_written_as_they_come(kept: Kept, tmp_path: Any) -> None:
    """The writer of the form sees the folder while it sends: the bytes lie there, and no request holds them."""
    sizes: list[int] = []
    incoming = tmp_path / "data" / "incoming"
    whole = form(('name="purpose"', b"user_data"), (FILE, b"x" * 20_000_000))["content"]

    async def slowly() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), 65_536):
            sizes.append(sum(file.stat().st_size for file in incoming.iterdir()))
            yield whole[start : start + 65_536]

    async with kept() as served:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = await served.http.post("/v1/files", content=slowly(), headers=headers)
        assert answer.json()["bytes"] == 20_000_000
        assert answer.json()["expires_at"] is None
    lag = max(i * 65_536 - size for i, size in enumerate(sizes))
    assert lag < 2_000_000


async def test_lists_have_pages_orders_and_purposes(kept: Kept) -> None:
    async with kept() as served:
        ids = []
        for purpose in (b"batch", b"evals", b"batch"):
            answer = await served.http.post("/v1/files", **form(('name="purpose"', purpose), (FILE, b"x")))
            ids.append(answer.json()["id"])

        async def listed(**query: Any) -> tuple[list[str], bool]:
            page = (await served.http.get("/v1/files", params=query)).json()
            return [each["id"] for each in page["data"]], page["has_more"]

        assert await listed() == (ids[::-1], False)
        assert await listed(order="asc", limit=2) == (ids[:2], True)
        assert await listed(order="asc", after=ids[1]) == (ids[2:], False)
        assert await listed(purpose="batch", limit=1) == ([ids[2]], True)
        for query in ({"limit": 0}, {"limit": 10_001}, {"order": "up"}, {"after": "file-1"}):
            answer = await served.http.get("/v1/files", params=query)
            assert answer.status_code == 400
            assert answer.json()["error"]["param"] == next(iter(query))


async def test_keys_have_their_own_files_and_quotas(kept: Kept) -> None:
    async with kept(api_keys=tuple(KEYS.values()), key_files=1) as served:

        async def ask(key: str, method: str, path: str, **more: Any) -> httpx.Response:
            headers = {"authorization": f"Bearer {key}"} | more.pop("headers", {})
            return await served.http.request(method, path, headers=headers, **more)

        sent = form(('name="purpose"', b"batch"), (FILE, b"x"))
        made = (await ask("anna", "POST", "/v1/files", **sent)).json()
        for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            answer = await ask("ben", method, f"/v1/files/{made['id']}{path}")
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "not_found"
        answer = await ask("anna", "POST", "/v1/files", **sent)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "quota_used_up")
        assert (await ask("ben", "POST", "/v1/files", **sent)).status_code == 200
        assert (await ask("anna", "DELETE", f"/v1/files/{made['id']}")).json()["deleted"] is True
        assert (await ask("anna", "POST", "/v1/files", **sent)).status_code == 200


async def test_an_upload_in_parts_is_one_file_in_the_order_that_the_client_says(kept: Kept) -> None:
    content = b"one two three"
    async with kept() as served:
        begun = {"purpose": "batch", "filename": "p.jsonl", "bytes": len(content), "mime_type": "application/jsonl"}
        upload = (await served.http.post("/v1/uploads", json=begun)).json()
        assert (upload["status"], upload["expires_at"] - upload["created_at"]) == ("pending", 3600)
        path = f"/v1/uploads/{upload['id']}"
        parts = []
        for part in (b" three", b"one", b" two"):
            answer = await served.http.post(f"{path}/parts", **form(('name="data"; filename="x"', part)))
            parts.append(answer.json()["id"])
        order = [parts[i] for i in (1, 2, 0)]
        for wrong, param in (
            ({"part_ids": parts[:2]}, "part_ids"),
            ({"part_ids": ["part_0"]}, "part_ids"),
            ({"part_ids": order, "md5": "0"}, "md5"),
            ({"part_ids": []}, "part_ids"),
        ):
            answer = await served.http.post(f"{path}/complete", json=wrong)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        done = (await served.http.post(f"{path}/complete", json={"part_ids": order, "md5": md5})).json()
        assert done["status"] == "completed"
        assert (await served.http.get(f"/v1/files/{done['file']['id']}/content")).content == content
        for again in ("complete", "cancel"):
            answer = await served.http.post(f"{path}/{again}", json={"part_ids": order})
            assert answer.status_code == 400
            assert "completed" in answer.json()["error"]["message"]


async def test_a_cancelled_upload_and_one_whose_time_is_over_leave_nothing(kept: Kept, tmp_path: Any) -> None:
    async with kept() as served:
        begun = {"purpose": "batch", "filename": "p", "bytes": 3, "mime_type": "x"}
        paths = []
        for _ in range(2):
            upload = (await served.http.post("/v1/uploads", json=begun)).json()
            paths.append(f"/v1/uploads/{upload['id']}")
            await served.http.post(f"{paths[-1]}/parts", **form(('name="data"; filename="x"', b"one")))
        assert len(list((tmp_path / "data" / "parts").iterdir())) == 2
        assert (await served.http.post(f"{paths[0]}/cancel")).json()["status"] == "cancelled"
        store = served.app.state.store
        await store.database.run(lambda connection: connection.execute("UPDATE uploads SET expires_at = 0"))
        await store.tick()
        assert list((tmp_path / "data" / "parts").iterdir()) == []
        answer = await served.http.post(f"{paths[1]}/parts", **form(('name="data"; filename="x"', b"one")))
        assert "expired" in answer.json()["error"]["message"]


async def test_without_a_data_folder_the_answer_says_so_and_nothing_else_fails(served: Any) -> None:
    answer = await served.http.get("/v1/files")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert (await served.http.get("/v1/models")).status_code == 200


async def test_a_page_of_another_origin_sends_no_file_unless_it_is_named(kept: Kept, tmp_path: Any) -> None:
    sent = form(('name="purpose"', b"batch"), (FILE, b"x"))
    async with kept(cors_origins=("https://desk.example",)) as served:
        for origin, status in (
            ("https://elsewhere.example", 400),
            ("null", 400),
            ("http://t.example", 400),
            ("http://t", 200),
            ("https://desk.example", 200),
        ):
            answer = await served.http.post("/v1/files", **sent | {"headers": sent["headers"] | {"origin": origin}})
            assert answer.status_code == status, origin
        assert len(list((tmp_path / "data" / "files").iterdir())) == 2
