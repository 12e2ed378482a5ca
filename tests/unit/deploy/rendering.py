"""What the overlays come to, rendered by the real kustomize, and how to find one's way in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Thing = Mapping[str, Any]
REPOSITORY = Path(__file__).resolve().parents[3]
DEPLOY = REPOSITORY / "deploy"
K8S = DEPLOY / "k8s"
# Secrets that are mounted whole, and what they hold at first.
WHOLE = {"keys-evidence": ("evidence.key", "evidence-sealed.pub"), "keys-provenance-watermark": ("watermark.key",)}
OVERLAYS = ("cpu", "gpu", "small")


def kubectl() -> str:
    """The pinned kubectl (tests/kubectl.py), else the machine's own; empty where there is none."""
    return shutil.which("kubectl", path=Path(sys.executable).parent) or shutil.which("kubectl") or ""


def render(program: str, folder: Path) -> list[Thing]:
    """The objects that a kustomization comes to; AssertionError with kustomize's words where it does not build."""
    done = subprocess.run([program, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # warnings of what is deprecated
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


def of_kind(things: list[Thing], *kinds: str) -> dict[str, Thing]:
    """Those of the kinds, by name."""
    return {thing["metadata"]["name"]: thing for thing in things if thing["kind"] in kinds}


def workloads(things: list[Thing]) -> dict[str, Thing]:
    """What makes pods of ours, by name."""
    return of_kind(things, "Deployment", "Job")


def pod(workload: Thing) -> Thing:
    """The specification of its pods."""
    spec: Thing = workload["spec"]["template"]["spec"]
    return spec


def labels(workload: Thing) -> Mapping[str, str]:
    """The labels of its pods."""
    found: Mapping[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def containers(workload: Thing) -> Iterator[Thing]:
    """Every container of its pods, those that run first among them."""
    spec = pod(workload)
    yield from (*spec.get("initContainers", ()), *spec["containers"])


def process(workload: Thing) -> Thing:
    """The container that is the process itself."""
    (found,) = (each for each in pod(workload)["containers"] if each["name"] == "process")
    return dict(found)


def ports(workload: Thing) -> dict[str, int]:
    """Its ports by name."""
    return {port["name"]: port["containerPort"] for port in process(workload).get("ports", ())}


def environment(things: list[Thing], workload: Thing) -> dict[str, str]:
    """What its process finds in its environment; what comes from Secrets as "(secret)"."""
    maps = of_kind(things, "ConfigMap")
    found: dict[str, str] = {}
    for container in containers(workload):
        for source in container.get("envFrom", ()):
            found |= maps[source["configMapRef"]["name"]]["data"]
        for variable in container.get("env", ()):
            found[variable["name"]] = variable.get("value", "(secret)")
    return found


def selects(selector: Mapping[str, Any] | None, found: Mapping[str, str]) -> bool:
    """Whether a selector of labels (matchLabels alone) fits."""
    assert not set(selector or {}) - {"matchLabels"}, selector
    return all(found.get(key) == value for key, value in ((selector or {}).get("matchLabels") or {}).items())
