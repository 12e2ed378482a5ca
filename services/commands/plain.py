"""Expected failures of the house, told on a terminal as one clear message instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from portcullis.errors import PortcullisError as ClientError
from services.core.errors import PortcullisError


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns an error of the house into one that the command line shows and ends with exit code 1."""
    try:
        yield
    except PortcullisError as error:
        raise ClientError(error.message, code=error.code, reason=error.reason, retry_after=error.retry_after) from error
