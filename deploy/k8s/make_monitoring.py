"""`python deploy/k8s/make_monitoring.py [FOLDER]`: rules and dashboards as Kubernetes objects.

Kustomize reads no file outside its own folder, so deploy/prometheus and deploy/grafana are copied here, wrapped.
Written to components/monitoring/generated unless a FOLDER is named.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[1]
GENERATED = DEPLOY / "k8s" / "components" / "monitoring" / "generated"
HEAD = "# Written by deploy/k8s/make_monitoring.py; change what it reads, then run it.\n"


def rules() -> Iterator[dict[str, Any]]:
    """One PrometheusRule for each file of deploy/prometheus/rules."""
    for path in sorted((DEPLOY / "prometheus" / "rules").glob("*.yaml")):
        yield {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": f"portcullis-{path.stem}"},
            "spec": yaml.safe_load(path.read_text(encoding="utf-8")),
        }


def dashboards() -> Iterator[dict[str, Any]]:
    """One ConfigMap for each file of deploy/grafana/dashboards, as Grafana's sidecar looks for them."""
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        board = json.dumps(json.loads(path.read_text(encoding="utf-8")), separators=(",", ":"), ensure_ascii=False)
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"dashboard-{path.stem.replace('_', '-')}", "labels": {"grafana_dashboard": "1"}},
            "data": {path.name: board},
        }


def main(folder: Path) -> None:
    """Writes `rules.yaml` and `dashboards.yaml` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, objects in {"rules": rules(), "dashboards": dashboards()}.items():
        text = yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True, width=120)
        (folder / f"{name}.yaml").write_text(HEAD + text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else GENERATED)
