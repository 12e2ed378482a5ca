"""Expected failures of the house, told on a terminal as one clear message instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from portcullis.errors import PortcullisError as ClientError
from services.core.config import HouseSettings
from services.core.errors import PortcullisError


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns an error of the house into one that the command line shows and ends with exit code 1.

    A bad value in the environment is told with its variable.
    """
    try:
        yield
    except PortcullisError as error:
        raise ClientError(error.message, code=error.code, reason=error.reason, retry_after=error.retry_after) from error
    except ValidationError as error:
        if error.title != HouseSettings.__name__:
            raise
        prefix = HouseSettings.model_config.get("env_prefix", "")
        problems = "; ".join(f"{prefix}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise ClientError(problems, code="FAILED_PRECONDITION", reason="BAD_SETTING") from None
