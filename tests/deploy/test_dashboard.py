"""Every panel and every alert, against a real Prometheus that scrapes a real server under a little of everything."""

import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server_process import Served

DEPLOY = Path(__file__).parents[2] / "deploy"
SETTLED_S = 30.0  # a rate needs two scrapes, half a second apart; the rest is room for a busy machine
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$model": ".*"}

SENTIMENT = {"model": "sentiment", "input": ["I love it.", "It broke after two days and nobody answers."]}
TRANSLATION = {"model": "translate", "input": "Where is the station?", "source": "en", "target": "de"}
CHAT = {"model": "assistant", "messages": [{"role": "user", "content": "I need a table for two."}], "max_tokens": 16}
LONG_TRANSLATION = {**TRANSLATION, "input": "We have a long way to go. " * 40}


def panels() -> list[dict[str, Any]]:
    panels = json.loads((DEPLOY / "grafana/dashboards/hearth.json").read_text())["panels"]
    return [panel for panel in panels if panel["type"] != "row"]


def filled_in(expression: str) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def a_little_of_everything(served: Served) -> None:
    """Answers of every kind, an error, a refusal, and a client that leaves."""
    requests = [
        ("/v1/sentiment", SENTIMENT),
        ("/v1/sentiment", {**SENTIMENT, "mood": "any"}),
        ("/v1/translations", TRANSLATION),
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
    ] * 6
    with served.client() as client, ThreadPoolExecutor(8) as threads:

        def status(request: tuple[str, dict[str, Any]]) -> int:
            return client.post(request[0], json=request[1]).status_code

        assert list(threads.map(status, requests)) == [200] * len(requests)
        assert status(("/v1/sentiment", {**SENTIMENT, "input": ["One text more than fits."] * 65})) in {413, 429}
        assert status(("/v1/chat/completions", {**CHAT, "max_tokens": 0})) == 400
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/translations", json=LONG_TRANSLATION, timeout=httpx.Timeout(60, read=0.02))


@pytest.fixture(scope="module")
def under_load(served: Served, prometheus: Any) -> Any:
    """Prometheus, having seen every series begin and then grow: only of those there are rates and means."""
    end_s = time.monotonic() + SETTLED_S
    begun = ("hearth_e2e_request_latency_seconds_count", "hearth_client_disconnected_total")
    while not all(prometheus.values(metric) for metric in begun):
        assert time.monotonic() < end_s, scraped(served)
        a_little_of_everything(served)
    a_little_of_everything(served)
    return prometheus


def scraped(served: Served) -> str:
    with served.client() as client:
        return client.get("/metrics").text


def test_what_a_scrape_reads_is_well_formed(promtool: str, served: Served, under_load: Any) -> None:
    checked = subprocess.run([promtool, "check", "metrics"], input=scraped(served), capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_query_of_every_panel_returns_data(under_load: Any) -> None:
    empty = {f"{panel['title']}: {target['expr']}" for panel in panels() for target in panel["targets"]}
    end_s = time.monotonic() + SETTLED_S
    while empty and time.monotonic() < end_s:
        empty = {query for query in empty if not under_load.values(filled_in(query.split(": ", 1)[1]))}
    assert empty == set()


def test_every_variable_of_the_dashboard_has_values(under_load: Any) -> None:
    for variable in json.loads((DEPLOY / "grafana/dashboards/hearth.json").read_text())["templating"]["list"]:
        metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
        assert under_load.get(f"label/{label}/values", **{"match[]": metric})


def test_every_alert_evaluates_on_metrics_that_are_there(under_load: Any) -> None:
    end_s = time.monotonic() + SETTLED_S
    while True:
        rules = [rule for group in under_load.get("rules")["groups"] for rule in group["rules"]]
        if all(rule["health"] == "ok" for rule in rules) or time.monotonic() > end_s:
            break
    assert {rule["name"]: rule["health"] for rule in rules} == {rule["name"]: "ok" for rule in rules}
    for rule in rules:
        for metric in set(re.findall(r"hearth_\w+|\bup\b", rule["query"])):
            assert under_load.values(f"count({metric})"), f"{rule['name']} reads {metric}, which nobody has"


def test_a_server_that_is_well_raises_no_alert(under_load: Any) -> None:
    firing = [
        alert["labels"]["alertname"] for alert in under_load.get("alerts")["alerts"] if alert["state"] == "firing"
    ]
    assert firing == []
