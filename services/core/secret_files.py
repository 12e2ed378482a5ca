"""Secrets on disk: written once or replaced at once, readable by their owner alone, read again when replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from services.core.errors import ConfigurationError

Content = TypeVar("Content")

log = structlog.get_logger()


class Followed(Generic[Content]):
    """What a file holds, as it is now: read again whenever another file was put in its place."""

    def __init__(self, path: Path, read: Callable[[Path], Content]) -> None:
        """Reads it once; raises what `read` raises, ConfigurationError where the file cannot be used."""
        self._path = path
        self._read = read
        self._seen = self._state()
        self._content = read(path)

    def __call__(self) -> Content:
        """The content; the last good one where the new file cannot be used, which is logged once."""
        if (state := self._state()) != self._seen:
            self._seen = state
            try:
                self._content = self._read(self._path)
                log.info("a changed key is used", file=self._path.name)
            except ConfigurationError as error:
                log.error("a changed key is not used", file=self._path.name, mend=error.message)
        return self._content

    def _state(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:  # gone for a moment: what was read still holds
            return (0, 0)
        return (found.st_ino, found.st_mtime_ns)


def write_secret(path: Path, data: bytes) -> None:
    """Writes a new file of mode 0600, with its folders of mode 0700; raises FileExistsError if it exists."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def replace_secret(path: Path, data: bytes) -> None:
    """Puts a file of mode 0600 in the place of another at once: nobody ever reads half of it."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    write_secret(draft, data)
    draft.rename(path)
