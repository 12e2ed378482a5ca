"""Prometheus and Alertmanager beside a house, with the rules and jobs of deploy/prometheus, for as long as a block.

Ports are those of the house and free ones, and everything is looked at often, so that a minute shows something.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from demo.running import RunningHouse
from services.core.config import FIRST_PORT

SHIPPED = Path(__file__).resolve().parents[1] / "deploy/prometheus"
PROGRAMS = ("prometheus", "prometheus-alertmanager")
START_SECONDS = 30.0
STOP_SECONDS = 10.0
ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Series:
    """One answer to a query: its labels, and values (NaN where there is none) with their Unix times."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that answers, and its Alertmanager."""

    url: str
    alertmanager: str
    http: httpx.Client

    def now(self, query: str) -> list[Series]:
        """What PromQL gives at this moment; ValueError where it is not PromQL."""
        return [_series(row["metric"], [row["value"]]) for row in self._rows("query", query=query)]

    def over(self, query: str, start: float, end: float, step: float) -> list[Series]:
        """What it gives from `start` to `end` (Unix times) every `step` seconds."""
        rows = self._rows("query_range", query=query, start=f"{start}", end=f"{end}", step=f"{step}")
        return [_series(row["metric"], row["values"]) for row in rows]

    def targets_up(self) -> dict[str, bool]:
        """Which jobs could be scraped."""
        return {series.labels["job"]: series.points[0][1] == 1 for series in self.now("up")}

    def alerts_received(self) -> list[Mapping[str, str]]:
        """The labels of the alerts that reached Alertmanager; "alertname" is the name."""
        alerts = self.http.get(f"{self.alertmanager}/api/v2/alerts").json()
        return [alert["labels"] for alert in alerts]

    def _rows(self, what: str, **parameters: str) -> list[Any]:
        answer = self._answer(what, **parameters)
        return list(answer["result"]) if answer["resultType"] in ("vector", "matrix") else []

    def _answer(self, what: str, **parameters: str) -> Any:
        answer = self.http.get(f"{self.url}/api/v1/{what}", params=parameters).json()
        if answer["status"] != "success":
            raise ValueError(f"{parameters['query']}: {answer['error']}")
        return answer["data"]


def missing() -> list[str]:
    """The programs that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextmanager
def watched(house: RunningHouse, folder: Path, *, every_seconds: int = 1, patient: bool = True) -> Iterator[Prometheus]:
    """Starts both, waits until every process of the house was scraped, and ends them afterwards.

    Metrics are read and rules looked at `every_seconds`. Where it is not `patient`, an alert fires at once and not only
    after the time that it says in `for`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prometheus, alertmanager = _free_port(), _free_port()
    _configure(house, folder, alertmanager, f"{every_seconds}s", patient=patient)
    commands = (
        [
            "prometheus-alertmanager",
            f"--config.file={SHIPPED / 'alertmanager.yml'}",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
            f"--storage.path={folder / 'alertmanager'}",
        ],
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--web.listen-address=127.0.0.1:{prometheus}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            "--enable-feature=exemplar-storage",
            "--rules.alert.resend-delay=1s",  # so that Alertmanager may be up later
        ],
    )
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.log").open("wb") as log:
                running.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        with httpx.Client(timeout=ANSWER_SECONDS) as http:
            found = Prometheus(f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{alertmanager}", http)
            _await_targets(found)
            yield found
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(STOP_SECONDS)


def _configure(house: RunningHouse, folder: Path, alertmanager: int, every: str, *, patient: bool) -> None:
    """The shipped files, with this house's ports and short intervals."""
    shipped = (SHIPPED / "prometheus.yml").read_text(encoding="utf-8")
    moved = re.sub(r"127\.0\.0\.1:(75\d\d)", lambda port: f"127.0.0.1:{_moved(int(port[1]), house)}", shipped)
    config = yaml.safe_load(moved.replace("127.0.0.1:9093", f"127.0.0.1:{alertmanager}"))
    config["global"] = {"scrape_interval": every, "evaluation_interval": every}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "rules").mkdir(exist_ok=True)
    for file in (SHIPPED / "rules").glob("*.yaml"):
        rules = yaml.safe_load(file.read_text(encoding="utf-8"))
        for group in rules["groups"]:
            group.pop("interval", None)
            for rule in group["rules"] if not patient else ():
                rule.pop("for", None)
        (folder / "rules" / file.name).write_text(yaml.safe_dump(rules))


def _moved(port: int, house: RunningHouse) -> int:
    return port - FIRST_PORT + house.port_base


def _await_targets(found: Prometheus) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            up = found.targets_up()
            if up and all(up.values()):
                return
        except (httpx.TransportError, ValueError):  # not listening yet, or still starting
            up = {}
        if time.monotonic() > deadline:
            raise TimeoutError(f"Prometheus does not scrape the house: {up}")
        time.sleep(0.2)


def _series(labels: Mapping[str, str], points: Sequence[Sequence[Any]]) -> Series:
    return Series(labels, [(float(at), float(value)) for at, value in points])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
