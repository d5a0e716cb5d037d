"""The files that an operator copies: the things that they name exist, and no port is published beyond the machine."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.metrics import TABLE
from server.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/hearth.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_ports_are_published_on_loopback_only(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"][service]["ports"])


@pytest.mark.parametrize("service", ["prometheus", "grafana"])
def test_every_mounted_file_exists_and_is_read_only(service: str) -> None:
    mounts = [mount for mount in COMPOSE["services"][service]["volumes"] if mount.startswith("./")]
    assert mounts
    for mount in mounts:
        source, _, mode = mount.split(":")
        assert (ROOT / source).is_dir()
        assert mode == "ro"


def test_prometheus_scrapes_the_server_of_the_composition() -> None:
    [scrape] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["hearth:8000"]}]
    assert "hearth" in COMPOSE["services"]


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    [source] = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    [provider] = yaml.safe_load((provisioning / "dashboards/hearth.yaml").read_text())["providers"]
    mounts = [mount.split(":")[1] for mount in COMPOSE["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounts
    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}


def copied_into_the_image() -> list[str]:
    text = (ROOT / "Dockerfile").read_text()
    lines: list[str] = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    return [source for line in lines for source in line.split()]


@pytest.mark.parametrize("source", copied_into_the_image())
def test_what_the_image_copies_exists_and_reaches_the_build(source: str) -> None:
    assert list(ROOT.glob(source))
    named = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{source}", f"!{source.split('/')[0]}"} & set(named)


def test_the_image_runs_as_an_ordinary_user() -> None:
    final_stage = (ROOT / "Dockerfile").read_text().split("\nFROM ")[-1]
    assert re.search(r"^USER [1-9]\d+$", final_stage, re.MULTILINE)
    assert "HEALTHCHECK" in final_stage


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_has_queries_a_unit_and_legends(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    assert panel["description"]
    for target in panel["targets"]:
        assert target["expr"].count("(") == target["expr"].count(")")
    if panel["type"] == "timeseries":
        assert all(target["legendFormat"] for target in panel["targets"])
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_panels_have_their_own_ids_and_places() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


def named_metrics(text: str) -> set[str]:
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bhearth_(\w+)", text)}


def test_panels_and_alerts_name_only_metrics_that_the_server_has() -> None:
    expressions = [target["expr"] for panel in PANELS for target in panel["targets"]]
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    expressions += [alert["expr"] for alert in alerts]
    assert named_metrics("\n".join(expressions)) <= {spec.name for spec in TABLE}


def test_every_metric_of_the_server_has_a_place_on_the_dashboard() -> None:
    shown = named_metrics("\n".join(target["expr"] for panel in PANELS for target in panel["targets"]))
    only_on_some_machines = {"energy_joules_total"}
    assert {spec.name for spec in TABLE} - shown == only_on_some_machines


@pytest.mark.parametrize("name", re.findall(r"HEARTH_(\w+)=", (ROOT / "Dockerfile").read_text()))
def test_the_image_sets_only_settings_that_there_are(name: str) -> None:
    assert name.lower() in Settings.model_fields


def test_a_stopping_container_is_given_the_time_to_drain() -> None:
    grace = COMPOSE["services"]["hearth"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > Settings().drain_notice_s + Settings().drain_s
