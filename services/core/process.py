"""How every process of the house begins and ends: its settings, its logs, and an exit code that says what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from services.core import telemetry
from services.core.config import HouseSettings
from services.core.core_dumps import forbid_core_dumps
from services.core.errors import ConfigurationError, PortcullisError

# Of sysexits.h: EX_CONFIG, starting again will not help; EX_TEMPFAIL, it may; EX_SOFTWARE, a fault of our own.
EXIT_CONFIGURATION, EXIT_AGAIN, EXIT_FAULT = 78, 75, 70

log = structlog.get_logger()


@contextmanager
def process(name: str) -> Iterator[HouseSettings]:
    """The life of the process `name`, with the settings of the house; it leaves no core, for it sees keys and prompts.

    Whatever ends it early is one line of its log: what to mend, what was not there, or the kind and place of a fault.
    """
    forbid_core_dumps()
    telemetry.configure_logging(name, "info")
    try:
        house = HouseSettings()
        telemetry.configure_logging(name, house.log_level)
        yield house
    except ConfigurationError as error:
        log.error("cannot start", reason=error.reason, mend=error.message)
        sys.exit(EXIT_CONFIGURATION)
    except PortcullisError as error:
        log.error("cannot go on now", reason=error.reason, why=error.message)
        sys.exit(EXIT_AGAIN)
    except Exception as error:
        log.critical("failed", **telemetry.fault(error))
        sys.exit(EXIT_FAULT)
