"""`python -m services.core.fetch LIST FOLDER`: fills a folder with the files of a model, each proved by its sha256.

A line of LIST is `sha256  path  https://…`; `#` begins a remark. What lies there already and is right is left alone, so
that a run that was cut off goes on; no file ever stands under its name unproved.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from services.core.artifacts import fetch
from services.core.errors import ConfigurationError

LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})\s+(?P<path>\S+)\s+(?P<url>https://\S+)")


class Wanted(NamedTuple):
    """One file: its digest, where it belongs, where it is."""

    sha256: str
    path: PurePosixPath
    url: str


def read_list(text: str) -> Iterator[Wanted]:
    """The files of a list; ConfigurationError with the line that is none, or that leads out of the folder."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = LINE.fullmatch(line.strip())
        if found is None:
            raise ConfigurationError(f"line {number}: must be sha256, path and https:// URL, with spaces between")
        path = PurePosixPath(found["path"])
        if path.is_absolute() or ".." in path.parts:
            raise ConfigurationError(f"line {number}: {path} leads out of the folder")
        yield Wanted(found["sha256"], path, found["url"])


def fill(folder: Path, wanted: Iterator[Wanted]) -> None:
    """Fetches what the folder lacks; ConfigurationError for the first that cannot be had or is another file."""
    for sha256, path, url in wanted:
        print(path, flush=True)
        fetch(url, folder / path, sha256)


def main() -> None:
    """Exits with a message where something is wrong."""
    if len(sys.argv) != 3:
        sys.exit("usage: python -m services.core.fetch LIST FOLDER")
    try:
        fill(Path(sys.argv[2]), read_list(Path(sys.argv[1]).read_text(encoding="utf-8")))
    except ConfigurationError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
