"""Writes the dashboards: `python -m deploy.grafana.generate deploy/grafana/dashboards`. Run by `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.grafana.boards import BOARDS
from deploy.grafana.panels import to_json


def main() -> None:
    """One JSON file for each dashboard into the folder that the first argument names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        (folder / f"{board.uid.removeprefix('portcullis-')}.json").write_text(to_json(board), encoding="utf-8")


if __name__ == "__main__":
    main()
