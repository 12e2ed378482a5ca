"""What is generated from deploy/prometheus and deploy/grafana is current; scaling asks for metrics that there are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml
from prometheus_client import REGISTRY

import services.core.telemetry  # noqa: F401 - declares the metrics
from services.core.config import ROOMS
from tests.unit.deploy.rendering import DEPLOY, K8S, Thing, of_kind
from tests.unit.deploy.test_schemas import check

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


def test_a_rule_and_a_dashboard_become_objects_that_operators_know(tmp_path: Path) -> None:
    for path, text in (
        ("k8s/make_monitoring.py", (K8S / "make_monitoring.py").read_text(encoding="utf-8")),
        ("prometheus/rules/house.yaml", "groups: [{name: house, rules: [{alert: Down, expr: up == 0, for: 2m}]}]"),
        ("grafana/dashboards/model_health.json", '{"title": "Models — health", "panels": []}'),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")

    subprocess.run([sys.executable, str(tmp_path / "k8s" / "make_monitoring.py")], check=True)

    made = tmp_path / "k8s" / "components" / "monitoring" / "generated"
    (rule,) = yaml.safe_load_all((made / "rules.yaml").read_text(encoding="utf-8"))
    (board,) = yaml.safe_load_all((made / "dashboards.yaml").read_text(encoding="utf-8"))
    check(rule)
    check(board)
    assert rule["spec"]["groups"][0]["rules"][0]["expr"] == "up == 0"
    assert (board["metadata"]["name"], board["metadata"]["labels"]) == (
        "dashboard-model-health",
        {"grafana_dashboard": "1"},
    )
    assert json.loads(board["data"]["model_health.json"])["title"] == "Models — health"
