"""Writes the sha256 of shipped models into `models/MANIFEST.json`: `python -m training.manifest models/A/FILE …`."""

from __future__ import annotations

import argparse
import fcntl
import json
from pathlib import Path

from services.core.artifacts import MODELS, file_sha256


def record(*files: Path) -> None:
    """Adds or renews the entries of `files`, which lie under `models/`; safe beside another training run."""
    manifest = MODELS / "MANIFEST.json"
    with manifest.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        entries: dict[str, str] = json.loads(file.read() or "{}")
        entries |= {path.resolve().relative_to(MODELS).as_posix(): file_sha256(path) for path in files}
        file.seek(0)
        file.truncate()
        file.write(json.dumps(entries, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    record(*parser.parse_args().files)
