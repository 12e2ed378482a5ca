"""What conduct leads to, written in the caller's transaction under the lock of the account's row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from services.core import telemetry
from services.core.errors import InvalidInput
from services.core.policy.standing_rules import StandingRules
from services.core.standing.holding import enforced, hardest, imposed, outweighed, pardoned, settled, unchanged
from services.core.standing.ladder import (
    RUNGS,
    Jitter,
    Sanction,
    Standing,
    Strike,
    harder,
    horizon,
    sanctions,
    score,
    threshold,
)
from services.core.standing.trust import demote
from services.core.store import accounts, audit, events, review_items, strikes, suspensions
from services.core.store.accounts import Account
from services.core.store.database import Connection
from services.core.store.review_items import NewReviewItem
from services.core.store.strikes import Change, NewStrike
from services.core.verdicts import Reason, Verdict

Imposed = Literal["warned", "cooling", "held", "suspended", "banned"]

HOUSE = "portcullis"  # who it was, where no person was
EVERY_STRIKE = (False, True)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an account's strikes weigh, and the step that comes next with the weight from which on it comes.

    None where they weigh enough for every step.
    """

    weight: float
    step: Standing | None
    begins_at: float


async def strike(
    conn: Connection, tenant: str, account: str, new: NewStrike, rules: StandingRules, now: datetime
) -> None:
    """Gives a strike and what it leads to; the next request meets it. Testers of the filters are given none."""
    await accounts.get_or_create(conn, tenant, account)
    known = await accounts.lock(conn, tenant, account)
    if known.tier == "red_team" or not await strikes.give(conn, tenant, account, new, now):
        return
    telemetry.STRIKES.labels("conduct" if new.sealed else new.category, new.source).inc()
    await _reckon(conn, known, rules, now)


async def renew(conn: Connection, tenant: str, account: str, rules: StandingRules, now: datetime) -> Account:
    """The account with the standing that holds now, where the one on record has ended."""
    known = await accounts.lock(conn, tenant, account)
    if known.ended(now):
        await _reckon(conn, known, rules, now)
    return await accounts.get_or_create(conn, tenant, account)


async def impose(
    conn: Connection,
    tenant: str,
    account: str,
    step: Imposed,
    reason: str,
    until: datetime | None,
    *,
    who: str,
    rules: StandingRules,
    now: datetime,
    confirmed: bool = False,
    note: str = "",
) -> bool:
    """Puts an account at a step until a time (UTC), whatever its strikes weigh; returns whether its standing changed.

    `reason` is a code of at most 64 characters that its platform may see ("anomaly.velocity", "person", a category),
    `note` is for the desk alone. A rule gives an end; it cannot ban nor touch a tester of the filters, and a person
    will look at its suspensions. `confirmed` says that a person stands behind it: then `until` may be None, for no end.
    What is milder than what holds already changes nothing. Raises InvalidInput for a ban or an open end that is not
    confirmed and for an end in the past, NotFound for an account that is not known.
    """
    if not confirmed and (step == "banned" or until is None):
        raise InvalidInput("step", "a ban, and what has no end, needs a person's word")
    if until is not None and until <= now:
        raise InvalidInput("until", "lies in the past")
    known = await accounts.lock(conn, tenant, account)
    if not confirmed and (known.tier == "red_team" or outweighed(known, step, until, now)):
        return False
    moved = imposed(known, step, until, reason)
    changed = await _reckon(conn, moved, rules, now, who=who, note=note, confirmed=confirmed)
    if confirmed and not changed:  # a person's word is on record whether it changed the standing or not
        ends = until.astimezone(UTC).isoformat() if until else None
        await audit.append(conn, who, "account.imposed", f"{tenant}/{account}", step=step, until=ends, note=note)
    return changed


async def restore(
    conn: Connection, tenant: str, account: str, *, who: str, rules: StandingRules, now: datetime, note: str = ""
) -> bool:
    """Ends whatever holds, by a person's word; strikes keep their weight. Returns whether the standing changed.

    Raises NotFound for an account that is not known.
    """
    known = await accounts.lock(conn, tenant, account)
    changed = await _reckon(conn, pardoned(known, now), rules, now, who=who, note=note)
    if not changed:
        await audit.append(conn, who, "account.pardoned", f"{tenant}/{account}", note=note)
    return changed


async def reverse(
    conn: Connection,
    tenant: str,
    decision_id: UUID,
    *,
    who: str,
    why: str,
    rules: StandingRules,
    now: datetime,
    appeal: UUID | None = None,
    categories: list[str] | None = None,
    sealed: Collection[bool] = EVERY_STRIKE,
) -> int:
    """Takes back the strikes of a decision, as if never given, and what came of them; returns how many.

    `categories` leaves those of other categories as they are, and `sealed` says of which kind they are taken. What a
    person imposed stays until `restore`.
    """
    taken = await strikes.reverse(
        conn, tenant, decision_id, who=who, why=why, appeal=appeal, now=now, categories=categories, sealed=sealed
    )
    for account in sorted(set(taken)):
        said = {"decision": str(decision_id), "why": why}
        await audit.append(conn, who, "account.strikes_reversed", f"{tenant}/{account}", **said)
        known = await accounts.lock(conn, tenant, account)
        await _reckon(conn, known, rules, now, who=who, note=why)
    return len(taken)


async def confirm_suspension(
    conn: Connection, tenant: str, account: str, *, who: str, rules: StandingRules, now: datetime
) -> None:
    """A person has looked and lets a suspension stand; where its weight is enough for a ban, this bans.

    Changes nothing where it has ended meanwhile.
    """
    known = await accounts.lock(conn, tenant, account)
    if known.standing_at(now) != "suspended":
        return
    await audit.append(conn, who, "account.suspension_upheld", f"{tenant}/{account}")
    found = await _ladder(conn, known, rules, now)
    if enforced("banned", rules) and any(each.repeated for each in found if each.step == "suspended"):
        reason = known.standing_reason
        await impose(conn, tenant, account, "banned", reason, None, who=who, rules=rules, now=now, confirmed=True)


async def weight(conn: Connection, known: Account, rules: StandingRules, now: datetime) -> float:
    """The decayed weight of an account's strikes that anyone may know of."""
    history = await strikes.history(conn, known.tenant, known.account, now - horizon(rules))
    return score([each for each in history if not each.sealed], rules, now)


async def outlook(
    conn: Connection, known: Account, rules: StandingRules, now: datetime, *, sealed: Collection[bool]
) -> Outlook:
    """What the strikes that one may know of (`sealed` says of which kind) weigh, and what comes next by them."""
    history = await strikes.history(conn, known.tenant, known.account, now - horizon(rules))
    weighs, jitter = score([each for each in history if each.sealed in sealed], rules, now), await _jitter(conn, known)
    steps: tuple[Standing, ...] = (*RUNGS, "banned")
    ahead = ((step, begins_at) for step in steps if (begins_at := threshold(step, rules, jitter)) > weighs)
    step, begins_at = next(ahead, (None, 0.0))
    return Outlook(weighs, step, begins_at)


async def _ladder(conn: Connection, known: Account, rules: StandingRules, now: datetime) -> list[Sanction]:
    history = await strikes.history(conn, known.tenant, known.account, now - horizon(rules))
    return sanctions(history, rules, now, await _jitter(conn, known), known.pardoned_at)


async def _jitter(conn: Connection, known: Account) -> Jitter:
    return Jitter(await strikes.secret(conn), known.tenant, known.account)


async def _reckon(
    conn: Connection,
    known: Account,
    rules: StandingRules,
    now: datetime,
    *,
    who: str = HOUSE,
    note: str = "",
    confirmed: bool = False,
) -> bool:
    """Works out what holds now and writes it, under the lock of the row; returns whether the standing changed."""
    history = await strikes.history(conn, known.tenant, known.account, now - horizon(rules))
    jitter = await _jitter(conn, known)
    found = sanctions(history, rules, now, jitter, known.pardoned_at)
    holds = hardest(known, found, rules, now)
    change = await _move(conn, known, holds, now, who, note)
    for each in found:
        if not enforced(each.step, rules) and harder(each.step, holds.step):
            await _record_shadow(conn, known, each, now)
    if change and holds.step == "suspended" and not confirmed:
        await _call_person(conn, known, change, holds, history, rules)
    await demote(conn, known, score(history, rules, now), rules, jitter)
    return change is not None


async def _move(conn: Connection, known: Account, holds: Sanction, now: datetime, who: str, note: str) -> Change | None:
    """Writes the standing; with its history, its event and the audit where it is another than before."""
    await accounts.set_standing(conn, settled(known, holds, now))
    if unchanged(known, holds, now):
        return None
    change = Change(uuid4(), known.standing, holds.step, "enforce", holds.until, holds.category, who, note, now)
    await strikes.record_change(conn, known.tenant, known.account, change)
    what = "account.restored" if harder(known.standing, holds.step) else f"account.{holds.step}"
    told: dict[str, Any] = {
        "standing": holds.step,
        "until": holds.until.astimezone(UTC).isoformat() if holds.until else None,
        "reason": holds.category,
    }
    await events.append(conn, what, known.account, tenant=known.tenant, **told)
    await audit.append(conn, who, what, f"{known.tenant}/{known.account}", before=known.standing, note=note, **told)
    telemetry.STANDING_CHANGES.labels(holds.step, "enforce").inc()
    return change


async def _record_shadow(conn: Connection, known: Account, would: Sanction, now: datetime) -> None:
    if await strikes.shadowed(conn, known.tenant, known.account, would.step, now):
        return
    change = Change(uuid4(), known.standing, would.step, "shadow", would.until, would.category, HOUSE, "", now)
    await strikes.record_change(conn, known.tenant, known.account, change)
    telemetry.STANDING_CHANGES.labels(would.step, "shadow").inc()


async def _call_person(
    conn: Connection, known: Account, change: Change, holds: Sanction, history: list[Strike], rules: StandingRules
) -> None:
    """Opens the case of a suspension that no person stands behind; one that is open already is enough.

    It is a case of its own, under the change's id: it belongs to no request that could be resumed.
    """
    if await suspensions.is_open(conn, known.tenant, known.account):
        return
    message = f"Suspended for {change.reason}: strikes that count weigh {score(history, rules, change.at):.1f}."
    if holds.repeated and enforced("banned", rules):
        message += " That is enough for a ban: to uphold it bans the account."
    reason = Reason(change.reason, message, 1.0, 0.0, Verdict.REVIEW, rule="suspension")
    item = NewReviewItem(
        item_id=uuid4(),
        stage="prompt",
        verdict=Verdict.REVIEW,
        reasons=(reason,),
        held=False,
        sealed=any(each.sealed for each in history),
        kind="suspension",
        subject=change.change_id,
        tier=known.tier,
    )
    await review_items.open_items(conn, change.change_id, known.tenant, known.account, [item])
