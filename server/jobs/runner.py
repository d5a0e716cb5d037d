"""Runs the batches of a store: claims lines, has them answered, writes what comes of them.

One turn after the other: a transaction writes the lines that have ended and claims new ones, and ``plan`` says from the
rows what each batch needs next. Lines that end while a transaction runs go into the next one. Nothing here knows HTTP:
``ask`` answers a line as the server would answer the same request.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Protocol

from server.errors import ServerError
from server.jobs import plan
from server.jobs.lines import InputLines, answered, unanswered
from server.store.batches import Batch, Claimed, Ended, Ending, Tokens
from server.store.errors import ObjectNotFound
from server.store.store import Store

log = logging.getLogger(__name__)

CHUNK = 500
"""Lines that are read or written at once."""
RETRY_S = 5.0
"""After a failure of the disk, and at most so long after an expiry, the runner looks again."""
NOT_NOW = frozenset({429, 503})
"""Statuses of answers that would be other ones later."""
OUTPUT_BYTES = 1 << 40
"""No quota ends an output file."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a line. ``body`` is JSON of one line."""

    status: int
    request_id: str
    body: bytes
    tokens: Tokens = field(default_factory=Tokens)
    retry_after_s: float | None = None


Ask = Callable[[str, bytes, str], Awaitable[Answer]]
"""Answers the body of a request to an endpoint, for the owner of a key. Never raises, except when it is cancelled."""


class Observer(Protocol):
    """Counts what has ended."""

    def line(self, endpoint: str, outcome: str) -> None:
        """A line is answered; ``outcome`` is completed or failed."""

    def batch(self, endpoint: str, ending: str) -> None:
        """A batch has ended."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one batch's input, and of the lines at work together."""

    lines: int
    line_bytes: int
    at_once: int


class Runner:
    """The one that works on a store's batches. Used only on the event loop.

    Args:
        store: with the batches; turns fail and are repeated while it does no work.
        ask: answers a line.
        parse: reads JSON as strictly as ``ask`` does.
        limits: see there.
        observer: see there.
    """

    def __init__(
        self, store: Store, ask: Ask, parse: Callable[[bytes], Any], limits: Limits, observer: Observer
    ) -> None:
        self._store = store
        self._ask = ask
        self._parse = parse
        self._limits = limits
        self._observer = observer
        self._news = asyncio.Event()
        self._stopping = False
        self._ended: list[tuple[str, Ended]] = []
        """Lines that have ended and are not written yet, each with its endpoint."""
        self._lines: dict[asyncio.Task[Ended], Claimed] = {}
        self._steps: dict[int, asyncio.Task[None]] = {}
        """The longer steps under way, by the batch's number."""
        self.lines_left = 0
        """Lines of open batches without an answer."""
        self._paused: dict[int, float] = {}
        """Batches that are left alone until this time of ``time.monotonic``."""

    def wake(self) -> None:
        """Look at the batches now: one has come, or is to end."""
        self._paused.clear()
        self._news.set()

    def stop(self) -> None:
        """Have ``run`` end: lines that have ended are written, those at work wait for the next start."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        """Work until ``stop``."""
        told = ""
        while not self._stopping:
            self._news.clear()
            try:
                wait_s = await self._turn()
                told = ""
            except ServerError as error:
                wait_s = RETRY_S
                if self._store.is_open and error.message != told:  # one that is not open has said so
                    told = error.message
                    log.warning("batches wait: %s", told)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
        tasks = [*self._lines, *self._steps.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        with suppress(ServerError):  # then the next start does them again
            await self._store.batches.turn([each for _, each in self._ended], lambda batches: {})

    async def _turn(self) -> float | None:
        """One turn. Returns the seconds until the next one if nothing happens; None: for ever."""
        ended, self._ended = self._ended, []
        now_s = time.monotonic()
        self._paused = {number: until_s for number, until_s in self._paused.items() if until_s > now_s}
        free = max(0, self._limits.at_once - len(self._lines))
        left_alone = {*self._paused, *self._steps}

        def choose(batches: Sequence[Batch]) -> dict[int, int]:
            return plan.claims(batches, self._store.now(), free, left_alone)

        try:
            batches, claimed = await self._store.batches.turn([each for _, each in ended], choose)
        except ServerError:
            self._ended = ended + self._ended
            raise
        for endpoint, each in ended:
            if each.result is not None:
                self._observer.line(endpoint, "completed" if each.is_good else "failed")
        self.lines_left = sum(batch.waiting + batch.leased for batch in batches)
        for line in claimed:
            task = asyncio.create_task(self._work(line))
            self._lines[task] = line
            task.add_done_callback(self._line_ended)
        for batch in () if self._stopping else batches:
            if batch.number not in left_alone:
                self._begin(batch, plan.step_of(batch, self._store.now()))
        if not batches:
            return None
        return min([RETRY_S, *(until_s - now_s for until_s in self._paused.values())])

    def _begin(self, batch: Batch, step: plan.Step) -> None:
        if step.kind == "stop":
            for task, line in self._lines.items():
                if line.batch == batch.number:
                    task.cancel()
        elif step.kind == "validate":
            self._long(batch, self._validate(batch))
        elif step.kind == "write":
            self._long(batch, self._write(batch, step.ending or "completed"))

    def _long(self, batch: Batch, work: Awaitable[None]) -> None:
        async def attempt() -> None:
            try:
                await work
            except Exception as error:
                log.warning("batch %s waits: %s", batch.id, error, exc_info=not isinstance(error, ServerError))
                self._paused[batch.number] = time.monotonic() + RETRY_S
            finally:
                self._steps.pop(batch.number, None)
                self._news.set()

        self._steps[batch.number] = asyncio.create_task(attempt())

    async def _work(self, line: Claimed) -> Ended:
        answer = await self._ask(line.endpoint, line.body, line.owner)
        if answer.status in NOT_NOW:
            self._paused[line.batch] = time.monotonic() + (answer.retry_after_s or RETRY_S)
            return Ended(line.batch, line.line, None)
        result = answered(line.custom_id, answer.status, answer.request_id, answer.body)
        return Ended(line.batch, line.line, result, answer.status < 400, answer.tokens)

    def _line_ended(self, task: asyncio.Task[Ended]) -> None:
        line = self._lines.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a line of a batch could not be asked", exc_info=error)
            self._paused[line.batch] = time.monotonic() + RETRY_S
        failed = task.cancelled() or task.exception() is not None
        ended = Ended(line.batch, line.line, None) if failed else task.result()
        self._ended.append((line.endpoint, ended))
        self._news.set()

    async def _validate(self, batch: Batch) -> None:
        try:
            _, path = await self._store.files.content(batch.input_file_id, batch.owner)
        except ObjectNotFound as error:
            problem = {"code": "file_not_found", "message": error.message, "line": None, "param": "input_file_id"}
            await self._fail(batch, [problem])
            return
        await self._store.batches.begin_lines(batch)
        source = InputLines(path, batch.endpoint, self._limits.lines, self._limits.line_bytes, self._parse)
        lines = source.read()
        while chunk := await asyncio.to_thread(lambda: list(islice(lines, CHUNK))):
            if not source.problems:
                await self._store.batches.add_lines(batch, chunk)
        if source.problems:
            await self._fail(batch, [asdict(problem) for problem in source.problems])
            return
        model = source.models.pop() if len(source.models) == 1 else None
        await self._store.batches.begin_work(batch, source.count, model)

    async def _fail(self, batch: Batch, problems: Sequence[dict[str, Any]]) -> None:
        await self._store.batches.fail(batch, problems)
        self._observer.batch(batch.endpoint, "failed")

    async def _write(self, batch: Batch, ending: Ending) -> None:
        """Write the files of a batch of which no line is at work, and close it. Files that are there already stay."""
        batch = await self._store.batches.finalize(batch, ending)
        if batch.in_progress_at is not None:
            if batch.output_file_id is None:
                await self._write_file(batch, good=True)
            if batch.error_file_id is None:
                await self._write_file(batch, good=False)
        await self._store.batches.close(batch)
        self._observer.batch(batch.endpoint, ending)

    async def _write_file(self, batch: Batch, *, good: bool) -> None:
        name = "output" if good else "error"
        after = 0
        async with self._store.files.receive(OUTPUT_BYTES) as incoming:
            while rows := await self._store.batches.results(batch, after, CHUNK, good=good):
                for _, custom_id, result in rows:
                    await incoming.write(result or unanswered(custom_id, f"batch_{batch.ending}"))
                after = rows[-1][0]
            if incoming.bytes:
                query = f"UPDATE batches SET {name}_file_id = ? WHERE number = ?"  # noqa: S608  one of two names
                await self._store.files.add(
                    incoming,
                    batch.owner,
                    "batch_output",
                    f"{batch.id}_{name}.jsonl",
                    batch.output_lives_s,
                    lambda connection, id: connection.execute(query, (id, batch.number)),
                    must_fit=False,
                )
