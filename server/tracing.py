"""Spans of each request for OpenTelemetry: the request, its wait in the queue, its time in the engine.

They are made at the end of a request, from the times in its record: nothing is measured twice, no context travels
through threads, and a server that does not trace pays nothing. Attributes are those of the GenAI and HTTP conventions;
never text, a key or an address. OpenTelemetry's SDK is the extra ``tracing`` and is imported by ``start`` only.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from models.extras import how_to_install
from server.api.record import Record
from server.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

    Attributes = dict[str, AttributeValue]

OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}
"""The conventions' names of endpoints' work. Spans of other endpoints are named by their route."""


def start(endpoint: str, version: str) -> "Tracer":
    """A tracer that sends to a collector, in batches, on a thread of its own.

    Args:
        endpoint: URL that takes OTLP over HTTP, such as ``http://localhost:4318/v1/traces``. Headers, sampling,
            limits and the service's name come from OpenTelemetry's own ``OTEL_*`` variables.
        version: of this server.

    Raises:
        SettingsError: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"otlp_endpoint is {endpoint}, and {error.name} is not installed; to install: {how_to_install('tracing')}"
        ) from error
    resource = Resource.create({SERVICE_VERSION: version})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "hearth"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return Tracer(provider)


class Tracer:
    """Makes spans of records."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._provider = provider
        self._tracer = provider.get_tracer("hearth")
        self._parents = TraceContextTextMapPropagator()

    def tell(self, record: Record, headers: Iterable[tuple[bytes, bytes]], spent_s: float) -> str | None:
        """Make the spans of an ended request. Returns the id of its trace, None if it is not sampled.

        Args:
            record: of the request.
            headers: the request's; a ``traceparent`` among them makes the request part of its caller's trace.
            spent_s: from its first byte to its last.
        """
        wall_s = time.time() - time.perf_counter()

        def nanoseconds(clock_s: float) -> int:
            return int((wall_s + clock_s) * 1e9)

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        span = self._tracer.start_span(
            _name(record),
            context=self._parents.extract(carrier),
            kind=self._trace.SpanKind.SERVER,
            attributes=_attributes(record),
            start_time=nanoseconds(record.received_s),
        )
        if not span.is_recording():
            return None
        inside = self._trace.set_span_in_context(span)
        for name, begin_s, end_s in _stages(record):
            stage = self._tracer.start_span(name, context=inside, start_time=nanoseconds(begin_s))
            stage.end(nanoseconds(end_s))
        if record.status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(nanoseconds(record.received_s + spent_s))
        return f"{span.get_span_context().trace_id:032x}"

    def close(self) -> None:
        """Send the spans that are left. Blocks, for seconds if the collector does not answer."""
        self._provider.shutdown()


def _name(record: Record) -> str:
    operation = OPERATIONS.get(record.endpoint)
    if operation is not None and record.model is not None:
        return f"{operation} {record.model}"
    return f"{record.method} {record.endpoint}"


def _attributes(record: Record) -> "Attributes":
    attributes: Attributes = {
        "http.request.method": record.method,
        "http.route": record.endpoint,
        "http.response.status_code": record.status,
        "hearth.request_id": record.id,
    }
    if record.error is not None:
        attributes["error.type"] = record.error.code
    if record.model is not None:
        attributes["gen_ai.provider.name"] = "hearth"
        attributes["gen_ai.request.model"] = attributes["gen_ai.response.model"] = record.model
        attributes["gen_ai.operation.name"] = OPERATIONS.get(record.endpoint) or record.endpoint.rsplit("/", 1)[-1]
    if record.usage is not None:
        attributes["gen_ai.usage.input_tokens"] = record.usage.prompt_tokens
        attributes["gen_ai.usage.output_tokens"] = record.usage.completion_tokens
        attributes["gen_ai.response.finish_reasons"] = tuple(record.finish_reasons)
    if record.timing is not None:
        attributes["hearth.batch_rows"] = record.timing.batch_rows
    return attributes


def _stages(record: Record) -> Iterator[tuple[str, float, float]]:
    """Name, beginning and end of each part of the request that it reached."""
    timing = record.timing
    if timing is None:
        return
    if record.parsed_s is not None:
        yield "tokenize", record.parsed_s, max(record.parsed_s, timing.queued_s)
    if timing.taken_s is None:
        return
    yield "queue", timing.queued_s, timing.taken_s
    if record.generates and timing.first_s is not None:
        yield "prefill", timing.taken_s, timing.first_s
        if timing.ended_s is not None:
            yield "decode", timing.first_s, timing.ended_s
    elif timing.ended_s is not None:
        yield "inference", timing.taken_s, timing.ended_s
