"""Spans of requests, seen by OpenTelemetry's own in-memory exporter and by a collector's stand-in on loopback."""

import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from server import tracing
from server.settings import SettingsError, load_settings
from tests.api import conftest as api

pytestmark = pytest.mark.anyio

serving = api.serving
shipped = api.shipped
logged = api.logged
CHAT: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "xylophone"}]}
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> tracing.Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return tracing.Tracer(provider)


async def test_a_chat_is_a_span_with_its_stages_in_it(serving: Any, exporter: Any, spans: Any) -> None:
    async with serving(spans=spans) as served:
        response = await served.post("/v1/chat/completions", **CHAT, stream=True)
        assert response.status_code == 200
    *stages, request = exporter.get_finished_spans()
    assert request.name == "chat assistant"
    assert request.kind == SpanKind.SERVER
    assert request.parent is None
    facts = dict(request.attributes)
    assert facts.pop("gen_ai.usage.input_tokens") > 0
    assert facts.pop("gen_ai.usage.output_tokens") > 0
    assert facts == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "hearth.request_id": response.headers["x-request-id"],
        "hearth.batch_rows": 1,
        "gen_ai.provider.name": "hearth",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "assistant",
        "gen_ai.response.model": "assistant",
        "gen_ai.response.finish_reasons": ("stop",),
    }
    assert [stage.name for stage in stages] == ["tokenize", "queue", "prefill", "decode"]
    edges = [edge for stage in stages for edge in (stage.start_time, stage.end_time)]
    assert edges == sorted(edges)
    assert request.start_time <= edges[0]
    assert edges[-1] <= request.end_time
    assert {stage.parent.span_id for stage in stages} == {request.context.span_id}
    assert "xylophone" not in "".join(span.to_json() for span in (*stages, request))


@pytest.mark.parametrize(
    ("path", "body", "name", "operation"),
    [
        ("/v1/sentiment", {"input": "a"}, "POST /v1/sentiment", "sentiment"),
        ("/v1/embeddings", {"input": "a"}, "embeddings embed", "embeddings"),
        ("/v1/completions", {"prompt": "a"}, "text_completion assistant", "text_completion"),
    ],
)
async def test_other_work_is_named_by_the_conventions(
    serving: Any, exporter: Any, spans: Any, path: str, body: Any, name: str, operation: str
) -> None:
    async with serving(spans=spans) as served:
        assert (await served.post(path, **body)).status_code == 200
    *stages, request = exporter.get_finished_spans()
    assert request.name == name
    assert request.attributes["gen_ai.operation.name"] == operation
    assert [stage.name for stage in stages][-1] == ("decode" if "completions" in path else "inference")


async def test_a_callers_trace_goes_on_and_the_log_names_it(
    serving: Any, exporter: Any, spans: Any, logged: Any
) -> None:
    async with serving(spans=spans) as served:
        await served.http.get("/health", headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
        await served.http.get("/health", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
        await served.http.get("/health", headers={"traceparent": "00-nonsense\x7f-01"})
    told, broken = exporter.get_finished_spans()
    assert f"{told.context.trace_id:032x}" == TRACE
    assert f"{told.parent.span_id:016x}" == CALLER
    assert broken.parent is None
    first, not_sampled, _ = logged()
    assert first["trace_id"] == TRACE
    assert not_sampled["trace_id"] is None


async def test_latencies_carry_their_trace_as_an_exemplar_where_openmetrics_is_asked_for(
    serving: Any, spans: Any
) -> None:
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    async with serving(spans=spans) as served:
        body = {"model": "sentiment", "input": "Good."}
        await served.http.post("/v1/sentiment", json=body, headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
        open_metrics = (await served.http.get("/metrics", headers=accept)).text
        plain = (await served.http.get("/metrics")).text
    for name in ("e2e_request_latency_seconds", "request_queue_time_seconds", "http_request_duration_seconds"):
        [line] = re.findall(rf"^hearth_{name}_bucket.*/v1/sentiment.*# .*$", open_metrics, re.MULTILINE)
        assert f'# {{trace_id="{TRACE}"}}' in line
    assert TRACE not in plain


async def test_a_failure_says_what_failed(serving: Any, exporter: Any, spans: Any) -> None:
    async with serving(spans=spans) as served:
        for engine in served.engines.values():  # a word alone may be read by the model of any language
            engine.fails = True
        await served.post("/v1/sentiment", input="xylophone")
        await served.post("/v1/sentiment", input="a", model="xylophone")
        await served.http.get("/xylophone?xylophone")
    failed, unknown, lost = [span for span in exporter.get_finished_spans() if span.kind == SpanKind.SERVER]
    assert failed.status.status_code == StatusCode.ERROR
    assert failed.attributes["error.type"] == "engine_failed"
    assert unknown.attributes["error.type"] == "model_not_found"
    assert unknown.status.status_code == StatusCode.UNSET
    assert lost.name == "GET unmatched"
    assert "xylophone" not in "".join(span.to_json() for span in exporter.get_finished_spans())


async def test_what_is_not_sampled_makes_no_spans(serving: Any, exporter: Any) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with serving(spans=tracing.Tracer(provider)) as served:
        assert (await served.post("/v1/sentiment", input="a")).status_code == 200
    assert exporter.get_finished_spans() == ()


class Collector(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, self.headers, body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Any]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        server.got = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_spans_reach_a_collector_with_what_the_environment_says(
    serving: Any, collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    tracer = tracing.start(f"http://127.0.0.1:{collector.server_port}/v1/traces", "1.2.3")
    async with serving(spans=tracer) as served:
        await served.post("/v1/sentiment", input="a")
    tracer.close()
    ((path, headers, body),) = collector.got
    assert path == "/v1/traces"
    assert headers["x-tenant"] == "a"
    (sent,) = ExportTraceServiceRequest.FromString(body).resource_spans
    resource = {fact.key: fact.value.string_value for fact in sent.resource.attributes}
    assert resource["service.name"] == "hearth"
    assert resource["service.version"] == "1.2.3"
    assert resource["deployment.environment"] == "test"
    assert [span.name for span in sent.scope_spans[0].spans] == ["tokenize", "queue", "inference", "POST /v1/sentiment"]


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({}, ""),
        (
            {"HEARTH_OTLP_ENDPOINT": "http://a/v1/traces", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://b"},
            "http://a/v1/traces",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318/"}, "http://b:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://b"}, "http://c/x"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b", "OTEL_SDK_DISABLED": "true"}, ""),
    ],
)
def test_opentelemetrys_own_environment_is_read(environment: dict[str, str], endpoint: str) -> None:
    assert load_settings({}, environment).otlp_endpoint == endpoint


def test_without_the_extra_the_setting_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(SettingsError, match=r"pip install .*opentelemetry-sdk"):
        tracing.start("http://localhost:4318/v1/traces", "0")


def test_without_the_setting_nothing_is_imported() -> None:
    # FastAPI itself imports OpenTelemetry's interface where it is installed; the SDK and the exporter are ours.
    ours = "('opentelemetry.sdk', 'opentelemetry.exporter')"
    code = f"import sys, server.app, server.http.server; print([n for n in sys.modules if n.startswith({ours})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
