"""Asks pip-audit for known holes in what is pinned, of PyPI and of OSV, and says plainly what could not be asked.

`python constraints/audit.py PIP_AUDIT PINS`: exit code 0 where every package was looked up and none has a known hole,
1 where one has, 2 where some could not be looked up (no network, or an index that knows no advisories).
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SOURCES = ("pypi", "osv")
SECONDS = 300


def main() -> None:
    """Prints what was found."""
    program, pins = sys.argv[1:]
    asked: set[str] = set()
    missed: set[str] = set()
    holes: dict[str, set[str]] = {}
    for source in SOURCES:
        for package in ask(program, pins, source):
            name = f"{package['name']} {package.get('version', '')}".strip()
            if "skip_reason" in package:
                missed.add(package["name"])
                continue
            asked.add(package["name"])
            for hole in package["vulns"]:
                holes.setdefault(name, set()).add(f"{hole['id']} (mended in {', '.join(hole['fix_versions']) or '–'})")
    for name, found in sorted(holes.items()):
        print(f"· {name}: {'; '.join(sorted(found))}")
    if not asked:
        print("no advisories could be reached: NOTHING was checked; run this where pypi.org or api.osv.dev answers")
        sys.exit(2)
    print(f"· {len(asked)} packages looked up, {len(holes)} with known holes")
    if left := sorted(missed - asked):
        print(f"· {len(left)} could not be looked up: {', '.join(left)}")
    sys.exit(1 if holes else 2 if left else 0)


def ask(program: str, pins: str, source: str) -> list[dict[str, Any]]:
    """What one source says of each package; nothing where it cannot be reached."""
    command = [
        program,
        "-r",
        pins,
        "--no-deps",
        "--disable-pip",
        "-s",
        source,
        "-f",
        "json",
        "--progress-spinner",
        "off",
    ]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        found: list[dict[str, Any]] = json.loads(told.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError, subprocess.TimeoutExpired):
        print(f"· {source} cannot be reached")
        return []
    return found


if __name__ == "__main__":
    main()
