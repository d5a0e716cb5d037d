"""vLLM's names beside ours, for gateways and dashboards that know no others: the same values under ``vllm:``.

Its labels are ``model_name`` and ``engine``; where ours tell endpoints apart, the series are added up.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

OURS, THEIRS = "hearth_", "vllm:"
SHARED = frozenset(
    {
        "num_requests_running",
        "num_requests_waiting",
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
        """Name nothing at registration: the names are in the table above."""
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
