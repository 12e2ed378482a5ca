"""The tables that `portcullis accounts` prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.markup import escape
from rich.table import Table

from services.core.policy.standing_rules import StandingRules
from services.core.standing.backtest import EDGES, Histogram
from services.core.standing.ladder import RUNGS
from services.core.store.strikes import Change, GivenStrike
from services.core.store.waitlist import Waiting

BAR = 40


def of_history(changes: Sequence[Change]) -> Table:
    """Changes of standing, newest first."""
    table = Table("when (UTC)", "step", "until", "for", "by", "note")
    for change in changes:
        step = change.step if change.mode == "enforce" else f"{change.step} (shadow)"
        table.add_row(
            _time(change.at), step, _time(change.until), *map(escape, (change.reason, change.who, change.note))
        )
    return table


def of_strikes(given: Sequence[GivenStrike]) -> Table:
    """Strikes, newest first."""
    table = Table("when (UTC)", "category", "found", "stage", "weight then", "decision", "taken back")
    for strike in given:
        back = f"{_time(strike.reversed_at)} by {escape(strike.reversed_by or '')}: {escape(strike.why or '')}"
        table.add_row(
            _time(strike.at),
            strike.category,
            strike.source,
            strike.stage,
            f"{strike.weight:g}",
            str(strike.decision_id),
            back if strike.reversed_at else "",
        )
    return table


def of_waiting(waiting: Sequence[Waiting]) -> Table:
    """Who waits, longest first."""
    table = Table("account", "tier", "since (UTC)")
    for each in waiting:
        table.add_row(escape(each.account), each.tier, _time(each.joined_at))
    return table


def of_histogram(counted: Histogram, rules: StandingRules) -> tuple[Table, Table]:
    """Accounts by weight, and by what each step would meet."""
    weights = Table("weight now", "accounts", "", title=f"{counted.all} accounts")
    most = max((counted.weights[edge] for edge in EDGES[1:]), default=0) or 1
    for edge, end in zip(EDGES, [*EDGES[1:], None], strict=True):
        count = counted.weights[edge]
        name = f"{edge:g} – {end:g}" if end is not None else f"{edge:g} and more"
        weights.add_row(name, str(count), "" if edge == 0 else "█" * round(BAR * count / most))
    steps = Table("step", "mode", "from weight", "accounts now", "ever", "share ever")
    for step in (*RUNGS, "banned"):
        rule = getattr(rules.ladder, step)
        share = counted.ever[step] / counted.all if counted.all else 0.0
        steps.add_row(
            step, rule.mode, f"{rule.weight:g}", str(counted.now[step]), str(counted.ever[step]), f"{share:.3%}"
        )
    return weights, steps


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""
