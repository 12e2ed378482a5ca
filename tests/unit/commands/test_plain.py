"""Failures of the house as the command line tells them."""

from __future__ import annotations

import pytest

from portcullis.errors import PortcullisError
from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.errors import Unavailable


def test_an_error_of_the_house_keeps_code_reason_and_hint():
    with pytest.raises(PortcullisError) as caught, told_plainly():
        raise Unavailable("Postgres does not answer", reason="DATABASE_UNAVAILABLE", retry_after=2)
    assert (caught.value.code, caught.value.reason, caught.value.retry_after) == (
        "UNAVAILABLE",
        "DATABASE_UNAVAILABLE",
        2,
    )


def test_a_bad_setting_is_told_with_its_variable(monkeypatch):
    monkeypatch.setenv("PORTCULLIS_PORT_BASE", "80")
    with pytest.raises(PortcullisError, match=r"PORTCULLIS_PORT_BASE: .*greater than or equal to 1024"), told_plainly():
        HouseSettings()


def test_a_defect_is_not_dressed_up():
    with pytest.raises(ZeroDivisionError), told_plainly():
        raise ZeroDivisionError
