"""`python -m services.review.worker`: one Celery worker, one task at a time; more processes make more.

SIGTERM lets the running task end. Killed, it loses nothing: a message is acknowledged only after its task, and
delivered again otherwise.
"""

from __future__ import annotations

import logging
import sys

import structlog

from services.core import telemetry
from services.core.config import HouseSettings
from services.core.process import process
from services.review.celery_app import make_app
from services.review.settings import ReviewSettings

METRICS_PORT_OFFSET = 107

log = structlog.get_logger()


def main() -> None:
    """Works until SIGTERM; exits as `process` says."""
    with process("review.worker") as house:
        work(house, ReviewSettings())


def work(house: HouseSettings, settings: ReviewSettings) -> None:
    """Works until SIGTERM; raises PortcullisError where it cannot begin."""
    logging.captureWarnings(True)
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)  # two lines for each task say too much
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
    app = make_app(house, settings, listens=True)
    chosen = settings.worker_metrics_port
    port = telemetry.serve_metrics(house.bind, house.port_base + METRICS_PORT_OFFSET if chosen is None else chosen)
    log.info("working", metrics=port)
    # Solo: a task is a few milliseconds of Postgres, and a fork would share the broker's connections.
    worker = app.Worker(
        pool="solo",
        loglevel=house.log_level,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


if __name__ == "__main__":
    main()
