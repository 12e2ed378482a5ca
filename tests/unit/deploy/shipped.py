"""What is shipped for Prometheus and Grafana, as the tests of it read it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Info

from deploy.grafana.boards import BOARDS

ROOT = Path(__file__).resolve().parents[3]
PROMETHEUS = ROOT / "deploy/prometheus"
# What Prometheus itself and the client library say of a process, of those that are used here.
OF_ANY_PROCESS = {
    "up": set[str](),
    "ALERTS": {"alertname", "alertstate", "severity"},
    "process_cpu_seconds_total": set[str](),
    "process_resident_memory_bytes": set[str](),
    "process_open_fds": set[str](),
    "process_max_fds": set[str](),
}
OF_ANY_SERIES = {"job", "instance"}


RUNBOOKS = ROOT / "docs/runbooks"


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric that a query asks for, with the labels that it looks at."""

    metric: str
    labels: frozenset[str]
    text: str


def rules() -> Iterator[Mapping[str, Any]]:
    """Every recording and alerting rule."""
    for file in sorted((PROMETHEUS / "rules").glob("*.yaml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def alerts() -> list[Mapping[str, Any]]:
    """The alerting ones."""
    return [rule for rule in rules() if "alert" in rule]


def queries() -> Iterator[tuple[str, str]]:
    """Where each query stands, and its PromQL."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for board in BOARDS:
        for panel in board.panels:
            for query in panel.queries:
                yield f"{board.title}: {panel.title}", query.expr.replace("$__rate_interval", "5m")


def runbook_queries() -> Iterator[tuple[str, str]]:
    """The page, and each query that it asks Prometheus."""
    for page in sorted(RUNBOOKS.glob("*.md")):
        for block in re.findall(r"```promql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            yield from ((page.name, query) for query in block.strip().split("\n\n"))


def selectors(expr: str) -> list[Selector]:
    """The metrics that PromQL asks for, without offsets and ranges."""
    found: list[Selector] = []

    def note(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            matchers = node.matchers.matchers
            told = ",".join(map(str, matchers))
            found.append(Selector(node.name or "", frozenset(one.name for one in matchers), f"{node.name}{{{told}}}"))

    promql.walk(promql.parse(expr), note)
    return found


def groupings(expr: str) -> set[str]:
    """The labels by which PromQL sums and counts."""
    found: set[str] = set()

    def note(node: promql.Expr) -> None:
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            found.update(node.modifier.labels)

    promql.walk(promql.parse(expr), note)
    return found


def recorded() -> dict[str, set[str]]:
    """What rules record, with its labels: those that a rule sums by or gives it, and those of what it was made of."""
    found: dict[str, set[str]] = {}
    for rule in rules():
        if "record" in rule:
            made_of = [found[one.metric] for one in selectors(rule["expr"]) if one.metric in found]
            found.setdefault(rule["record"], set()).update(groupings(rule["expr"]), rule.get("labels", {}), *made_of)
    return found


def metrics() -> dict[str, set[str]]:
    """Every metric that the code counts, as Prometheus knows it, with its labels."""
    for file in sorted((ROOT / "services").rglob("*.py")):
        if "prometheus_client" in file.read_text(encoding="utf-8"):
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    found: dict[str, set[str]] = {}
    for collector in REGISTRY._collector_to_names:
        match collector:
            case Counter():
                suffixes: dict[str, set[str]] = {"_total": set()}
            case Histogram():
                suffixes = {"_bucket": {"le"}, "_sum": set(), "_count": set()}
            case Info():
                suffixes = {"_info": {"id", "name"}}
            case Gauge():
                suffixes = {"": set()}
            case _:
                continue
        for suffix, more in suffixes.items():
            found[collector._name + suffix] = {*collector._labelnames, *more}
    return found
