"""``hearth bench``: how fast a running server answers, by number of clients.

Each client sends its next request when it has the answer to the last (a closed loop), over a connection of its own.
A generator is asked for an exact number of tokens, streamed, with a prompt that begins differently each time, so that
the prefix cache holds no part of it; other models get sentences. The client runs in Python beside the server and costs
about a millisecond of processor time a request; for a server that answers faster than that, and for arrivals that do
not wait for answers, there is ``load_tests/``.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from tqdm import tqdm

from server.cli.client import CallFailed, Client, message
from server.cli.client import event as read_event

SENTENCES = (
    "The train to the coast leaves at half past nine.",
    "I would like to change the date of my appointment.",
    "She has lived in this town since she was a child.",
    "Could you tell me how much the blue one costs?",
    "It rained all week, so we stayed at home and read.",
    "The soup was cold and the waiter forgot our drinks.",
)
WARMUP_ROUNDS = 1
"""Requests that each client sends before the clock starts, so that connections, caches and code are warm."""

HEADINGS = (
    "clients",
    "requests/s",
    "tokens/s",
    "first token ms p50",
    "p95",
    "ms a token p50",
    "p95",
    "answer ms p50",
    "p95",
)


@dataclass(slots=True)
class Sample:
    """One answer: seconds to its end and, where streamed, to its first token; tokens that it wrote."""

    total_s: float = 0.0
    first_s: float | None = None
    tokens: int = 0

    @property
    def per_token_s(self) -> float | None:
        """Mean seconds between two tokens. Single gaps would mislead: a busy client reads several tokens at once."""
        return (self.total_s - self.first_s) / (self.tokens - 1) if self.first_s and self.tokens > 1 else None


@dataclass(frozen=True, slots=True)
class Workload:
    """The requests to send: the path, and the body of request number n."""

    model: str
    task: str
    path: str
    prompt: tuple[int, ...] = ()
    output_tokens: int = 0

    @property
    def is_streamed(self) -> bool:
        """Whether answers come a token at a time."""
        return self.task == "generation"

    def body(self, number: int, target: str) -> dict[str, Any]:
        """The body of one request."""
        sentence = SENTENCES[number % len(SENTENCES)]
        if self.task == "translation":
            return {"model": self.model, "input": f"{number}. {sentence}", "source": "en", "target": target}
        if self.task == "rerank":
            return {"model": self.model, "query": f"{number}. {sentence}", "documents": list(SENTENCES)}
        if not self.is_streamed:
            return {"model": self.model, "input": f"{number}. {sentence}"}
        # The request's number, written in tokens, comes first, so no two prompts begin alike.
        digits = sorted(set(self.prompt))
        head = [digits[number // len(digits) ** place % len(digits)] for place in range(3)]
        return {
            "model": self.model,
            "prompt": [*head, *self.prompt[3:]],
            "max_tokens": self.output_tokens,
            "min_tokens": self.output_tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def bench(
    model: str,
    clients: Sequence[int],
    requests: int,
    prompt_tokens: int,
    output_tokens: int,
    to: str,
    as_json: bool,
    url: str,
    api_key: str,
) -> int:
    """Measure a model of a running server; prints a row for each number of clients.

    Raises:
        CallFailed: no server, no such model, or it refuses the requests.
    """
    with Client(url, api_key) as client:
        workload = _workload(client, model, prompt_tokens, output_tokens)
    rows = []
    for count in clients:
        samples, spent_s = asyncio.run(_measure(workload, count, requests, to, url, api_key))
        rows.append(_row(count, samples, spent_s))
    if as_json:
        print(
            json.dumps({"model": workload.model, "task": workload.task, "requests": requests, "rows": rows}, indent=2)
        )
    else:
        _print(workload, requests, rows)
    return 0


def _workload(client: Client, model: str, prompt_tokens: int, output_tokens: int) -> Workload:
    info = client.call("GET", f"/v1/models/{model}")
    task = info["task"]
    if task == "generation":
        if prompt_tokens + output_tokens > info["context_length"]:
            raise CallFailed(
                f"{prompt_tokens} prompt tokens and {output_tokens} output tokens are more than the "
                f"{info['context_length']} that {model} can hold"
            )
        text = " ".join(SENTENCES)
        ids = client.call("POST", "/tokenize", {"model": model, "prompt": text, "add_special_tokens": False})["tokens"]
        repeated = (ids * (prompt_tokens // len(ids) + 1))[:prompt_tokens]
        return Workload(model, task, "/v1/completions", tuple(repeated), output_tokens)
    labels = info["labels"]
    classify = (
        "/v1/sentiment" if "sentiment" in labels else "/v1/moderations" if "moderation" in labels else "/classify"
    )
    paths = {
        "translation": "/v1/translations",
        "embedding": "/v1/embeddings",
        "classification": classify,
        "rerank": "/v1/rerank",
        "entities": "/v1/entities",
    }
    return Workload(model, task, paths[task])


async def _measure(
    workload: Workload, clients: int, requests: int, to: str, url: str, api_key: str
) -> tuple[list[Sample], float]:
    """The samples of this many requests, and the seconds they took together."""
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=600.0, limits=limits) as http:

        async def worker(numbers: Sequence[int], progress: "tqdm[Any]") -> list[Sample]:
            samples = []
            for number in numbers:
                samples.append(await _ask(http, workload, workload.body(number, to)))
                progress.update()
            return samples

        async def all_of(first: int, count: int, progress: "tqdm[Any]") -> list[Sample]:
            numbers = range(first, first + count)
            workers = [worker(numbers[i::clients], progress) for i in range(clients)]
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(work) for work in workers]
            except* (CallFailed, httpx.HTTPError) as failed:
                error = failed.exceptions[0]
                raise CallFailed(str(error) or type(error).__name__) from None
            return [sample for task in tasks for sample in task.result()]

        warmup = clients * WARMUP_ROUNDS
        quiet = not sys.stderr.isatty()
        with tqdm(desc=f"{clients} clients", total=warmup + requests, disable=quiet, leave=False) as progress:
            await all_of(0, warmup, progress)
            began_s = time.perf_counter()
            samples = await all_of(warmup, requests, progress)
            return samples, time.perf_counter() - began_s


async def _ask(http: httpx.AsyncClient, workload: Workload, body: dict[str, Any]) -> Sample:
    """Send one request and read its answer to the end."""
    began_s = time.perf_counter()
    sample = Sample()
    async with http.stream("POST", workload.path, json=body) as answer:
        if answer.status_code != 200:
            await answer.aread()
            raise CallFailed(message(answer), answer.status_code)
        async for line in answer.aiter_lines():
            event = read_event(line) if workload.is_streamed else None
            if event is None:
                continue
            if event["choices"] and sample.first_s is None:
                sample.first_s = time.perf_counter() - began_s
            if event.get("usage"):
                sample.tokens = event["usage"]["completion_tokens"]
    sample.total_s = time.perf_counter() - began_s
    return sample


def _row(clients: int, samples: Sequence[Sample], spent_s: float) -> dict[str, float | int | None]:
    firsts = [sample.first_s for sample in samples if sample.first_s is not None]
    per_token = [sample.per_token_s for sample in samples if sample.per_token_s is not None]
    totals = [sample.total_s for sample in samples]
    row: dict[str, float | int | None] = {
        "clients": clients,
        "requests_per_s": len(samples) / spent_s,
        "tokens_per_s": sum(sample.tokens for sample in samples) / spent_s or None,
    }
    for name, values in (("first_token", firsts), ("per_token", per_token), ("answer", totals)):
        for share in (50, 95):
            row[f"{name}_ms_p{share}"] = 1000 * _percentile(values, share) if values else None
    return row


def _percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that at least this share (per cent) of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def _print(workload: Workload, requests: int, rows: Sequence[dict[str, float | int | None]]) -> None:
    what = (
        f"{len(workload.prompt)} prompt tokens, {workload.output_tokens} output tokens"
        if workload.is_streamed
        else "a sentence a request"
    )
    print(f"{workload.model} ({workload.task}): {requests} requests, {what}")
    shown = [list(HEADINGS), *([_shown(value) for value in row.values()] for row in rows)]
    used = [i for i in range(len(HEADINGS)) if any(row[i] != "" for row in shown[1:])]
    widths = {i: max(len(row[i]) for row in shown) for i in used}
    for row in shown:
        print("  ".join(row[i].rjust(widths[i]) for i in used))


def _shown(value: float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.1f}"
