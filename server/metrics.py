"""Every metric of the server in one table, and the registry that keeps and exports them.

Knows nothing of HTTP and of the numbers' meaning: other modules call ``count`` or ``observe`` with a metric's name
and a number. Gauges are read at scrape time from the models themselves, so they cannot drift. Label
values are closed sets: models' ids, routes' templates, small enums; never a key, an address or text.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample

from server.engines.base import State
from server.machine import energy_joules, resident_bytes

PREFIX = "hearth_"
LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
RATIO = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric. ``buckets`` are upper bounds; None stands for the latency buckets."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    buckets: Sequence[float] | None = None


TABLE: Sequence[Spec] = (
    Spec("num_requests_running", "gauge", ("model",), "Requests with at least one row at work."),
    Spec("num_requests_waiting", "gauge", ("model",), "Requests with at least one row in the queue."),
    Spec("queue_rows", "gauge", ("model",), "Rows in the queue."),
    Spec("queue_tokens", "gauge", ("model",), "Tokens of the rows in the queue."),
    Spec("kv_cache_usage_perc", "gauge", ("model",), "Share of the cache's blocks that running rows hold, 0 to 1."),
    Spec("cache_config_info", "gauge", ("model", "block_size", "num_gpu_blocks"), "Always 1; labels tell the cache."),
    Spec("prefix_cache_queries_total", "counter", ("model",), "Tokens of prompts that were looked up in the cache."),
    Spec("prefix_cache_hits_total", "counter", ("model",), "Tokens of prompts that were found in the cache."),
    Spec("prompt_tokens_total", "counter", ("model",), "Tokens read, of answered requests."),
    Spec("generation_tokens_total", "counter", ("model",), "Tokens made, of answered requests."),
    Spec("request_success_total", "counter", ("model", "finished_reason"), "Answers, by why each choice ended."),
    Spec("request_failure_total", "counter", ("model", "code"), "Requests that got no whole answer, by error code."),
    Spec("requests_rejected_total", "counter", ("reason",), "Requests refused before any work, by error code."),
    Spec("ignored_fields_total", "counter", ("endpoint",), "Unknown fields of requests that were ignored."),
    Spec("client_disconnected_total", "counter", ("endpoint",), "Requests whose client left before the end."),
    Spec("e2e_request_latency_seconds", "histogram", ("model", "endpoint"), "From the request to its last byte."),
    Spec("request_queue_time_seconds", "histogram", ("model", "endpoint"), "From the queue to the first batch."),
    Spec("request_inference_time_seconds", "histogram", ("model", "endpoint"), "From the first batch to the result."),
    Spec("request_tokenization_seconds", "histogram", ("model", "endpoint"), "From the checked body to the queue."),
    Spec("request_prefill_time_seconds", "histogram", ("model",), "From the first batch to the first token."),
    Spec("request_decode_time_seconds", "histogram", ("model",), "From the first token to the last."),
    Spec("time_to_first_token_seconds", "histogram", ("model",), "From the request to the first token."),
    Spec("inter_token_latency_seconds", "histogram", ("model",), "Between two tokens of one choice."),
    Spec("request_prompt_tokens", "histogram", ("model",), "Tokens read for one request.", TOKENS),
    Spec("request_generation_tokens", "histogram", ("model",), "Tokens made for one request.", TOKENS),
    Spec("batch_rows", "histogram", ("model",), "Rows a batch began with.", ROWS),
    Spec("batch_tokens", "histogram", ("model",), "Tokens of the rows a batch began with.", TOKENS),
    Spec("batch_padding_ratio", "histogram", ("model",), "Share of a batch that only fills rows up.", RATIO),
    Spec("http_requests_total", "counter", ("handler", "method", "status"), "HTTP requests."),
    Spec("http_request_duration_seconds", "histogram", ("handler", "method", "status"), "From request to last byte."),
    Spec("models_loaded", "gauge", ("model",), "1 while the model can answer, else 0."),
    Spec("model_state", "gauge", ("model", "state"), "1 for the state that the model is in, 0 for the others."),
    Spec("model_load_seconds", "histogram", ("model",), "How long loading took, restarts included."),
    Spec("model_memory_bytes", "gauge", ("model",), "Memory of the model's engine process."),
    Spec("engine_restarts_total", "counter", ("model",), "Engine processes that took the place of a dead one."),
    Spec("build_info", "gauge", ("version",), "Always 1; the label says what runs."),
    Spec("translated_characters_total", "counter", ("source", "target"), "Characters read by translations."),
    Spec("batch_lines_left", "gauge", (), "Lines of open batches without an answer."),
    Spec("stored_bytes", "gauge", (), "Bytes of all files that are kept."),
    Spec("batch_lines_total", "counter", ("endpoint", "outcome"), "Lines of batches that were answered."),
    Spec("batches_total", "counter", ("endpoint", "status"), "Batches that have ended, by their last status."),
    Spec("energy_joules_total", "counter", ("zone",), "Energy the processors used, where the machine tells."),
)


class Engine(Protocol):
    """The attributes of an engine that gauges read."""

    @property
    def state(self) -> str:
        """``ready`` while it can run."""

    @property
    def pid(self) -> int | None:
        """Its process."""

    @property
    def cache_usage(self) -> float:
        """The share of its cache that running rows hold, 0 to 1."""

    @property
    def cache_blocks(self) -> tuple[int, int] | None:
        """Positions a block of its cache, and how many blocks; None while there is no such cache."""


class Queue(Protocol):
    """The attributes of a batcher that gauges read."""

    @property
    def waiting(self) -> tuple[int, int, int]:
        """Requests, rows and tokens in the queue."""

    @property
    def running(self) -> int:
        """Requests at work."""


class Gauged(Protocol):
    """A served model, as gauges see it."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def engine(self) -> Engine:
        """Its engine."""

    @property
    def batcher(self) -> Queue:
        """The queue before it."""


class _Histogram:
    """Counts of one series. The bound of the last count is infinity."""

    __slots__ = ("counts", "exemplars", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.sum = 0.0
        self.exemplars: dict[int, Exemplar] = {}
        """The last value of a bucket that belongs to a trace, by the bucket's place."""


class Metrics(Collector):
    """Counters and histograms of one server; safe to call from any thread."""

    def __init__(self, version: str = "unknown", latency_buckets_s: Sequence[float] = LATENCY_S) -> None:
        self._version = version
        self._buckets = {
            spec.name: tuple(latency_buckets_s if spec.buckets is None else spec.buckets)
            for spec in TABLE
            if spec.kind == "histogram"
        }
        self._lock = threading.Lock()
        self._counters: dict[str, dict[tuple[str, ...], float]] = {s.name: {} for s in TABLE if s.kind == "counter"}
        self._histograms: dict[str, dict[tuple[str, ...], _Histogram]] = {name: {} for name in self._buckets}
        self._models: Callable[[], Iterable[Gauged]] = tuple
        self._kept: Callable[[], Mapping[str, float]] = dict
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def count(self, name: str, amount: float, *labels: str) -> None:
        """Add to a counter; label values in the table's order."""
        with self._lock:
            series = self._counters[name]
            series[labels] = series.get(labels, 0.0) + amount

    def observe(self, name: str, value: float, *labels: str, times: int = 1, trace_id: str | None = None) -> None:
        """Put a value into a histogram, ``times`` over; label values in the table's order.

        ``trace_id`` becomes the exemplar of the value's bucket. Only OpenMetrics exports exemplars.
        """
        place = bisect_left(self._buckets[name], value)
        with self._lock:
            series = self._histograms[name]
            if (histogram := series.get(labels)) is None:
                histogram = series[labels] = _Histogram(len(self._buckets[name]))
            histogram.counts[place] += times
            histogram.sum += value * times
            if trace_id is not None:
                histogram.exemplars[place] = Exemplar({"trace_id": trace_id}, value, time.time())

    def value(self, name: str, *labels: str) -> float:
        """The present value of a counter, or the number of values in a histogram."""
        with self._lock:
            if name in self._counters:
                return self._counters[name].get(labels, 0.0)
            histogram = self._histograms[name].get(labels)
            return sum(histogram.counts) if histogram is not None else 0

    def total(self, name: str) -> float:
        """The present value of a counter over all its labels."""
        with self._lock:
            return sum(self._counters[name].values())

    def of(self, model: str) -> "ModelMetrics":
        """The metrics of one model. Its series exist from now on, at zero, so that rates have a beginning."""
        with self._lock:
            for spec in TABLE:
                if spec.labels == ("model",) and spec.kind == "counter":
                    self._counters[spec.name].setdefault((model,), 0.0)
                elif spec.labels == ("model",) and spec.kind == "histogram":
                    self._histograms[spec.name].setdefault((model,), _Histogram(len(self._buckets[spec.name])))
        return ModelMetrics(self, model)

    def watch(self, models: Callable[[], Iterable[Gauged]]) -> None:
        """Read the gauges from these models from now on."""
        self._models = models

    def watch_kept(self, kept: Callable[[], Mapping[str, float]]) -> None:
        """Read gauges without labels, by their names in the table, from now on."""
        self._kept = kept

    def scrape(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as text and its content type: OpenMetrics for those who accept it, else Prometheus.

        Any thread may call it: it reads the models under their locks, or one attribute at a time.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def describe(self) -> Iterable[Metric]:
        """Return no names at registration: the table has them."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families of the table, including those without a value yet."""
        gauges = self._gauges()
        energy: dict[tuple[str, ...], float] = {(zone,): joules for zone, joules in energy_joules()}
        for spec in TABLE:
            name, help_text = PREFIX + spec.name, spec.help
            if spec.name == "energy_joules_total":
                if energy:
                    yield _counter(name, help_text, spec.labels, energy)
            elif spec.kind == "gauge":
                gauge = GaugeMetricFamily(name, help_text, labels=spec.labels)
                for labels, value in gauges.get(spec.name, ()):
                    gauge.add_metric(labels, value)
                yield gauge
            elif spec.kind == "counter":
                with self._lock:
                    counts = dict(self._counters[spec.name])
                yield _counter(name, help_text, spec.labels, counts)
            else:
                yield self._histogram(name, spec)

    def _histogram(self, name: str, spec: Spec) -> Metric:
        family = HistogramMetricFamily(name, spec.help, labels=spec.labels)
        with self._lock:
            histograms = self._histograms[spec.name].items()
            series = {labels: (list(one.counts), one.sum, dict(one.exemplars)) for labels, one in histograms}
        bounds = [*(_bound(edge) for edge in self._buckets[spec.name]), "+Inf"]
        for labels, (counts, total, exemplars) in series.items():
            below = 0
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            for place, (bound, count) in enumerate(zip(bounds, counts, strict=True)):
                below += count
                exemplar = exemplars.get(place)
                buckets.append((bound, float(below)) if exemplar is None else (bound, float(below), exemplar))
            family.add_metric(labels, buckets, total)
        return family

    def _gauges(self) -> dict[str, list[tuple[tuple[str, ...], float]]]:
        gauges: dict[str, list[tuple[tuple[str, ...], float]]] = {"build_info": [((self._version,), 1.0)]}
        gauges |= {name: [((), value)] for name, value in self._kept().items()}
        for model in tuple(self._models()):  # they may come and go meanwhile
            requests, rows, tokens = model.batcher.waiting
            values = {
                "num_requests_running": model.batcher.running,
                "num_requests_waiting": requests,
                "queue_rows": rows,
                "queue_tokens": tokens,
                "models_loaded": model.engine.state == "ready",
                "model_memory_bytes": resident_bytes(model.engine.pid),
            }
            for name, value in values.items():
                gauges.setdefault(name, []).append(((model.id,), float(value)))
            if (blocks := model.engine.cache_blocks) is not None:
                gauges.setdefault("kv_cache_usage_perc", []).append(((model.id,), model.engine.cache_usage))
                gauges.setdefault("cache_config_info", []).append(((model.id, *map(str, blocks)), 1.0))
            for state in get_args(State):
                is_in = float(model.engine.state == state)
                gauges.setdefault("model_state", []).append(((model.id, state), is_in))
        return gauges


@dataclass(frozen=True, slots=True)
class ModelMetrics:
    """Counts the events of one model: the ``Observer`` of its batcher and the ``Watcher`` of its engine."""

    metrics: Metrics
    model: str

    def batch(self, rows: int, tokens: int, padding_ratio: float) -> None:
        """A batch begins."""
        self.metrics.observe("batch_rows", rows, self.model)
        self.metrics.observe("batch_tokens", tokens, self.model)
        self.metrics.observe("batch_padding_ratio", padding_ratio, self.model)

    def loaded(self, seconds: float) -> None:
        """An engine process has loaded the model."""
        self.metrics.observe("model_load_seconds", seconds, self.model)

    def restarted(self) -> None:
        """A dead engine process has been replaced."""
        self.metrics.count("engine_restarts_total", 1, self.model)


def _counter(name: str, help_text: str, labels: Sequence[str], counts: dict[tuple[str, ...], float]) -> Metric:
    family = CounterMetricFamily(name.removesuffix("_total"), help_text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _bound(edge: float) -> str:
    return repr(float(edge))


OURS, THEIRS = "hearth_", "vllm:"
SHARED = frozenset(
    {
        "num_requests_running",
        "num_requests_waiting",
        "kv_cache_usage_perc",
        "cache_config_info",
        "prefix_cache_queries",
        "prefix_cache_hits",
        "prompt_tokens",
        "generation_tokens",
        "request_success",
        "e2e_request_latency_seconds",
        "request_queue_time_seconds",
        "request_inference_time_seconds",
        "request_prefill_time_seconds",
        "request_decode_time_seconds",
        "time_to_first_token_seconds",
        "inter_token_latency_seconds",
        "request_prompt_tokens",
        "request_generation_tokens",
    }
)
"""Families that vLLM has too, with the same meaning and labels but for an endpoint."""


class VllmNames(Collector):
    """Exports another collector's families once more."""

    def __init__(self, ours: Collector) -> None:
        self._ours = ours

    def describe(self) -> Iterable[Metric]:
        """Return no names at registration: the table above has them."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Rename and add up."""
        for family in self._ours.collect():
            if family.name.removeprefix(OURS) not in SHARED:
                continue
            renamed = Metric(family.name.replace(OURS, THEIRS, 1), family.documentation, family.type)
            sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
            for sample in family.samples:
                labels = {"model_name": sample.labels["model"], "engine": "0"} | sample.labels
                for own in ("model", "endpoint"):
                    labels.pop(own, None)
                key = (sample.name.replace(OURS, THEIRS, 1), tuple(labels.items()))
                sums[key] = sums.get(key, 0.0) + sample.value
            renamed.samples = [Sample(name, dict(labels), value) for (name, labels), value in sums.items()]
            yield renamed
