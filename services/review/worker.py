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
from services.core.errors import ConfigurationError, PortcullisError
from services.core.rpc.server import EXIT_CONFIGURATION
from services.review.celery_app import make_app
from services.review.settings import ReviewSettings

METRICS_PORT_OFFSET = 107

log = structlog.get_logger()


def main() -> None:
    """Works until SIGTERM; exits 78 on a bad set-up, 1 where a part is not there yet."""
    house, settings = HouseSettings(), ReviewSettings()
    telemetry.configure_logging("review.worker", house.log_level)
    logging.captureWarnings(True)
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)  # two lines for each task say too much
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
    try:
        app = make_app(house, settings, listens=True)
    except PortcullisError as error:
        log.error("cannot start", reason=error.reason, mend=error.message)
        sys.exit(EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else 1)
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
