"""Two nodes of Ray serve Hearth on this machine: what a client sees is what one server shows, and more."""

import concurrent.futures
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

ray = pytest.importorskip("ray")

from openai import OpenAI  # noqa: E402
from ray import serve  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

from deploy.ray.app import build  # noqa: E402
from tests.server_process import Served, serving  # noqa: E402

MODELS = "assistant,sentiment,embed"
SHIPPED = Path(__file__).parents[2] / "models/weights"
ASK = [{"role": "user", "content": "Hello, who are you?"}]
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": "assistant", "messages": ASK, "temperature": 0, "max_tokens": 24}),
    ("/v1/sentiment", {"input": ["I love it.", "It broke twice."]}),
    ("/v1/embeddings", {"model": "embed", "input": "A harbour"}),
    ("/api/chat", {"model": "assistant", "messages": ASK, "stream": False, "options": {"temperature": 0}}),
]
VARYING = {"id", "created", "created_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a second node, each with two cores as Ray counts them."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "HEARTH_MODELS_DIR": str(SHIPPED), "RAY_SERVE_LOG_TO_STDERR": "0"}
    small = {"num_cpus": 2, "object_store_memory": 100_000_000}
    made = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    made.add_node(**small)
    ray.init(address=made.address, log_to_driver=False, configure_logging=False)
    yield made
    serve.shutdown()
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def url(cluster: Any) -> str:
    """The address of Ray's proxy, with two replicas behind it."""
    port = 8713
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    arguments = {"models": MODELS, "cores": "1", "min_replicas": "2", "max_replicas": "3", "session_affinity": "true"}
    quick = {"upscale_delay_s": "0.5", "downscale_delay_s": "2", "target_requests": "2", "drain_s": "30"}
    serve.run(build(arguments | quick), name="hearth", route_prefix="/")
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def alone() -> Iterator[Served]:
    """One server, for comparison."""
    with serving("--models", MODELS, models_dir=SHIPPED) as served:
        yield served


def until(is_so: Callable[[], bool], limit_s: float = 90.0) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)  # what is watched is in other processes


def replicas() -> int:
    deployments = serve.status().applications["hearth"].deployments
    return sum(deployments["hearth"].replica_states.get(state, 0) for state in ("RUNNING",))


def steady(answer: Any) -> Any:
    """An answer without what differs from call to call."""
    if isinstance(answer, dict):
        return {key: steady(value) for key, value in answer.items() if key not in VARYING}
    return [steady(each) for each in answer] if isinstance(answer, list) else answer


def pid_of_a_replica() -> int:
    """The process of a replica, by the name that Ray gives it."""
    named = ((each.pid, " ".join(each.info["cmdline"] or ())) for each in psutil.process_iter(["cmdline"]))
    return next(pid for pid, name in named if name.startswith("ray::ServeReplica:hearth"))


@pytest.mark.parametrize(("route", "body"), REQUESTS)
def test_answers_are_those_of_one_server(url: str, alone: Served, route: str, body: dict[str, Any]) -> None:
    found = httpx.post(url + route, json=body, timeout=60)
    wanted = httpx.post(alone.url + route, json=body, timeout=60)
    assert found.status_code == wanted.status_code == 200
    assert steady(found.json()) == steady(wanted.json())
    assert len(found.headers.get_list("x-request-id")) == 1


def test_a_stream_streams(url: str) -> None:
    body = {**REQUESTS[0][1], "stream": True}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
        pieces = [piece.decode() for piece in response.iter_raw()]
    assert len(pieces) > 3, "it comes in pieces"
    *events, last = [line[6:] for line in "".join(pieces).splitlines() if line.startswith("data: ")]
    said = "".join(choice["delta"].get("content") or "" for each in events for choice in json.loads(each)["choices"])
    whole = httpx.post(f"{url}/v1/chat/completions", json=REQUESTS[0][1], timeout=60).json()
    assert last == "[DONE]"
    assert said == whole["choices"][0]["message"]["content"]


def test_errors_keep_their_status_shape_and_headers(url: str, alone: Served) -> None:
    for route, body in [
        ("/v1/chat/completions", {"model": "nothing", "messages": ASK}),
        ("/v1/chat/completions", {"model": "assistant", "messages": []}),
        ("/v1/nothing", {}),
        ("/api/chat", {"model": "nothing", "messages": ASK}),
    ]:
        found = httpx.post(url + route, json=body, timeout=60)
        wanted = httpx.post(alone.url + route, json=body, timeout=60)
        assert (found.status_code, found.json()) == (wanted.status_code, wanted.json())
        assert found.headers["content-type"] == wanted.headers["content-type"]


def test_metrics_are_those_of_all_replicas(url: str) -> None:
    for session in range(12):
        httpx.post(f"{url}/v1/sentiment", json={"input": "fine"}, headers={"x-session-id": f"s{session}"}, timeout=60)

    def seen() -> set[str]:
        text = httpx.get(f"{url}/metrics", timeout=60).text
        lines = [each for each in text.splitlines() if each.startswith("hearth_http_requests_total{")]
        return {each.partition('replica="')[2].partition('"')[0] for each in lines if "/v1/sentiment" in each}

    until(lambda: len(seen()) >= 2)


def test_a_session_stays_on_one_replica(url: str) -> None:
    def hits() -> float:
        text = httpx.get(f"{url}/metrics", timeout=60).text
        lines = [each for each in text.splitlines() if each.startswith("hearth_prefix_cache_hits_total{")]
        return sum(float(each.rpartition(" ")[2]) for each in lines)

    long = {**REQUESTS[0][1], "messages": [{"role": "user", "content": "Tell me about the harbour of the town. " * 20}]}
    before = hits()
    for _ in range(6):
        httpx.post(f"{url}/v1/chat/completions", json=long, headers={"x-session-id": "anna"}, timeout=60)
    tokens = httpx.post(f"{url}/v1/chat/completions", json=long, timeout=60).json()["usage"]["prompt_tokens"]
    until(lambda: hits() - before >= 4 * (tokens // 2))


def test_a_killed_replica_costs_a_client_no_answer(url: str) -> None:
    client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=4, timeout=60)

    def ask(number: int) -> str:
        made = client.chat.completions.create(
            model="assistant", messages=[{"role": "user", "content": f"Hello {number}"}], temperature=0, max_tokens=16
        )
        return made.choices[0].message.content or ""

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(ask, i) for i in range(60)]
        until(lambda: sum(each.done() for each in asked) > 10)
        os.kill(pid_of_a_replica(), signal.SIGKILL)
        assert all(each.result() is not None for each in asked)
    until(lambda: replicas() >= 2)


def test_scaling_up_and_down_under_load_loses_nothing(url: str) -> None:
    stop = False

    def ask(number: int) -> list[int]:
        statuses = []
        while not stop:
            body = {**REQUESTS[0][1], "messages": [{"role": "user", "content": f"Hello {number}"}], "max_tokens": 64}
            statuses.append(httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).status_code)
        return statuses

    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        busy = [pool.submit(ask, i) for i in range(8)]
        until(lambda: replicas() == 3)
        stop = True
        statuses = [each for one in busy for each in one.result()]
        stop = False
        few = pool.submit(ask, 0)
        until(lambda: replicas() == 2)
        stop = True
        statuses += few.result()
    assert set(statuses) == {200}
