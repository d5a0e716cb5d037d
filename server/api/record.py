"""The record of one HTTP request: filled in by routes, read when the request has ended.

Routes state facts here: the model, the usage, times. Headers, log and metrics are made of them in one place, so no
endpoint has an accounting of its own that could drift.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fastapi import Request

from server.api.keys import KeyUser
from server.batching.job import Timing
from server.errors import ModelNotFound, ServerError
from server.tasks.results import Done, Translation, Usage

KEY = "hearth.record"
"""The key of a record in an ASGI scope."""


@dataclass(slots=True)
class Record:
    """One request. Times are on the clock of ``time.perf_counter``."""

    id: str
    method: str
    received_s: float
    endpoint: str = "unmatched"
    """The route's path template: a closed set, unlike paths."""
    status: int = 0
    parsed_s: float | None = None
    """The time when the body was read and checked; the task began then."""
    model: str | None = None
    """The id of the model that serves it; never an alias."""
    generates: bool = False
    """Whether the model makes tokens one by one, so that first and next tokens have times."""
    usage: Usage | None = None
    timing: Timing | None = None
    finish_reasons: list[str] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    """Streams: the times between two pieces of one choice."""
    translated_characters: dict[tuple[str, str], int] = field(default_factory=dict)
    """Characters read for each pair of source and target."""
    ignored: set[str] | None = None
    """Names of ignored fields, as the client wrote them; None if unknown fields are refused."""
    body_bytes: int = 0
    """Bytes of its body, unpacked."""
    error: ServerError | None = None
    key_user: KeyUser | None = None
    """The owner of the request's API key; None if keys are not needed."""

    def serve(self, *models: str, generates: bool = False) -> None:
        """A model has been found for the request, or several that work together; the last gives the answer.

        Raises:
            ModelNotAllowed: it is not for the request's key.
        """
        if self.key_user is not None:
            for model in models:
                self.key_user.require(model)
        self.model = models[-1]
        self.generates = generates
        self.parsed_s = time.perf_counter()

    def fail(self, error: ServerError) -> None:
        """The request ends with this error. A list of models in it is limited to those that the key may use."""
        if isinstance(error, ModelNotFound) and self.key_user is not None:
            error.known = [name for name in error.known if self.key_user.allows(name)]
        self.error = error

    def finish(self, usage: Usage, timing: Timing, reasons: Iterable[str] = ("stop",)) -> None:
        """The model has answered."""
        self.usage = usage
        self.timing = timing
        self.finish_reasons = list(reasons)

    def finish_translation(self, texts: Sequence[str], done: Done[Translation]) -> None:
        """A translator has answered."""
        self.finish(done.usage, done.timing)
        for text, item in zip(texts, done.items, strict=True):
            pair = (item.source, item.target)
            self.translated_characters[pair] = self.translated_characters.get(pair, 0) + len(text)

    @property
    def tokenization_s(self) -> float | None:
        """From the checked body to the queue: templates, tokens, checks."""
        if self.parsed_s is None or self.timing is None:
            return None
        return max(0.0, self.timing.queued_s - self.parsed_s)

    @property
    def queue_s(self) -> float | None:
        """From the queue to the first batch with one of its rows."""
        if self.timing is None or self.timing.taken_s is None:
            return None
        return self.timing.taken_s - self.timing.queued_s

    @property
    def inference_s(self) -> float | None:
        """From the first batch to the last outcome."""
        if self.timing is None or self.timing.taken_s is None or self.timing.ended_s is None:
            return None
        return self.timing.ended_s - self.timing.taken_s


async def record_of(request: Request) -> Record:
    """The record of a request, as a dependency of its route."""
    record: Record = request.scope[KEY]
    return record
