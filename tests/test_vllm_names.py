"""vLLM's names: the same numbers as ours, under the labels its dashboards know."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.metrics import SHARED
from tests.api import conftest as api

pytestmark = pytest.mark.anyio

serving = api.serving
shipped = api.shipped


async def scraped(served: Any) -> dict[str, Any]:
    text = (await served.http.get("/metrics")).text
    return {family.name: family for family in text_string_to_metric_families(text)}


async def test_vllms_names_are_there_only_when_asked_for(serving: Any) -> None:
    async with serving() as served:
        assert not any(name.startswith("vllm:") for name in await scraped(served))
    async with serving(vllm_metrics=True) as served:
        families = await scraped(served)
        assert {name.removeprefix("vllm:") for name in families if name.startswith("vllm:")} == SHARED
        assert {f"hearth_{name}" for name in SHARED} <= families.keys()


async def test_their_values_are_ours_over_all_endpoints(serving: Any) -> None:
    async with serving(vllm_metrics=True) as served:
        await served.post("/v1/completions", prompt="a")
        await served.post("/v1/chat/completions", model="assistant", messages=[{"role": "user", "content": "a"}])
        families = await scraped(served)
    for name in SHARED:
        ours, theirs = (families[prefix + name].samples for prefix in ("hearth_", "vllm:"))
        assert {sample.labels.pop("engine") for sample in theirs} == {"0"}
        assert sum(sample.value for sample in ours) == pytest.approx(sum(sample.value for sample in theirs))
    latency = families["vllm:e2e_request_latency_seconds"].samples
    counts = [s for s in latency if s.name.endswith("_count") and s.labels == {"model_name": "assistant"}]
    assert [sample.value for sample in counts] == [2.0]
    bounds = [float(s.labels["le"]) for s in latency if s.labels.get("model_name") == "assistant" and "le" in s.labels]
    assert bounds == sorted(set(bounds))
