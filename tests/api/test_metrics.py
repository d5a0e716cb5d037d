"""Metrics: the server exports all, the page documents all, and each counts what its name says."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from server.metrics import PREFIX, TABLE, Metrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
EVERYWHERE = [spec for spec in TABLE if spec.name != "energy_joules_total"]


@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.name)
def test_each_metric_is_documented_with_its_type_and_labels(spec: Any) -> None:
    labels = ", ".join(f"`{label}`" for label in spec.labels)
    assert f"| `{PREFIX}{spec.name}` | {spec.kind} | {labels} |" in DOCUMENT.read_text("utf-8")


def test_nothing_is_documented_that_is_not_there() -> None:
    named = set(re.findall(rf"^\| `{PREFIX}(\w+)`", DOCUMENT.read_text("utf-8"), re.MULTILINE))
    assert named == {spec.name for spec in TABLE}


@pytest.mark.parametrize(("accept", "parse"), [("", prometheus), (OPENMETRICS, openmetrics)])
def test_every_metric_has_its_help_and_type_before_it_has_a_value(accept: str, parse: Any) -> None:
    text, content_type = Metrics("1").scrape(accept)
    assert ("openmetrics" in content_type) is bool(accept)
    families = {family.name: family for family in parse(text.decode())}
    for spec in EVERYWHERE:
        name = PREFIX + (spec.name.removesuffix("_total") if spec.kind == "counter" else spec.name)
        assert families[name].type == spec.kind
        assert families[name].documentation


def test_a_models_series_begin_at_zero() -> None:
    metrics = Metrics()
    metrics.of("m")
    text = metrics.scrape()[0].decode()
    assert 'hearth_prompt_tokens_total{model="m"} 0.0' in text
    assert 'hearth_batch_rows_count{model="m"} 0.0' in text


def test_histograms_count_into_their_buckets() -> None:
    metrics = Metrics(latency_buckets_s=(0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 5.0):
        metrics.observe("time_to_first_token_seconds", seconds, "m")
    metrics.observe("time_to_first_token_seconds", 0.2, "m", times=3)
    text = metrics.scrape()[0].decode()
    for bound, count in (("0.1", 2), ("1.0", 6), ("+Inf", 7)):
        assert f'hearth_time_to_first_token_seconds_bucket{{le="{bound}",model="m"}} {count}.0' in text
    assert metrics.value("time_to_first_token_seconds", "m") == 7
    assert 'hearth_time_to_first_token_seconds_sum{model="m"} 6.25' in text


def test_the_memory_of_an_engine_process_is_read_when_scraped() -> None:
    class Engine:
        state, pid = "ready", os.getpid()
        cache_usage, cache_blocks = 0.25, (16, 400)

    class Line:
        waiting, running = (1, 2, 3), 4

    class Model:
        id, engine, batcher = "m", Engine(), Line()

    metrics = Metrics()
    metrics.watch(lambda: [Model()])
    text = metrics.scrape()[0].decode()
    assert float(re.findall(r'hearth_model_memory_bytes\{model="m"\} (\S+)', text)[0]) > 1_000_000
    for name, value in {
        "models_loaded": 1, "num_requests_waiting": 1, "queue_rows": 2, "queue_tokens": 3, "num_requests_running": 4,
    }.items():  # fmt: skip
        assert f'hearth_{name}{{model="m"}} {value}.0' in text
    assert 'hearth_kv_cache_usage_perc{model="m"} 0.25' in text
    assert 'hearth_cache_config_info{block_size="16",model="m",num_gpu_blocks="400"} 1.0' in text
    Engine.state, Engine.pid = "failed", 2**30
    text = metrics.scrape()[0].decode()
    assert 'hearth_models_loaded{model="m"} 0.0' in text
    assert 'hearth_model_memory_bytes{model="m"} 0.0' in text


def test_what_a_supervisor_and_a_batcher_tell_is_counted() -> None:
    metrics = Metrics()
    view = metrics.of("m")
    view.batch(8, 100, 0.25)
    view.loaded(1.5)
    view.restarted()
    for name in ("batch_rows", "batch_tokens", "batch_padding_ratio", "model_load_seconds", "engine_restarts_total"):
        assert metrics.value(name, "m") == 1


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}),
    ("/v1/completions", {"prompt": ["a", "b"], "n": 2}),
    ("/v1/embeddings", {"input": ["a", "b"]}),
    ("/v1/sentiment", {"input": ["a", "b"]}),
    ("/v1/translations", {"input": ["Hello you."], "source": "en", "target": "de"}),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "body"), REQUESTS, ids=[path for path, _ in REQUESTS])
async def test_token_counters_equal_the_sum_of_usage(served: Any, path: str, body: dict[str, Any]) -> None:
    prompt = made = 0
    for _ in range(3):
        answer = (await served.post(path, **body)).json()
        prompt += answer["usage"]["prompt_tokens"]
        made += answer["usage"].get("completion_tokens", 0)
    model = answer["model"]
    value = served.metrics.value
    assert value("prompt_tokens_total", model) == prompt > 0
    assert value("generation_tokens_total", model) == made
    assert value("request_prompt_tokens", model) == 3
    assert value("e2e_request_latency_seconds", model, path) == 3
    assert value("request_queue_time_seconds", model, path) == 3
    assert value("request_inference_time_seconds", model, path) == 3
    assert value("request_tokenization_seconds", model, path) == 3
    assert value("http_requests_total", path, "POST", "200") == 3
    assert value("batch_rows", model) >= 3
    text = (await served.http.get("/metrics")).text
    assert f'hearth_num_requests_running{{model="{model}"}} 0.0' in text
    assert f'hearth_num_requests_waiting{{model="{model}"}} 0.0' in text


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_generation_has_times_for_its_tokens(served: Any, stream: bool) -> None:
    body = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}], "stream": stream, "max_tokens": 5}
    await served.post("/v1/chat/completions", **body)
    value = served.metrics.value
    for name in ("time_to_first_token_seconds", "request_prefill_time_seconds", "request_decode_time_seconds"):
        assert value(name, "assistant") == 1
    assert value("inter_token_latency_seconds", "assistant") in (4, 5)
    assert value("request_success_total", "assistant", "length") == 1


@pytest.mark.anyio
async def test_each_choice_counts_by_why_it_ended(served: Any) -> None:
    await served.post("/v1/completions", prompt=["a", "b"], n=2, max_tokens=2)
    await served.post("/v1/completions", prompt="a")
    assert served.metrics.value("request_success_total", "assistant", "length") == 4
    assert served.metrics.value("request_success_total", "assistant", "stop") == 1


@pytest.mark.anyio
async def test_translated_characters_are_counted_by_direction(served: Any) -> None:
    await served.post("/v1/translations", input=["Hello you.", "Hi."], source="en", target="de")
    assert served.metrics.value("translated_characters_total", "en", "de") == len("Hello you.Hi.")


@pytest.mark.anyio
async def test_what_a_model_refuses_is_a_failure_by_code(served: Any) -> None:
    await served.post("/v1/sentiment", input="")
    assert served.metrics.value("request_failure_total", "sentiment", "invalid_value") == 1
    assert served.metrics.value("requests_rejected_total", "invalid_value") == 0
