"""Rules, dashboards, runbooks and metrics know each other."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from deploy.grafana.boards import BOARDS
from deploy.grafana.panels import to_json
from portcullis.cli import build
from tests.unit.deploy import shipped

SLOS = {rule["labels"]["slo"] for rule in shipped.rules() if rule.get("record") == "slo:budget:ratio"}
# Every label that a metric of ours may carry, and what bounds its values. Nothing that a user or a platform names.
LABELS = {
    "method": "the contract's methods; the console's GET and POST",
    "page": "the console's pages",
    "code": "gRPC's status codes",
    "reason": "words in the code",
    "stage": "four",
    "verdict": "three",
    "active": "three",
    "shadow": "three",
    "category": "the vocabulary of categories",
    "bin": "ten",
    "outcome": "words in the code",
    "proof": "two",
    "operation": "three",
    "mode": "shadow, enforce",
    "rule": "the rules on the unusual",
    "step": "words in the code",
    "queue": "the policy's queues",
    "kind": "words in the code",
    "resolution": "two",
    "due": "two",
    "source": "words in the code",
    "standing": "the ladder's steps",
    "limit": "the policy's limits",
    "task": "two",
    "done": "two",
    "state": "words in the code",
    "name": "models and policies that are loaded",
    "version": "models that are loaded",
    "digest": "models that are loaded",
    "id": "policies in force",
    "le": "buckets in the code",
}
# Shown nowhere: a histogram's sum where its percentiles are.
UNSHOWN = {"portcullis_call_seconds_sum", "portcullis_console_seconds_sum", "portcullis_console_seconds_count"}
UNSHOWN |= {"portcullis_review_seconds_sum", "portcullis_review_seconds_count"}


@pytest.fixture(scope="module")
def metrics() -> dict[str, set[str]]:
    return shipped.metrics()


def test_no_label_can_grow_without_bound(metrics: dict[str, set[str]]) -> None:
    carried = {label for labels in metrics.values() for label in labels}

    assert carried <= LABELS.keys()


def test_what_queries_ask_for_is_counted_or_recorded(metrics: dict[str, set[str]]) -> None:
    known = metrics | shipped.recorded() | shipped.OF_ANY_PROCESS
    strange = [
        f"{where}: {selector.text}"
        for where, query in shipped.queries()
        for selector in shipped.selectors(query)
        if selector.metric not in known or not selector.labels <= known[selector.metric] | shipped.OF_ANY_SERIES
    ]

    assert strange == []


def test_queries_sum_by_labels_that_are_there(metrics: dict[str, set[str]]) -> None:
    known = metrics | shipped.recorded() | shipped.OF_ANY_PROCESS
    strange = []
    for where, query in shipped.queries():
        labels = {label for selector in shipped.selectors(query) for label in known.get(selector.metric, ())}
        strange += [f"{where}: {label}" for label in shipped.groupings(query) - labels - shipped.OF_ANY_SERIES]

    assert strange == []


def test_what_is_counted_is_shown_or_watched(metrics: dict[str, set[str]]) -> None:
    asked = {selector.metric for _, query in shipped.queries() for selector in shipped.selectors(query)}

    assert metrics.keys() - asked == UNSHOWN


def test_what_is_recorded_is_asked_for() -> None:
    asked = {selector.metric for _, query in shipped.queries() for selector in shipped.selectors(query)}

    assert shipped.recorded().keys() - asked == set()


@pytest.mark.parametrize("alert", shipped.alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_how_grave_it_is_and_what_to_do(alert: dict[str, dict[str, str]]) -> None:
    url = alert["annotations"]["runbook_url"]
    pages = [url.replace("{{ $labels.slo }}", slo) for slo in SLOS]

    assert alert["labels"]["severity"] in ("page", "ticket", "none")
    assert alert["annotations"]["summary"].endswith(".")
    assert all((shipped.ROOT / page).is_file() for page in pages)


def test_every_runbook_belongs_to_an_alert() -> None:
    urls = [alert["annotations"]["runbook_url"] for alert in shipped.alerts()]
    linked = {Path(url.replace("{{ $labels.slo }}", slo)).name for url in urls for slo in SLOS}

    assert {page.name for page in shipped.RUNBOOKS.glob("*.md")} - {"README.md"} == linked


def test_every_alert_is_tested_firing_and_not() -> None:
    fired: dict[str, set[bool]] = {}
    for file in (shipped.PROMETHEUS / "tests").glob("*.yaml"):
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for case in test.get("alert_rule_test", ()):
                fired.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))

    assert {name for name, ways in fired.items() if ways == {True, False}} == {
        alert["alert"] for alert in shipped.alerts()
    } - {"Watchdog"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed")
@pytest.mark.parametrize("file", sorted((shipped.PROMETHEUS / "tests").glob("*.yaml")), ids=lambda file: file.name)
def test_alerts_fire_when_they_should_and_only_then(file: Path) -> None:
    tried = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)

    assert tried.returncode == 0, tried.stdout + tried.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed")
def test_the_files_for_one_machine_are_what_prometheus_and_alertmanager_read() -> None:
    for command in (
        ["promtool", "check", "config", shipped.PROMETHEUS / "prometheus.yml"],
        ["amtool", "check-config", shipped.PROMETHEUS / "alertmanager.yml"],
    ):
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        assert tried.returncode == 0, tried.stdout + tried.stderr


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_dashboard_is_written_as_it_stands_in_code(board) -> None:
    file = shipped.ROOT / f"deploy/grafana/dashboards/{board.uid.removeprefix('portcullis-')}.json"

    assert file.read_text(encoding="utf-8") == to_json(board), "run make docs"


def test_a_panel_says_nothing_of_a_query_it_does_not_have() -> None:
    assert [
        panel.title for board in BOARDS for panel in board.panels if not panel.queries or len(panel.queries) > 8
    ] == []


def test_runbooks_name_commands_that_there_are() -> None:
    unknown = [
        f"{page.name}: {line}"
        for page in shipped.RUNBOOKS.glob("*.md")
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
        if line.startswith("portcullis ") and not _is_known(line.split()[1:])
    ]

    assert unknown == []


def _is_known(words: list[str]) -> bool:
    """Whether the words lead to a command that can be run, with options of its own."""
    command, rest = get_command(build(words)), words
    while hasattr(command, "commands"):
        if not rest or rest[0] not in command.commands:
            return False
        command, rest = command.commands[rest[0]], rest[1:]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return all(word.partition("=")[0] in options for word in rest if word.startswith("--"))


def test_runbooks_ask_prometheus_for_what_there_is(metrics: dict[str, set[str]]) -> None:
    known = metrics | shipped.recorded() | shipped.OF_ANY_PROCESS
    asked = [(page, one) for page, query in shipped.runbook_queries() for one in shipped.selectors(query)]

    assert [(page, one.text) for page, one in asked if one.metric not in known] == []
