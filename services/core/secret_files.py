"""Secrets on disk: written once or replaced at once, readable by their owner alone."""

from __future__ import annotations

import os
from pathlib import Path


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
