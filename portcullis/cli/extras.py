"""Which extras of this package are installed, read from its own metadata."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

PACKAGE = "portcullis"


def missing(extra: str) -> list[str]:
    """The requirements of `extra` that are not installed, as pip writes them; empty if it is complete."""
    wanted = map(Requirement, requires(PACKAGE) or [])
    own = [r for r in wanted if r.marker and r.marker.evaluate({"extra": extra})]
    plain = [str(Requirement(f"{r.name}{r.specifier}")) for r in own if r.name != PACKAGE and not _installed(r)]
    nested = [name for r in own if r.name == PACKAGE for inner in sorted(r.extras) for name in missing(inner)]
    return list(dict.fromkeys(plain + nested))


def pip_command(extras: Iterable[str]) -> str:
    """What to run to get `extras`."""
    return f"pip install '{PACKAGE}[{','.join(sorted(extras))}]'"


def _installed(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False
