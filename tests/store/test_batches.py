"""``/v1/batches``: every line is answered as its request would be, once; faults are told by their lines."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.api.lines import ENDPOINTS
from server.engines.base import background
from server.errors import Unavailable
from server.store.batches import Ended, NewLine
from server.store.errors import StorageFull
from tests.store.conftest import Kept, Opening
from tests.store.desk import Desk, held, line
from tests.store.test_files import FILE, KEYS, form

pytestmark = pytest.mark.anyio


@pytest.fixture
def desk(kept: Kept) -> Callable[..., Any]:
    @asynccontextmanager
    async def make(**settings: Any) -> AsyncIterator[Desk]:
        async with kept(**settings) as served:
            yield Desk(served)

    return make


QUESTION = {"type": "choice", "instructions": "What?", "choices": [{"value": "a"}, {"value": "b"}]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], "temperature": 0},
    "/v1/completions": {"model": "assistant", "prompt": "hi", "temperature": 0},
    "/v1/responses": {"model": "assistant", "input": "hi", "temperature": 0},
    "/v1/embeddings": {"model": "embed", "input": "hi"},
    "/v1/moderations": {"model": "moderation", "input": "hi"},
    "/v1/decisions": {"model": "embed", "input": "hi", "questions": [QUESTION]},
    "/v1/translations": {"model": "translate", "input": "Good morning.", "target": "de"},
    "/v1/sentiment": {"model": "sentiment", "input": "hi"},
    "/v1/summaries": {"model": "embed", "input": "He has a cough. He took aspirin. It is worse at night."},
    "/v1/rerank": {"model": "embed", "query": "hi", "documents": ["He has a cough.", "Hello."]},
}
CHANGING = {"id", "created", "created_at", "completed_at"}


def still(answer: Any) -> Any:
    """An answer without what no two answers have in common."""
    if isinstance(answer, dict):
        return {name: still(value) for name, value in answer.items() if name not in CHANGING}
    return [still(each) for each in answer] if isinstance(answer, list) else answer


async def test_a_line_is_answered_as_its_request_would_be_at_every_endpoint(desk: Any) -> None:
    assert {*BODIES, "/v1/entities"} == set(ENDPOINTS)  # no shipped model has entities
    async with desk() as client:
        for url, body in BODIES.items():
            direct = await client.ask("POST", url, json=body)
            wrong = await client.ask("POST", url, json=body | {"no_such_field": 1})
            lines = [line("good", url, **body), line("bad", url, **body, no_such_field=1)]
            batch = await client.end((await client.create(lines, url))["id"])
            assert batch["status"] == "completed", batch
            assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}, url
            good = (await client.content(batch["output_file_id"]))["good"]
            bad = (await client.content(batch["error_file_id"]))["bad"]
            assert (good["response"]["status_code"], good["error"]) == (direct.status_code, None), good
            assert still(good["response"]["body"]) == still(direct.json())
            assert (bad["response"]["status_code"], bad["error"]) == (wrong.status_code, None)
            assert bad["response"]["body"] == wrong.json()


async def test_a_batch_has_its_times_counts_usage_model_and_metadata(desk: Any) -> None:
    url = "/v1/embeddings"
    async with desk() as client:
        direct = (await client.ask("POST", url, json=BODIES[url])).json()["usage"]["prompt_tokens"]
        lines = [line(str(i), url, **BODIES[url]) for i in range(5)]
        made = await client.create(
            lines, url, metadata={"night": "monday"}, output_expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert made["status"] == "validating"
        assert made["expires_at"] - made["created_at"] == 24 * 3600
        batch = await client.end(made["id"])
        assert (batch["model"], batch["metadata"]) == ("embed", {"night": "monday"})
        assert batch["usage"]["input_tokens"] == batch["usage"]["total_tokens"] == 5 * direct
        times = [batch[name] for name in ("created_at", "in_progress_at", "finalizing_at", "completed_at")]
        assert times == sorted(times)
        assert [batch[name] for name in ("failed_at", "expired_at", "cancelled_at", "error_file_id")] == [None] * 4
        output = (await client.ask("GET", f"/v1/files/{batch['output_file_id']}")).json()
        assert output["purpose"] == "batch_output"
        assert output["expires_at"] == output["created_at"] + 3600
        served = client.served
        assert served.metrics.value("batch_lines_total", url, "completed") == 5
        assert served.metrics.value("batches_total", url, "completed") == 1
        assert served.metrics.value("prompt_tokens_total", "embed") == 6 * direct
        assert served.metrics.value("e2e_request_latency_seconds", "embed", url) == 1, "times are those of requests"
        rows = await served.app.state.store.database.run(
            lambda connection: connection.execute("SELECT count(*) FROM lines").fetchone()
        )
        assert rows == (0,)


URL = "/v1/embeddings"
GOOD = line("a", URL, **BODIES[URL])
PROBLEMS = [
    (b"no json", "invalid_json_line", None),
    (b"[1]", "invalid_json_line", None),
    (b'{"custom_id": "x", "custom_id": "y"}', "invalid_json_line", None),
    (json.dumps({**GOOD, "custom_id": None}).encode(), "missing_required_parameter", "custom_id"),
    (json.dumps({**GOOD, "custom_id": 5}).encode(), "invalid_custom_id", "custom_id"),
    (json.dumps({**GOOD, "custom_id": "i" * 513}).encode(), "invalid_custom_id", "custom_id"),
    (json.dumps({**GOOD, "colour": "red"}).encode(), "unknown_parameter", "colour"),
    (json.dumps({**GOOD, "method": "GET"}).encode(), "invalid_method", "method"),
    (json.dumps({**GOOD, "url": "/v1/completions"}).encode(), "mismatched_url", "url"),
    (json.dumps({**GOOD, "body": "x"}).encode(), "invalid_body", "body"),
    (json.dumps({**GOOD, "body": {"stream": True}}).encode(), "invalid_body", "body.stream"),
    (json.dumps(GOOD).encode(), "duplicate_custom_id", "custom_id"),
]


async def test_a_file_that_is_not_in_order_fails_with_its_faults_by_line(desk: Any) -> None:
    content = b"\xef\xbb\xbf" + b"\n".join([json.dumps(GOOD).encode(), b"", *(raw for raw, _, _ in PROBLEMS)])
    async with desk() as client:
        batch = await client.end((await client.create(content, URL))["id"])
        assert (batch["status"], batch["errors"]["object"]) == ("failed", "list")
        assert batch["failed_at"] is not None
        found = [(each["line"], each["code"], each["param"]) for each in batch["errors"]["data"]]
        assert found == [(i, code, param) for i, (_, code, param) in enumerate(PROBLEMS, 3)]
        assert batch["request_counts"]["total"] == 0
        assert client.served.metrics.value("batches_total", URL, "failed") == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"\n \n", "empty_file"),
        (b'{"custom_id": "' + b"x" * 40_000, "line_too_long"),
        (b"".join(json.dumps(GOOD | {"custom_id": str(i)}).encode() + b"\n" for i in range(4)), "too_many_lines"),
        (b"x\n" * 1000, "invalid_json_line"),
    ],
)
async def test_a_file_over_its_limits_fails(desk: Any, content: bytes, code: str) -> None:
    async with desk(batch_lines=3 if code == "too_many_lines" else 50_000, max_body_bytes=20_000) as client:
        batch = await client.end((await client.create(content, URL))["id"])
        assert batch["status"] == "failed"
        assert {each["code"] for each in batch["errors"]["data"]} == {code}
        assert len(batch["errors"]["data"]) <= 100


async def test_a_batch_that_cannot_be_is_refused_at_once(desk: Any) -> None:
    async with desk(key_batches=1) as client:
        file_id = await client.upload(json.dumps(GOOD).encode())
        other = form(('name="purpose"', b"evals"), (FILE, b"x"))
        evals = (await client.ask("POST", "/v1/files", **other)).json()["id"]
        good = {"input_file_id": file_id, "endpoint": URL, "completion_window": "24h"}
        for change, status, param in (
            ({"endpoint": "/v1/images/generations"}, 400, "endpoint"),
            ({"completion_window": "1h"}, 400, "completion_window"),
            ({"input_file_id": "file-1"}, 404, "id"),
            ({"input_file_id": evals}, 400, "input_file_id"),
            ({"metadata": {"k" * 65: ""}}, 400, None),
            ({"metadata": {str(i): "" for i in range(17)}}, 400, "metadata"),
            ({"metadata": {"k": "v" * 513}}, 400, None),
            ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, 400, "output_expires_after.seconds"),
        ):
            answer = await client.ask("POST", "/v1/batches", json=good | change)
            assert answer.status_code == status, answer.text
            assert param is None or answer.json()["error"]["param"] == param
        with held(client, "embed"):
            assert (await client.ask("POST", "/v1/batches", json=good)).status_code == 200
            answer = await client.ask("POST", "/v1/batches", json=good)
            assert answer.json()["error"]["code"] == "quota_used_up"
        for path in ("/v1/batches/batch_1", "/v1/batches/batch_1/cancel"):
            answer = await client.ask("POST" if "cancel" in path else "GET", path)
            assert answer.status_code == 404


async def test_a_cancelled_batch_keeps_what_is_finished(desk: Any, until: Any) -> None:
    async with desk() as client:
        lines = [line(str(i), URL, **BODIES[URL]) for i in range(200)]
        made = await client.create(lines, URL)
        await until(lambda: client.served.metrics.value("batch_lines_total", URL, "completed") >= 20)
        with held(client, "embed"):
            answer = await client.ask("POST", f"/v1/batches/{made['id']}/cancel")
            assert answer.json()["status"] == "cancelling"
            batch = await client.end(made["id"])
        assert batch["status"] == "cancelled"
        assert batch["cancelled_at"] >= batch["cancelling_at"]
        done = await client.content(batch["output_file_id"])
        rest = await client.content(batch["error_file_id"])
        assert 20 <= len(done) == batch["request_counts"]["completed"] < 200
        assert len(done) + len(rest) == 200 == len(done | rest)
        assert {each["error"]["code"] for each in rest.values()} == {"batch_cancelled"}
        answer = await client.ask("POST", f"/v1/batches/{made['id']}/cancel")
        assert (answer.status_code, "cancelled" in answer.json()["error"]["message"]) == (400, True)


async def test_an_expired_batch_keeps_what_is_finished(desk: Any, until: Any) -> None:
    async with desk() as client:
        with held(client, "embed"):
            made = await client.create([GOOD, line("b", URL, **BODIES[URL])], URL)
            await client.end(made["id"], "in_progress")
            store = client.served.app.state.store
            await store.database.run(lambda connection: connection.execute("UPDATE batches SET expires_at = 0"))
            client.served.app.state.runner.wake()
            batch = await client.end(made["id"])
        assert (batch["status"], batch["output_file_id"]) == ("expired", None)
        assert batch["expired_at"] is not None
        rest = await client.content(batch["error_file_id"])
        assert {each["error"]["code"] for each in rest.values()} == {"batch_expired"}
        assert set(rest) == {"a", "b"}


async def test_keys_have_their_own_batches_and_a_key_that_is_gone_asks_nothing(kept: Kept) -> None:
    async with kept(api_keys=tuple(KEYS.values())) as served:
        anna, ben = Desk(served, "anna"), Desk(served, "ben")
        made = await anna.create([GOOD], URL)
        batch = await anna.end(made["id"])
        assert batch["request_counts"]["completed"] == 1
        assert (await ben.ask("GET", f"/v1/batches/{made['id']}")).status_code == 404
        assert (await ben.ask("POST", f"/v1/batches/{made['id']}/cancel")).status_code == 404
        assert (await ben.ask("GET", "/v1/batches")).json()["data"] == []
        assert (await ben.ask("GET", f"/v1/files/{batch['output_file_id']}")).status_code == 404
        served.app.state.keyring._holders = []
        runner = served.app.state.runner
        answer = await runner._ask(URL, json.dumps(BODIES[URL]).encode(), KEYS["anna"])
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (401, "invalid_api_key")


async def test_lists_have_pages_with_the_newest_first(desk: Any) -> None:
    async with desk() as client:
        made = [(await client.create([GOOD], URL))["id"] for _ in range(3)]
        page = (await client.ask("GET", "/v1/batches", params={"limit": 2})).json()
        assert ([each["id"] for each in page["data"]], page["has_more"]) == (made[:0:-1], True)
        page = (await client.ask("GET", "/v1/batches", params={"after": page["last_id"]})).json()
        assert ([each["id"] for each in page["data"]], page["has_more"]) == (made[:1], False)
        for id in made:
            await client.end(id)


async def test_lines_go_on_after_a_stop_and_are_answered_once(kept: Kept, tmp_path: Path, until: Any) -> None:
    lines = [line(str(i), URL, **BODIES[URL]) for i in range(60)]
    async with kept() as served:
        made = await Desk(served).create(lines, URL)
        await until(lambda: served.metrics.value("batch_lines_total", URL, "completed") >= 10)
    async with kept() as served:
        batch = await Desk(served).end(made["id"])
        assert batch["request_counts"] == {"total": 60, "completed": 60, "failed": 0}
        assert served.metrics.value("batch_lines_total", URL, "completed") <= 50, "what was done is not done again"
        done = await Desk(served).content(batch["output_file_id"])
        assert list(done) == [str(i) for i in range(60)]


async def test_a_model_that_is_busy_is_asked_again_and_one_that_is_unknown_is_not(desk: Any, until: Any) -> None:
    async with desk() as client:
        registry = client.served.registry
        registry.models["embed"].batcher.refuse(Unavailable("Not now.", 0.01))
        made = await client.create([GOOD, line("b", URL, model="nobody", input="x")], URL)
        await until(lambda: client.served.metrics.value("batch_lines_total", URL, "failed") == 1)
        assert (await client.find(made["id"]))["request_counts"] == {"total": 2, "completed": 0, "failed": 1}
        registry.models["embed"].batcher.refuse(None)
        client.served.app.state.runner.wake()
        batch = await client.end(made["id"])
        error = (await client.content(batch["error_file_id"]))["b"]
        assert error["response"]["status_code"] == 404
        assert list(await client.content(batch["output_file_id"])) == ["a"]


async def test_a_disk_that_is_full_for_a_while_loses_no_line(desk: Any, until: Any) -> None:
    async with desk() as client:
        store = client.served.app.state.store
        lines = [line(str(i), URL, **BODIES[URL]) for i in range(20)]
        with held(client, "embed") as batcher:
            made = await client.create(lines, URL)
            await until(lambda: batcher.waiting[0] == 20)
            pages = await store.database.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
            await store.database.run(
                lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
            )
        await until(lambda: batcher.idle)
        with pytest.raises(StorageFull):
            await store.batches.create("", URL, "x" * 100_000, None, None)
        await store.database.run(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
        client.served.app.state.runner.wake()
        batch = await client.end(made["id"])
        assert len(await client.content(batch["output_file_id"])) == 20


async def test_lines_are_background_work_and_requests_are_not(desk: Any, until: Any) -> None:
    async with desk() as client:
        with held(client, "embed") as batcher:
            made = await client.create([GOOD], URL)
            await until(lambda: batcher.waiting[0] == 1)
            request = asyncio.ensure_future(client.ask("POST", URL, json=BODIES[URL]))
            await until(lambda: batcher.waiting[0] == 2)
            assert [seats[0].background for _, seats in batcher._queue] == [True, False]
        await request
        await client.end(made["id"])
    assert background.get() is False


async def test_an_input_whose_content_is_gone_fails_the_batch(desk: Any, tmp_path: Path) -> None:
    async with desk() as client:
        file_id = await client.upload(json.dumps(GOOD).encode())
        (tmp_path / "data" / "files" / file_id).unlink()
        body = {"input_file_id": file_id, "endpoint": URL, "completion_window": "24h"}
        made = (await client.ask("POST", "/v1/batches", json=body)).json()
        batch = await client.end(made["id"])
        assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "file_not_found")


async def test_leases_of_an_earlier_start_are_void_and_so_are_its_answers(opened: Opening) -> None:
    async with opened() as store:
        batch = await store.batches.create("", URL, "file", None, None)
        await store.batches.add_lines(batch, [NewLine(i, str(i), b"{}") for i in range(3)])
        await store.batches.begin_work(batch, 3, None)
        _, claimed = await store.batches.turn([], lambda batches: {batch.number: 2})
        assert [each.line for each in claimed] == [0, 1]
        assert (await store.batches.find(batch.id, "")).leased == 2
    async with opened() as store:
        assert (await store.batches.find(batch.id, "")).leased == 0
        late = Ended(batch.number, 0, b"late\n", is_good=True)
        await store.batches.turn([late], lambda batches: {})
        assert (await store.batches.find(batch.id, "")).completed == 0
        _, claimed = await store.batches.turn([], lambda batches: {batch.number: 5})
        assert [each.line for each in claimed] == [0, 1, 2]
        await store.batches.turn([late, late], lambda batches: {})
        assert (await store.batches.find(batch.id, "")).completed == 1, "an answer counts once"


async def test_a_defect_in_asking_loses_no_line(desk: Any, until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk() as client:
        runner = client.served.app.state.runner
        asks, ask = [], runner._ask

        async def broken(*line: Any) -> Any:
            asks.append(line)
            if len(asks) == 1:
                raise RuntimeError("a defect")
            return await ask(*line)

        monkeypatch.setattr(runner, "_ask", broken)
        made = await client.create([GOOD], URL)
        await until(lambda: len(asks) == 1 and not runner._lines)
        runner.wake()
        batch = await client.end(made["id"])
        assert batch["request_counts"]["completed"] == 1
