"""`python only.py MODULE …`: imports modules as if what standard input names were not installed.

So that an image with some extras can be tried where all of them are installed.
"""

from __future__ import annotations

import importlib
import importlib.abc
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text())["project"]
OURS = {"portcullis", "services"}


def wishes(extras: Iterable[str]) -> set[str]:
    """What pyproject.toml asks for with these extras."""
    asked, todo, seen = set(PROJECT["dependencies"]), list(extras), set[str]()
    while todo:
        extra = todo.pop()
        if extra not in seen:
            seen.add(extra)
            for wish in PROJECT["optional-dependencies"][extra]:
                inner = Requirement(wish)
                todo.extend(inner.extras if inner.name == PROJECT["name"] else ())
                asked |= {wish} - ({wish} if inner.name == PROJECT["name"] else set())
    return asked


def brought(asked: Iterable[str]) -> set[str]:
    """Names of the packages that come with these wishes, as far as they are installed here."""
    todo, seen, found = [Requirement(wish) for wish in asked], set[tuple[str, ...]](), set[str]()
    while todo:
        wish = todo.pop()
        key = (canonicalize_name(wish.name), *sorted(wish.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            inner = metadata.distribution(wish.name).requires or []
        except metadata.PackageNotFoundError:
            continue
        found.add(key[0])
        for line in map(Requirement, inner):
            if line.marker is None or any(line.marker.evaluate({"extra": extra}) for extra in (wish.extras or {""})):
                todo.append(line)
    return found


@cache
def _owners() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def absent(extras: Iterable[str], alone: Iterable[str]) -> set[str]:
    """What can be imported here and not where these extras, and `alone` without its own wishes, are installed."""
    present = brought(wishes(extras)) | {canonicalize_name(Requirement(wish).name) for wish in alone}
    return {
        name
        for name, owners in _owners().items()
        if name not in OURS and not {canonicalize_name(owner) for owner in owners} & present
    }


class Absent(importlib.abc.MetaPathFinder):
    """Says of these that they are not installed."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"{name} is not installed", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, Absent(set(sys.stdin.read().split())))
    for module in sys.argv[1:]:
        importlib.import_module(module)
