"""The alert rules, checked and tested by Prometheus' own tool."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"


def run(promtool: str, *arguments: str) -> None:
    done = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_prometheus_accepts_the_configuration_and_the_rules(promtool: str) -> None:
    run(promtool, "check", "config", "prometheus.yml")


def test_each_alert_fires_on_its_trouble_and_only_then(promtool: str) -> None:
    run(promtool, "test", "rules", "alerts_test.yml")


def test_each_alert_is_seen_to_fire_and_to_stay_silent() -> None:
    fires, silent = set(), set()
    for case in yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]:
        for check in case["alert_rule_test"]:
            (fires if check["exp_alerts"] else silent).add(check["alertname"])
    assert fires == silent == {rule["alert"] for rule in rules()}


def test_each_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"}), rule
        assert set(rule["annotations"]) == {"summary", "description"}, rule
