"""Debian's Prometheus and Alertmanager beside the house: what rules and panels ask for is there, or rightly is not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from demo.running import RunningHouse
from demo.traffic import Crowd
from demo.watching import Prometheus, missing, watched
from deploy.grafana.boards import BOARDS
from portcullis import Client, ReviewClient
from tests.unit.deploy import shipped

LOOK_SECONDS = 90.0
# Parts of what rules ask for that a house which is well, and an hour old, does not say; and why.
RIGHTLY_EMPTY = {
    'code="INTERNAL"': "nothing failed",
    "INTERNAL|DEADLINE_EXCEEDED": "nothing failed",
    "CONCURRENCY|BUSY|QUEUE_FULL": "the house was never full",
    "portcullis_clearance_refusals_total": "nobody showed a bad clearance",
    "portcullis_anomalies_total": "nobody behaved so badly for so long",
    "portcullis_standing_changes_total": "a policy that enforces suspends somebody",
    'mode="enforce",outcome="over"': "nobody passed a limit",
    "portcullis_spurious_outputs_total": "the screen held back nothing that was asked for in good faith",
    'due="late"': "no case was decided too late",
    "portcullis_revisions_total": "the policy has no section on diversity",
    "portcullis_calibration_error": "is worked out every ten minutes",
    "portcullis_reviewed_scores": "is worked out every ten minutes",
    ":sum7d": "a day must have gone by",
    ":share7d": "a day must have gone by",
    ":psi": "a day must have gone by",
    "portcullis_limit_decisions_total{mode": "the policy has no limits that it enforces",
}


@pytest.fixture(scope="module")
def prometheus(
    house: RunningHouse, client: Client, desk: ReviewClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    if lacking := missing():
        pytest.skip(f"{' and '.join(lacking)} not installed")
    with watched(house, tmp_path_factory.mktemp("watched")) as found:
        Crowd(house, client, desk).each()
        assert eventually(lambda: found.now("portcullis_reviews_total")), "no case was settled"
        time.sleep(2)  # for two scrapes of what appeared last
        yield found


def eventually(look: Callable[[], object]) -> bool:
    end = time.monotonic() + LOOK_SECONDS
    while not look():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def test_every_process_of_the_house_is_scraped(prometheus: Prometheus) -> None:
    up = prometheus.targets_up()

    assert len(up) == 11
    assert all(up.values())


def test_every_panel_shows_something_or_says_why_it_does_not(prometheus: Prometheus) -> None:
    silent = [
        f"{board.title}: {panel.title}: {query.expr}"
        for board in BOARDS
        for panel in board.panels
        for query in panel.queries
        if not panel.empty and not prometheus.now(query.expr.replace("$__rate_interval", "1m"))
    ]

    assert silent == []


def test_whatever_a_rule_asks_for_is_there_or_rightly_is_not(prometheus: Prometheus) -> None:
    asked = {selector.text for rule in shipped.rules() for selector in shipped.selectors(rule["expr"])}
    silent = {text for text in asked if not any(part in text for part in RIGHTLY_EMPTY) and not prometheus.now(text)}

    assert silent == set()


def test_every_rule_is_understood(prometheus: Prometheus) -> None:
    for rule in shipped.rules():
        prometheus.now(rule["expr"])  # raises where Prometheus can make nothing of it


def test_every_query_of_a_runbook_is_understood(prometheus: Prometheus) -> None:
    for _, query in shipped.runbook_queries():
        prometheus.now(query)


def test_an_alert_reaches_alertmanager(prometheus: Prometheus) -> None:
    assert eventually(lambda: "Watchdog" in {alert["alertname"] for alert in prometheus.alerts_received()})


def test_a_room_that_ends_is_seen_as_down_until_it_is_started_again(
    prometheus: Prometheus, pid_of: Callable[[str], int]
) -> None:
    killed = pid_of("combo_filter")
    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: prometheus.now('up{job="combo_filter"} == 0'))
    assert eventually(lambda: prometheus.now('up{job="combo_filter"} == 1'))
    assert pid_of("combo_filter") != killed
