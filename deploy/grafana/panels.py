"""What a dashboard of ours is made of, and how Grafana wants it said.

A query is PromQL with Grafana's `$__rate_interval`. `empty` says when a panel rightly shows nothing; it stands in the
panel's description, and the test that asks every query of a running house takes no other excuse.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphDrawStyle, LegendDisplayMode, LegendPlacement, StackingMode
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Kind = Literal["lines", "areas", "stat", "table"]
COLUMNS = 24
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_SIZES: dict[Kind, tuple[int, int]] = {"lines": (12, 8), "areas": (12, 8), "stat": (6, 4), "table": (12, 8)}

GraphBuilder = timeseries.Panel | stat.Panel | table.Panel


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what its series are called: text with `{{label}}`."""

    expr: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `unit` is Grafana's name for it ("s", "percentunit", "bytes", "reqps", "short")."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "lines"
    says: str = ""
    empty: str = ""

    @property
    def description(self) -> str:
        """What it says, and when it rightly says nothing."""
        return " ".join(filter(None, [self.says, f"Empty {self.empty}." if self.empty else ""]))


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: panels under headings."""

    uid: str
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]

    @property
    def panels(self) -> list[Panel]:
        """All of them, in order."""
        return [panel for _, panels in self.rows for panel in panels]


def panel(title: str, unit: str, *queries: Query, kind: Kind = "lines", says: str = "", empty: str = "") -> Panel:
    """A panel of some queries."""
    return Panel(title, unit, queries, kind, says, empty)


def to_json(board: Board) -> str:
    """The dashboard as Grafana imports it."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .tags(["portcullis"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("utc")
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus").label("Prometheus"))
        .link(
            dashboard.DashboardLink("Dashboards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["portcullis"])
            .as_dropdown(True)
        )
    )
    numbers = itertools.count(1)
    for heading, panels in board.rows:
        built.with_row(dashboard.Row(heading).id(next(numbers)))
        for one in panels:
            built.with_panel(_panel(one).id(next(numbers)))
    return JSONEncoder(sort_keys=True, indent=1).encode(built.build()) + "\n"


def _panel(panel: Panel) -> GraphBuilder:
    width, height = _SIZES[panel.kind]
    made = _empty(panel.kind).title(panel.title).unit(panel.unit).datasource(DATASOURCE).span(width).height(height)
    if panel.description:
        made.description(panel.description)
    for name, query in zip("ABCDEFGH", panel.queries, strict=False):
        made.with_target(_target(name, query, panel.kind))
    return made


def _empty(kind: Kind) -> GraphBuilder:
    match kind:
        case "stat":
            return stat.Panel()
        case "table":
            return table.Panel()
        case _:
            legend = (
                common.VizLegendOptions()
                .show_legend(True)
                .display_mode(LegendDisplayMode.TABLE)
                .placement(LegendPlacement.BOTTOM)
                .calcs(["lastNotNull", "max"])
            )
            made = timeseries.Panel().min(0).draw_style(GraphDrawStyle.LINE).line_width(1).legend(legend)
            if kind == "areas":
                made.fill_opacity(30).stacking(common.StackingConfig().mode(StackingMode.NORMAL))
            return made


def _target(name: str, query: Query, kind: Kind) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(name).expr(query.expr).legend_format(query.legend).datasource(DATASOURCE)
    if query.exemplars:
        target.exemplar(True)
    if kind == "table":
        target.format(PromQueryFormat.TABLE)
    return target.instant() if kind in ("stat", "table") else target.range()


def percentiles(metric: str, matchers: str, by: Sequence[str] = ()) -> tuple[Query, ...]:
    """The median, the 95th and the 99th percentile of a histogram; exemplars link its buckets to traces."""
    labels = ", ".join(["le", *by])
    name = " ".join(f"{{{{{label}}}}}" for label in by)
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{matchers}}}[$__rate_interval])))",
            f"{name} p{share * 100:g}".strip(),
            exemplars=True,
        )
        for share in (0.5, 0.95, 0.99)
    )
