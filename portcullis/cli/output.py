"""How answers and errors look on a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from portcullis.errors import PortcullisError
from portcullis.v1.checks_pb2 import Check, Evidence, Reason, TextForm, Verdict
from portcullis.v1.gateway_pb2 import Appeal, AppealState

REFUSED = 3
# Lines are not broken, so that paths and ids survive a pipe; tables are drawn to fit.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False)

_COLOURS = {Verdict.VERDICT_ALLOW: "green", Verdict.VERDICT_REVIEW: "yellow"}
_HINTS = {
    "UNAVAILABLE": "Is the house running? Start it with `portcullis up`, or look at `portcullis doctor`.",
    "UNAUTHENTICATED": "Is PORTCULLIS_API_KEY the key of this house? `portcullis up` writes one to client.json.",
    "DEADLINE_EXCEEDED": "The house was too busy. Try again, or ask for fewer pictures.",
}


def show_error(error: PortcullisError) -> None:
    """What failed, where, and what to do, on stderr."""
    err.print(f"[bold red]error[/] [bold]{error.code}[/] {escape(error.message)}")
    for violation in error.violations:
        if (line := f"{violation.field}: {violation.description}") != error.message:
            err.print(f"  {escape(line)}")
    for quota in error.quotas:
        if quota != error.message:
            err.print(f"  limit {escape(quota)}")
    if error.reason:
        err.print(f"  reason: {error.reason}", style="dim")
    if error.retry_after is not None:
        err.print(f"  try again in {error.retry_after:.0f} s", style="dim")
    if hint := _HINTS.get(error.code):
        err.print(f"  {hint}", style="dim")


def show_json(message: Message) -> None:
    """A message as JSON, for other programs."""
    out.out(MessageToJson(message, preserving_proto_field_name=True, ensure_ascii=False))


def strange(text: str) -> str:
    """What strangers wrote, for a terminal: markup is text, and characters that steer a terminal or hide are named."""
    return escape("".join(f"<U+{ord(character):04X}>" if _steers(character) else character for character in text))


def _steers(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")


def verdict_markup(verdict: Verdict.ValueType) -> str:
    """ALLOW, REVIEW or BLOCK in its colour; not decided is BLOCK."""
    name = Verdict.Name(verdict or Verdict.VERDICT_BLOCK).removeprefix("VERDICT_")
    return f"[bold {_COLOURS.get(verdict, 'red')}]{name}[/]"


def show_check(title: str, check: Check, prompt: str = "", negative: str = "") -> None:
    """One check: the verdict and why; `prompt` and `negative` prompt let spans be shown as words."""
    out.print(f"{title}: {verdict_markup(check.verdict)}")
    show_reasons(check.reasons, prompt, negative)
    categories = ((name, score) for name, score in check.scores.items() if not name.startswith("concept."))
    highest = sorted(categories, key=lambda item: -item[1])[:3]
    if highest:
        out.print("  highest scores: " + ", ".join(f"{name} {score:.2f}" for name, score in highest), style="dim")
    if check.capabilities:
        out.print("  more cautious because: " + ", ".join(check.capabilities), style="dim")


def show_appeal(appeal: Appeal) -> None:
    """Where an appeal is, and what to tell the user."""
    state = AppealState.Name(appeal.state).removeprefix("APPEAL_STATE_").lower()
    due = (
        f", due {appeal.due_at.ToDatetime():%Y-%m-%d %H:%M} UTC"
        if appeal.state == AppealState.APPEAL_STATE_OPEN
        else ""
    )
    out.print(f"  appeal {appeal.appeal_id}: [bold]{state}[/]{due}")
    out.print(f"  {escape(appeal.notice)}")


def show_reasons(reasons: Iterable[Reason], prompt: str = "", negative: str = "") -> None:
    """Everything that fired, with what it points to."""
    table = Table(box=None, padding=(0, 2), show_header=False)
    for reason in reasons:
        limit = f"rule {reason.rule}" if reason.rule else f"{reason.score:.2f} ≥ {reason.threshold:.2f}"
        places = ", ".join(place for place in (describe(e, prompt, negative) for e in reason.evidence) if place)
        table.add_row("", f"[bold]{escape(reason.category)}[/]", limit, escape(reason.message), strange(places))
    if table.row_count:
        out.print(table, soft_wrap=False)


def describe(evidence: Evidence, prompt: str = "", negative: str = "") -> str:
    """What a piece of evidence points to, in words."""
    match evidence.WhichOneof("kind"):
        case "span":
            span = evidence.span
            text = negative if span.form == TextForm.TEXT_FORM_NEGATIVE else prompt
            words = text.encode()[span.start : span.end].decode(errors="replace")
            return f"“{words}”" if words else f"bytes {span.start}–{span.end}"
        case "box":
            return f"{evidence.box.w}×{evidence.box.h} at ({evidence.box.x}, {evidence.box.y})"
        case "match":
            return f"{evidence.match.bank}/{evidence.match.entry}, distance {evidence.match.distance}"
        case "lineage":
            return f"generation {evidence.lineage.depth}"
    return ""
