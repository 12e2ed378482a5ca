"""Which extras are installed, by this package's own metadata."""

from __future__ import annotations

import pytest

from portcullis.cli import extras


@pytest.fixture
def wanted(monkeypatch):
    def set_requirements(*lines: str) -> None:
        monkeypatch.setattr(extras, "requires", lambda _package: list(lines))

    return set_requirements


def test_an_installed_extra_lacks_nothing(wanted):
    wanted('grpcio>=1; extra == "door"')
    assert extras.missing("door") == []


def test_a_missing_package_is_named_with_its_bound(wanted):
    wanted('no-such-package>=2; extra == "door"')
    assert extras.missing("door") == ["no-such-package>=2"]


def test_a_package_that_is_too_old_counts_as_missing(wanted):
    wanted('grpcio>=999; extra == "door"')
    assert extras.missing("door") == ["grpcio>=999"]


def test_extras_of_extras_are_followed(wanted):
    wanted('portcullis[walls]; extra == "all"', 'no-such-package; extra == "walls"')
    assert extras.missing("all") == ["no-such-package"]


def test_other_extras_do_not_matter(wanted):
    wanted('no-such-package; extra == "walls"')
    assert extras.missing("door") == []


def test_the_command_to_run():
    assert extras.pip_command(["review", "gateway"]) == "pip install 'portcullis[gateway,review]'"
