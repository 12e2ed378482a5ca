"""The watch: what each answered request says of an account, a platform and a model, and what follows from it.

It stands beside the way of a request: an answer never waits for it. Observations lie in a queue of this process and are
written off in batches, a few statements each however many they are; what a gateway that is killed had not written yet
is lost to the rules and to nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from pydantic import TypeAdapter, ValidationError

from services.core import telemetry
from services.core.anomalies import block_ratio, rings, spurious, watched
from services.core.anomalies.alarm import Alarm, Rule
from services.core.anomalies.block_ratio import BlockRatio
from services.core.anomalies.rings import Member
from services.core.anomalies.spurious import Spurious
from services.core.anomalies.watched import Seen, Watched
from services.core.policy.anomaly_rules import Action, AnomalyRules
from services.core.policy.schema import PolicyDocument
from services.core.policy.source import ActivePolicy
from services.core.standing import conduct
from services.core.standing.ladder import horizon, score
from services.core.store import account_links, anomalies, watches
from services.core.store.anomalies import Anomaly
from services.core.store.database import Connection, Database
from services.core.store.watches import Watch
from services.gateway.busiest import Busiest
from services.gateway.sight import Sight

WHO = "anomalies"
MOST_WAITING = 10_000
BATCH = 200
REST = 4  # times as long as it worked
LONGEST_REST_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Crowd:
    """What is remembered of a tenant or a model; `fired` as in `Watched`."""

    block_ratio: BlockRatio = field(default_factory=BlockRatio)
    spurious: Spurious = field(default_factory=Spurious)
    fired: Mapping[Rule, float] = field(default_factory=dict[Rule, float])


_WATCHED: TypeAdapter[Watched] = TypeAdapter(Watched)
_CROWD: TypeAdapter[_Crowd] = TypeAdapter(_Crowd)


class Observer:
    """Takes sights at once and works them off behind the answers."""

    def __init__(self, database: Database, policy: ActivePolicy) -> None:
        self._database = database
        self._policy = policy
        self._waiting: asyncio.Queue[Sight] = asyncio.Queue(MOST_WAITING)
        self._busiest = Busiest()
        telemetry.BUSIEST_ACCOUNT.set_function(self._busiest.share)

    def see(self, sight: Sight) -> None:
        """Never waits; what a queue of 10,000 cannot hold is counted and dropped."""
        self._busiest.see((sight.tenant, sight.account))
        try:
            self._waiting.put_nowait(sight)
        except asyncio.QueueFull:
            telemetry.UNWATCHED.inc()

    async def keep_watch(self) -> None:
        """Works off what was seen, until cancelled; a batch that fails is counted and dropped.

        It rests longer than it works, so that batches grow with the load and the answers keep the processor.
        """
        while True:
            batch = [await self._waiting.get()]
            began = time.monotonic()
            while not self._waiting.empty() and len(batch) < BATCH:
                batch.append(self._waiting.get_nowait())
            try:
                await self._work_off(batch)
            except Exception as error:  # a fault here must not end the watch
                telemetry.UNWATCHED.inc(len(batch))
                log.error("not watched", requests=len(batch), **telemetry.fault(error))
            finally:
                for _ in batch:
                    self._waiting.task_done()
            await asyncio.sleep(min(LONGEST_REST_SECONDS, REST * (time.monotonic() - began)))

    async def settled(self) -> None:
        """Returns when all that was seen has been worked off."""
        await self._waiting.join()

    async def _work_off(self, batch: Sequence[Sight]) -> None:
        async with self._database.transaction() as conn:
            fired = await observe(conn, batch, self._policy.current.document)
        for anomaly in fired:
            telemetry.ANOMALIES.labels(anomaly.rule, anomaly.mode).inc()


async def observe(conn: Connection, batch: Sequence[Sight], policy: PolicyDocument) -> list[Anomaly]:
    """What a batch of sights adds to the states of those that it is about; fires rules, and acts where they enforce."""
    rules = policy.anomalies
    accounts = {Watch("account", sight.tenant, sight.account) for sight in batch}
    tenants = {Watch("tenant", sight.tenant, "") for sight in batch}
    models = {Watch("model", "", model) for sight in batch for model in sight.outputs}
    states = await watches.lock(conn, accounts | tenants | models)
    fired: list[Anomaly] = []
    after: dict[Watch, dict[str, Any]] = {}
    for watch in sorted(states):
        if watch.kind == "account":
            mine = [sight.seen for sight in batch if (sight.tenant, sight.account) == (watch.tenant, watch.subject)]
            state, found = await _account(conn, watch, _read(_WATCHED, states[watch], Watched()), mine, policy)
            after[watch] = _WATCHED.dump_python(state, mode="json")
        else:
            crowd, found = _crowd(watch, _read(_CROWD, states[watch], _Crowd()), batch, rules)
            after[watch] = _CROWD.dump_python(crowd, mode="json")
        fired += found
    await watches.save(conn, after)
    await anomalies.record(conn, fired)
    return fired


async def judge_newcomer(conn: Connection, tenant: str, account: str, at: datetime, policy: PolicyDocument) -> None:
    """Where an account that was just linked to others finds these suspended, it starts under watch.

    In a transaction of its own, after that of the links: it locks the watch before the account, as `observe` does.
    """
    alarm = rings.judge_newcomer(await _ring(conn, tenant, account, at, policy), policy.anomalies.rings)
    if alarm is None:
        return
    watch = Watch("account", tenant, account)
    state = _read(_WATCHED, (await watches.lock(conn, [watch]))[watch], Watched())
    if not watched.loud("rings", state.fired, at.timestamp(), policy.anomalies):
        return
    after = watched.fired(state, "rings", at.timestamp())
    await watches.save(conn, {watch: _WATCHED.dump_python(after, mode="json")})
    anomaly = _anomaly(tenant, account, alarm, at, policy.anomalies, sealed=state.sealed)
    await anomalies.record(conn, [anomaly])
    await _act(conn, anomaly, [account], policy)
    telemetry.ANOMALIES.labels(anomaly.rule, anomaly.mode).inc()


async def _account(
    conn: Connection, watch: Watch, state: Watched, sights: Sequence[Seen], policy: PolicyDocument
) -> tuple[Watched, list[Anomaly]]:
    rules = policy.anomalies
    fired: list[Anomaly] = []
    for seen in sights:
        state, alarms = watched.step(state, seen, rules)
        at = datetime.fromtimestamp(seen.at, UTC)
        for alarm in alarms:
            anomaly = _anomaly(watch.tenant, watch.subject, alarm, at, rules, sealed=state.sealed)
            await _act(conn, anomaly, [watch.subject], policy)
            fired.append(anomaly)
    last = sights[-1].at
    if any(seen.blocked for seen in sights) and watched.loud("rings", state.fired, last, rules):
        at = datetime.fromtimestamp(last, UTC)
        members = await _ring(conn, watch.tenant, watch.subject, at, policy)
        together = rings.judge(members, rules.rings)
        if together is not None:
            struck = [account for account, member in sorted(members.items()) if member.strikes > 0]
            anomaly = _anomaly(watch.tenant, watch.subject, together, at, rules, sealed=state.sealed)
            await _act(conn, anomaly, sorted({watch.subject, *struck}), policy)
            fired.append(anomaly)
            state = watched.fired(state, "rings", last)
    return state, fired


def _crowd(watch: Watch, state: _Crowd, batch: Sequence[Sight], rules: AnomalyRules) -> tuple[_Crowd, list[Anomaly]]:
    latest = max(sight.seen.at for sight in batch)
    if watch.kind == "tenant":
        mine = [sight.seen for sight in batch if sight.tenant == watch.tenant]
        blocked = sum(seen.blocked for seen in mine)
        ratio, alarm = block_ratio.step(
            state.block_ratio, blocked, len(mine), rules.tenant_block_ratio, "tenant_block_ratio"
        )
        after = _Crowd(ratio, state.spurious, state.fired)
    else:
        drawn = [sight.outputs[watch.subject] for sight in batch if watch.subject in sight.outputs]
        outputs, held = sum(shown for shown, _ in drawn), sum(bad for _, bad in drawn)
        spoilt, alarm = spurious.step(state.spurious, held, outputs, latest, rules.spurious, watch.subject)
        after = _Crowd(state.block_ratio, spoilt, state.fired)
    if alarm is None or not watched.loud(alarm.rule, state.fired, latest, rules):
        return after, []
    fired = _Crowd(after.block_ratio, after.spurious, {**state.fired, alarm.rule: latest})
    at = datetime.fromtimestamp(latest, UTC)
    return fired, [_anomaly(watch.tenant or None, watch.subject, alarm, at, rules, sealed=False)]


async def _ring(
    conn: Connection, tenant: str, account: str, at: datetime, policy: PolicyDocument
) -> Mapping[str, Member]:
    """The account's ring with what each has against it; empty where it shares nothing."""
    rule = policy.anomalies.rings
    links = await account_links.around(conn, tenant, account, rule.shared_by, rule.size)
    if not links:
        return {}
    members = rings.ring(account, links, rule)
    known = await account_links.members(conn, tenant, members, at - horizon(policy.standing))
    return {who: Member(score(member.strikes, policy.standing, at), member.shut_out) for who, member in known.items()}


async def _act(conn: Connection, anomaly: Anomaly, accounts: Sequence[str], policy: PolicyDocument) -> None:
    """Puts accounts to where the rule says, where it enforces; `flag` leaves it to people."""
    if anomaly.mode == "shadow" or anomaly.action == "flag" or anomaly.tenant is None:
        return
    ladder = policy.standing.ladder
    step: conduct.Imposed = "cooling" if anomaly.action == "cool" else "held"
    hours = ladder.cooling.hours if anomaly.action == "cool" else ladder.held.hours
    for account in accounts:
        await conduct.impose(
            conn,
            anomaly.tenant,
            account,
            step,
            f"anomaly.{anomaly.rule}",
            anomaly.at + timedelta(hours=hours),
            who=WHO,
            rules=policy.standing,
            now=anomaly.at,
            note="" if anomaly.sealed else anomaly.explanation,
        )


def _anomaly(
    tenant: str | None, subject: str, alarm: Alarm, at: datetime, rules: AnomalyRules, *, sealed: bool
) -> Anomaly:
    rule = getattr(rules, alarm.rule)
    action: Action = getattr(rule, "action", "flag")
    return Anomaly(uuid4(), at, tenant, subject, alarm.rule, rule.mode, action, alarm.explanation, alarm.facts, sealed)


def _read(adapter: TypeAdapter[Any], state: dict[str, Any], empty: Any) -> Any:
    """A state as written; one that another version of the house wrote otherwise begins anew."""
    try:
        return adapter.validate_python(state) if state else empty
    except ValidationError:
        return empty
