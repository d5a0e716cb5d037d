"""OpenAI's own client with files, uploads and batches of a real server."""

import json
import time
from pathlib import Path

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from openai.types import Batch


def lines(count: int) -> bytes:
    made = [
        {
            "custom_id": f"line-{i}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "assistant",
                "messages": [{"role": "user", "content": f"I'd like a table for {i + 1}."}],
                "max_tokens": 5,
                "temperature": 0,
            },
        }
        for i in range(count)
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in made)


def ended(client: OpenAI, batch: Batch) -> Batch:
    limit_s = time.monotonic() + 60
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        assert time.monotonic() < limit_s, batch
        batch = client.batches.retrieve(batch.id)
    return batch


def test_a_batch_from_the_upload_to_its_answers(client: OpenAI, tmp_path: Path) -> None:
    source = tmp_path / "lines.jsonl"
    source.write_bytes(lines(6))
    with source.open("rb") as opened:
        file = client.files.create(file=opened, purpose="batch")
    assert client.files.wait_for_processing(file.id).status == "processed"
    assert (file.filename, file.bytes) == ("lines.jsonl", source.stat().st_size)
    batch = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"night": "monday"},
        output_expires_after={"anchor": "created_at", "seconds": 3600},
    )
    batch = ended(client, batch)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (6, 6, 0)
    assert batch.usage is not None
    assert batch.usage.total_tokens == batch.usage.input_tokens + batch.usage.output_tokens > 6 * 5
    assert batch.output_file_id is not None
    answers = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    assert [each["custom_id"] for each in answers] == [f"line-{i}" for i in range(6)]
    direct = client.chat.completions.create(
        model="assistant",
        messages=[{"role": "user", "content": "I'd like a table for 1."}],
        max_tokens=5,
        temperature=0,
    )
    assert answers[0]["response"]["body"]["choices"] == [choice.to_dict() for choice in direct.choices]
    assert batch.id in [each.id for each in client.batches.list(limit=1)]
    with pytest.raises(BadRequestError):
        client.batches.cancel(batch.id)
    for id in (file.id, batch.output_file_id):
        assert client.files.delete(id).deleted
        with pytest.raises(NotFoundError):
            client.files.retrieve(id)


def test_an_upload_in_parts(client: OpenAI, tmp_path: Path) -> None:
    source = tmp_path / "parts.jsonl"
    source.write_bytes(lines(50))
    upload = client.uploads.upload_file_chunked(
        file=source, mime_type="application/jsonl", purpose="batch", part_size=1000
    )
    assert upload.status == "completed"
    assert upload.file is not None
    assert client.files.content(upload.file.id).read() == source.read_bytes()
    begun = client.uploads.create(bytes=10, filename="x", mime_type="text/plain", purpose="user_data")
    assert client.uploads.cancel(begun.id).status == "cancelled"


@pytest.mark.anyio
async def test_files_are_listed_page_by_page_while_they_are_deleted(async_client: AsyncOpenAI) -> None:
    made = [(await async_client.files.create(file=(f"{i}.txt", b"x"), purpose="user_data")).id for i in range(5)]
    seen = []
    async for file in async_client.files.list(purpose="user_data", limit=2, order="asc"):
        seen.append(file.id)
        await async_client.files.delete(file.id)
    assert seen == made


def test_a_batch_whose_lines_are_wrong_names_them(client: OpenAI) -> None:
    file = client.files.create(file=("bad.jsonl", b'{"custom_id": "a"}\nno json\n'), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
    batch = ended(client, batch)
    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [(each.line, each.code) for each in batch.errors.data] == [
        (1, "missing_required_parameter"),
        (2, "invalid_json_line"),
    ]
