"""One version everywhere: the package's, the changelog's newest, and the schema that was kept of it."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

from tests import releases

ROOT = Path(__file__).resolve().parents[3]
HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", re.MULTILINE)
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
RELEASED = HEADING.findall(CHANGELOG)


def test_the_package_has_the_changelogs_newest_version() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert package["version"] == RELEASED[0][0]


def test_the_schema_of_the_newest_version_was_kept() -> None:
    assert releases.newest() == RELEASED[0][0]


def test_versions_stand_newest_first_each_with_its_day() -> None:
    versions = [tuple(map(int, version.split("."))) for version, _ in RELEASED]
    days = [date.fromisoformat(day) for _, day in RELEASED]

    assert versions == sorted(set(versions), reverse=True)
    assert days == sorted(days, reverse=True)


def test_every_heading_is_a_version_or_what_is_not_released_yet() -> None:
    headings = re.findall(r"^## .*$", CHANGELOG, re.MULTILINE)

    assert headings[0] == "## [Unreleased]"
    assert all(HEADING.fullmatch(heading) for heading in headings[1:])


def test_changes_stand_under_the_words_of_keep_a_changelog() -> None:
    kinds = set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE))

    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
