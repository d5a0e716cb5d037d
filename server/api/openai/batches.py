"""``/v1/batches``: many requests in one file, answered when there is room, in OpenAI's shapes."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from server.api.deps import OwnerDep, StoreDep
from server.api.lines import ENDPOINTS
from server.api.openai.files import EXPIRES, FOUND, ExpiresAfter
from server.api.request import JsonRoute
from server.api.schemas.base import RequestBody, ResponseBody
from server.errors import BadRequest, InvalidValue
from server.jobs.runner import Runner
from server.store.batches import Batch, Status
from server.store.pages import Page

MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]


class BatchRequest(RequestBody):
    """A batch to run."""

    input_file_id: str = Field(
        max_length=100, description="A file of purpose `batch`, a request a line.", examples=["file-1"]
    )
    endpoint: str = Field(max_length=100, description="The path that all of its lines ask.", examples=[ENDPOINTS[0]])
    completion_window: Literal["24h"] = Field(description="Lines without an answer by then expire.", examples=["24h"])
    metadata: dict[MetadataKey, MetadataValue] | None = Field(
        None, max_length=16, description="Comes back with the batch.", examples=[{"night": "monday"}]
    )
    output_expires_after: ExpiresAfter | None = Field(
        None, description="When the files of the answers expire; without it they stay.", examples=[EXPIRES]
    )


class RequestCounts(ResponseBody):
    """Lines of a batch."""

    total: int
    completed: int
    failed: int


class CachedTokens(ResponseBody):
    """The tokens read that came from the prefix cache."""

    cached_tokens: int


class ReasoningTokens(ResponseBody):
    """The tokens made that were thoughts."""

    reasoning_tokens: int


class BatchUsage(ResponseBody):
    """Tokens of all answers so far."""

    input_tokens: int
    input_tokens_details: CachedTokens
    output_tokens: int
    output_tokens_details: ReasoningTokens
    total_tokens: int


class LineError(ResponseBody):
    """A fault of the input file."""

    code: str
    message: str
    line: int | None
    param: str | None


class LineErrors(ResponseBody):
    """The faults of the input file, 100 at most."""

    object: Literal["list"] = "list"
    data: list[LineError]


class BatchObject(ResponseBody):
    """A batch. Times are Unix seconds; null: not so far."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: str | None = Field(description="The model, if all lines name the same.")
    errors: LineErrors | None
    input_file_id: str
    completion_window: Literal["24h"] = "24h"
    status: Status
    output_file_id: str | None = Field(description="The file of the answers; null: there are none.")
    error_file_id: str | None = Field(description="The file of lines that failed or were not worked on.")
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: BatchUsage
    metadata: Mapping[str, str] | None

    @classmethod
    def of(cls, batch: Batch) -> "BatchObject":
        """Encode."""
        used = batch.tokens
        same = {name: getattr(batch, name) for name in cls.model_fields if hasattr(batch, name)}
        made: dict[str, Any] = same | {
            "errors": None if batch.errors is None else LineErrors(data=[LineError(**each) for each in batch.errors]),
            "request_counts": RequestCounts(total=batch.total, completed=batch.completed, failed=batch.failed),
            "usage": BatchUsage(
                input_tokens=used.input,
                input_tokens_details=CachedTokens(cached_tokens=used.cached),
                output_tokens=used.output,
                output_tokens_details=ReasoningTokens(reasoning_tokens=used.reasoning),
                total_tokens=used.input + used.output,
            ),
        }
        return cls(**made)


class BatchList(ResponseBody):
    """A page of batches, the newest first."""

    object: Literal["list"] = "list"
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


async def _runner(request: Request) -> Runner:
    runner: Runner = request.app.state.runner
    return runner


RunnerDep = Annotated[Runner, Depends(_runner)]
router = APIRouter(tags=["OpenAI"])
json_router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


@json_router.post("/v1/batches", responses=FOUND)
async def create_batch(body: BatchRequest, store: StoreDep, runner: RunnerDep, owner: OwnerDep) -> BatchObject:
    """Run a batch. Its lines are checked first; they are answered behind all requests, many at a time."""
    if body.endpoint not in ENDPOINTS:
        raise InvalidValue(f"'endpoint' must be one of {', '.join(ENDPOINTS)}.", "endpoint")
    file = await store.files.find(body.input_file_id, owner)
    if file.purpose != "batch":
        raise BadRequest(f"The file's purpose is '{file.purpose}'; a batch needs 'batch'.", "input_file_id")
    lives_s = None if body.output_expires_after is None else body.output_expires_after.seconds
    made = await store.batches.create(owner, body.endpoint, file.id, body.metadata, lives_s)
    runner.wake()
    return BatchObject.of(made)


@router.get("/v1/batches")
async def list_batches(
    store: StoreDep, owner: OwnerDep, limit: Annotated[int, Query(ge=1, le=100)] = 20, after: str | None = None
) -> BatchList:
    """List this key's batches."""
    found = await store.batches.page(owner, Page(limit, after))
    data = [BatchObject.of(batch) for batch in found[:limit]]
    ends = (data[0].id, data[-1].id) if data else (None, None)
    return BatchList(data=data, first_id=ends[0], last_id=ends[1], has_more=len(found) > limit)


@router.get("/v1/batches/{batch_id}", responses=FOUND)
async def get_batch(batch_id: str, store: StoreDep, owner: OwnerDep) -> BatchObject:
    """Describe a batch."""
    return BatchObject.of(await store.batches.find(batch_id, owner))


@router.post("/v1/batches/{batch_id}/cancel", responses=FOUND)
async def cancel_batch(batch_id: str, store: StoreDep, runner: RunnerDep, owner: OwnerDep) -> BatchObject:
    """End a batch. Lines at work are stopped; what is finished is kept in the output file."""
    made = await store.batches.cancel(batch_id, owner)
    runner.wake()
    return BatchObject.of(made)
