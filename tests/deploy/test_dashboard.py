"""Every panel and every alert, against a real Prometheus that scrapes a real server under mixed load."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.deploy.conftest import SETTLED_S, scraped
from tests.server_process import Served

DEPLOY = Path(__file__).parents[2] / "deploy"
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$model": ".*"}


def panels() -> list[dict[str, Any]]:
    panels = json.loads((DEPLOY / "grafana/dashboards/hearth.json").read_text())["panels"]
    return [panel for panel in panels if panel["type"] != "row"]


def filled_in(expression: str) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


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
