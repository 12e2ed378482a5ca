"""Draws every dashboard from a house at work: `python -m docs.draw_dashboards docs/images/dashboards 12`.

Starts a house of its own with Prometheus beside it, lets a crowd use it for so many minutes (12), asks the queries of
every panel, and draws what comes back as Grafana would, roughly. Needs Debian's `prometheus` and
`prometheus-alertmanager`. Calibration is worked out every ten minutes: a shorter run shows none.
"""

from __future__ import annotations

import math
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

from demo.running import running_house
from demo.traffic import Crowd
from demo.watching import Prometheus, missing, watched
from deploy.grafana.boards import BOARDS
from deploy.grafana.panels import Board, Panel, Query
from portcullis import Client, ReviewClient

COLUMNS, CELL_INCHES, DPI = 3, (4.6, 2.5), 76
POINTS = 90
SCRAPE_SECONDS = 5
MOST_SERIES = 12  # of a panel; a legend of more cannot be read
MOST_ROWS = 8
COLOURS = 128
RATE_INTERVAL = "1m"
SETTINGS = {"PORTCULLIS_REVIEW_UNDO_SECONDS": "5"}
THREADS, ACTS_A_SECOND = 3, 0.7
INK, FAINT = "#1f2430", "#8a93a6"


def main() -> None:
    """One PNG for each dashboard into the folder that the first argument names."""
    folder, minutes = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 12.0
    if lacking := missing():
        sys.exit(f"install first: {' '.join(lacking)}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        home, beside = Path(scratch) / "home", Path(scratch) / "watched"
        with (
            running_house(home, print, SETTINGS) as house,
            watched(house, beside, every_seconds=SCRAPE_SECONDS) as prometheus,
        ):
            start = time.time()
            with Client(house.profile) as client, ReviewClient(house.profile) as desk:
                crowds = [Crowd(house, client, desk, seed) for seed in range(THREADS)]
                with ThreadPoolExecutor(THREADS) as threads:
                    for done in [threads.submit(crowd.go_on, minutes * 60, ACTS_A_SECOND) for crowd in crowds]:
                        done.result()
            end = time.time()
            for board in BOARDS:
                name = board.uid.removeprefix("portcullis-")
                (folder / f"{name}.png").write_bytes(_drawn(board, prometheus, start, end))
                print(f"drew {name}")


def _drawn(board: Board, prometheus: Prometheus, start: float, end: float) -> bytes:
    with mpl.rc_context({"font.size": 7, "axes.titlesize": 8, "axes.edgecolor": FAINT, "text.color": INK}):
        panels = board.panels
        rows = math.ceil(len(panels) / COLUMNS)
        figure = Figure((COLUMNS * CELL_INCHES[0], rows * CELL_INCHES[1] + 0.4), dpi=DPI, layout="constrained")
        figure.suptitle(board.title, x=0.01, ha="left", weight="bold")
        cells = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
        for axes, panel in zip(cells, panels, strict=False):
            axes.set_title(panel.title, loc="left")
            _draw(axes, panel, prometheus, start, end)
        for axes in cells[len(panels) :]:
            axes.set_axis_off()
        buffer = BytesIO()
        figure.savefig(buffer, format="png")
    small = BytesIO()
    with Image.open(buffer) as image:
        image.convert("RGB").quantize(COLOURS).save(small, "PNG", optimize=True)
    return small.getvalue()


def _draw(axes: Axes, panel: Panel, prometheus: Prometheus, start: float, end: float) -> None:
    match panel.kind:
        case "stat" | "table":
            _list(axes, panel, prometheus)
        case _:
            _curves(axes, panel, prometheus, start, end)


def _list(axes: Axes, panel: Panel, prometheus: Prometheus) -> None:
    """The newest values: large where there are few, a list of names where there are many."""
    axes.set_axis_off()
    shown = [
        (_name(query, series.labels), _value(series.points[-1][1], panel.unit))
        for query in panel.queries
        for series in prometheus.now(_plain(query))
    ]
    if not shown:
        _say_nothing(axes, panel)
    size = 20 if len(shown) == 1 else 9 if panel.kind == "stat" else 7
    for row, (name, value) in enumerate(sorted(shown)[:MOST_ROWS]):
        text = value if len(shown) == 1 else f"{value:>8}  {name}"
        axes.text(0.02, 0.78 - row * 0.11, text, size=size, family="monospace", transform=axes.transAxes)
    if len(shown) > MOST_ROWS:
        axes.text(0.02, -0.1, f"and {len(shown) - MOST_ROWS} more", color=FAINT, transform=axes.transAxes)


def _curves(axes: Axes, panel: Panel, prometheus: Prometheus, start: float, end: float) -> None:
    curves = [
        (_name(query, series.labels), series.points)
        for query in panel.queries
        for series in prometheus.over(_plain(query), start, end, (end - start) / POINTS)
    ]
    curves = [(name, [(at, y) for at, y in points if math.isfinite(y)]) for name, points in curves]
    curves = sorted(((name, points) for name, points in curves if points), key=lambda curve: -_highest(curve[1]))
    if not curves:
        axes.set_axis_off()
        _say_nothing(axes, panel)
        return
    for name, points in curves[:MOST_SERIES]:
        axes.plot([(at - start) / 60 for at, _ in points], [y for _, y in points], linewidth=0.9, label=name)
    axes.set_xlim(0, (end - start) / 60)
    axes.set_ylim(min(0.0, *(y for _, points in curves for _, y in points)), None)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda minutes, _: f"{minutes:g} min"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _value(y, panel.unit)))
    axes.tick_params(colors=FAINT, length=2)
    axes.grid(visible=True, color="#e6e9f0", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if any(name for name, _ in curves):
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(-0.05, -0.12),
            ncols=3,
            frameon=False,
            fontsize=5.5,
            labelspacing=0.2,
            columnspacing=1.0,
            handlelength=1.2,
        )


def _say_nothing(axes: Axes, panel: Panel) -> None:
    axes.text(0.02, 0.6, f"empty {panel.empty}", color=FAINT, style="italic", wrap=True, transform=axes.transAxes)


def _plain(query: Query) -> str:
    return query.expr.replace("$__rate_interval", RATE_INTERVAL)


def _name(query: Query, labels: Mapping[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda label: labels.get(label[1], ""), query.legend).strip()


def _highest(points: Sequence[tuple[float, float]]) -> float:
    return max(y for _, y in points)


def _value(value: float, unit: str) -> str:
    """A number as Grafana shows it in `unit`; a dash for none."""
    match unit:
        case _ if math.isnan(value):
            return "–"
        case "percentunit":
            return f"{value:.1%}" if value < 0.1 else f"{value:.0%}"
        case "s":
            return f"{value * 1000:.0f} ms" if abs(value) < 1 else f"{value:.3g} s"
        case "bytes":
            return f"{value / 2**20:.0f} MiB"
        case "reqps":
            return f"{value:.2g}/s"
        case _:
            return f"{value:.3g}"


if __name__ == "__main__":
    main()
