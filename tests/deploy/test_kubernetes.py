"""The files in deploy/kubernetes: valid by Kubernetes' schemas, true to the server, and their queries answered."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from server.api import ops
from server.settings import load_settings
from tests.deploy.conftest import Prometheus

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
VERSION = "1.33"
"""The oldest release that is maintained elsewhere; nothing here needs a newer one."""
CUSTOM = {"ScaledObject", "InferencePool"}
"""Kinds of KEDA and of the Gateway API, whose schemas are not among Kubernetes' own."""
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
COMPONENTS = sorted(path.name for path in (KUBERNETES / "components").iterdir())
MODELS = {path.parent.name for path in (ROOT / "models/weights").glob("*/model.toml")}


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def written() -> Iterator[dict[str, Any]]:
    """Every resource as it stands in its file."""
    for file in sorted(KUBERNETES.rglob("*.yaml")):
        for document in documents(file.read_text("utf-8")):
            if "apiVersion" in document and not document["apiVersion"].startswith("kustomize"):
                yield document


def rendered(overlay: str, components: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    """What `kubectl apply -k` would send for an overlay with these components, by kind and name."""
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("no kubectl, which renders overlays")
    shutil.copytree(KUBERNETES, folder, dirs_exist_ok=True)
    file = folder / "overlays" / overlay / "kustomization.yaml"
    wanted = yaml.safe_dump({"components": [f"../../components/{name}" for name in components]})
    file.write_text(file.read_text("utf-8") + (wanted if components else ""), "utf-8")
    done = subprocess.run([kubectl, "kustomize", file.parent], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in documents(done.stdout)}


def validate(resource: dict[str, Any]) -> None:
    if resource["kind"] not in CUSTOM:
        kubernetes_validate.validate(resource, VERSION, strict=True)


@pytest.mark.parametrize("resource", list(written()), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_each_file_holds_what_kubernetes_schemas_allow(resource: dict[str, Any]) -> None:
    validate(resource)


@pytest.mark.parametrize("components", [[], COMPONENTS], ids=["plain", "with-every-component"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay_is_whole(overlay: str, components: list[str], tmp_path: Path) -> None:
    resources = rendered(overlay, components, tmp_path)
    for resource in resources.values():
        validate(resource)
    name = f"hearth-{overlay}"
    deployment = resources[f"Deployment/{name}"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for kind, place in {"Service": "selector", "PodDisruptionBudget": "selector", "InferencePool": "selector"}.items():
        if kind == "InferencePool" and not components:
            continue
        selector = resources[f"{kind}/{name}"]["spec"][place]
        assert selector.get("matchLabels", selector) == deployment["spec"]["selector"]["matchLabels"]
    scaler = resources[f"ScaledObject/{name}" if components else f"HorizontalPodAutoscaler/{name}"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == name
    assert (f"HorizontalPodAutoscaler/{name}" in resources) == (not components)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_server_can_live_in_its_pod(overlay: str, tmp_path: Path) -> None:
    resources = rendered(overlay, ["gateway"], tmp_path)
    pod = resources[f"Deployment/hearth-{overlay}"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    image = dict(re.findall(r"(HEARTH_\w+)=(\S+)", (ROOT / "Dockerfile").read_text("utf-8")))
    warned: list[str] = []
    own = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    settings = load_settings({}, image | own, warn=warned.append)
    assert not warned
    assert set(settings.models) <= MODELS
    assert settings.vllm_metrics
    assert pod["terminationGracePeriodSeconds"] > settings.drain_notice_s + settings.drain_s
    readiness = container["readinessProbe"]
    seen_after_s = readiness["periodSeconds"] * readiness["failureThreshold"] + readiness["timeoutSeconds"]
    assert settings.drain_notice_s > seen_after_s
    [port] = container["ports"]
    assert port["containerPort"] == settings.port
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["port"] for probe in probes} == {port["name"]}
    assert {probe["path"] for probe in probes} <= {route.path for route in ops.router.routes}  # type: ignore[attr-defined]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["resources"]["limits"] == container["resources"]["requests"]


def queries() -> list[str]:
    """Every expression of PromQL in the files, the adapter's with its templates filled in."""
    adapter = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text("utf-8"))
    [rule] = adapter["rules"]["custom"]
    filled = rule["metricsQuery"].replace("<<.GroupBy>>", "instance").replace("<<.LabelMatchers>>", 'job="hearth"')
    scaled = yaml.safe_load((KUBERNETES / "components/keda/scaledobject.yaml").read_text("utf-8"))
    return [filled, *(trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"])]


def test_every_query_is_answered_by_a_real_prometheus(under_load: Prometheus) -> None:
    assert len(queries()) == 3
    for query in queries():
        assert under_load.values(query), query


def test_the_share_of_time_in_the_queue_is_one(under_load: Prometheus) -> None:
    shares = under_load.values("hearth:request_queue_time:ratio")
    assert shares
    assert all(0 <= share <= 1 for share in shares)
