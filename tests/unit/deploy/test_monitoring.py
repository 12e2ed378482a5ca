"""What is generated from deploy/prometheus and deploy/grafana is current; scaling asks for metrics that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from prometheus_client import REGISTRY

import services.core.telemetry  # noqa: F401 - declares the metrics
from services.core.config import ROOMS
from tests.unit.deploy.rendering import DEPLOY, K8S, Thing, of_kind

GENERATED = K8S / "components" / "monitoring" / "generated"


def test_generated_objects_are_current(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(K8S / "make_monitoring.py"), str(tmp_path)], check=True)
    for path in tmp_path.iterdir():
        assert path.read_text() == (GENERATED / path.name).read_text(), f"run {K8S.name}/make_monitoring.py and commit"


def test_every_rule_and_dashboard_is_in_the_cluster(rendered: dict[str, list[Thing]]) -> None:
    rules = {f"portcullis-{path.stem}" for path in (DEPLOY / "prometheus" / "rules").glob("*.yaml")}
    boards = {path.name for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")}
    assert set(of_kind(rendered["cpu"], "PrometheusRule")) == rules
    assert {key for each in of_kind(rendered["cpu"], "ConfigMap").values() for key in each["data"]} >= boards


def test_scaling_asks_for_metrics_and_jobs_that_there_are(rendered: dict[str, list[Thing]]) -> None:
    known = {sample.name for family in REGISTRY.collect() for sample in family.samples} | set(
        REGISTRY._names_to_collectors
    )
    asked = " ".join(
        trigger["metadata"]["query"]
        for each in of_kind(rendered["cpu"], "ScaledObject").values()
        for trigger in each["spec"]["triggers"]
    )
    named = set(re.findall(r"portcullis_\w+", asked))
    named |= {
        metric["pods"]["metric"]["name"]
        for each in of_kind(rendered["cpu"], "HorizontalPodAutoscaler").values()
        for metric in each["spec"]["metrics"]
        if "pods" in metric
    }
    assert named
    assert named <= known
    assert set(re.findall(r'job="(\w+)"', asked)) <= set(ROOMS)
