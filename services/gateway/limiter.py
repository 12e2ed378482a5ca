"""Decides about limits for all calls of one gateway at once: what has gathered goes to Postgres as one statement.

While one statement is on its way the next calls gather, so that a busy key costs a row lock a batch and not a call. A
call takes from all its limits or from none. A batch asks for the sum of its calls; where that does not fit, nothing is
taken, the truth is learned, and those that fit by it are asked for again. What is known to be over its limit is refused
from memory, without Postgres, until the truth is some seconds old.

Calls at once are counted here and published as this gateway's own count, so that a call that ends in any way, or a
gateway that dies, leaves nothing behind for longer than a lease.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from cachetools import FIFOCache
from prometheus_client import Counter as Metric

from services.core import telemetry
from services.core.errors import Exhausted, PortcullisError, QuotaViolation
from services.core.limits.charges import Charge
from services.core.store import limits
from services.core.store.database import Database
from services.core.store.limits import Truth
from services.gateway.limit_plan import Known, Plan

MAX_BATCH = 256
MAX_KNOWN = 65_536
BUCKET_MEMORY_SECONDS = 5.0  # another gateway may have given back
SLOT_MEMORY_SECONDS = 0.25
PUBLISH_SECONDS = 0.05  # so that under load what ends goes along with what begins
TRIES = 3
UNBOUNDED = 2**62  # what runs is published as it is, whatever the limit says


@dataclass(frozen=True, slots=True)
class Tightest:
    """How it stands with the limit that a call came nearest to: all of it, what is left, seconds until all is back."""

    limit: int
    left: int
    resets_in: float


@dataclass(frozen=True, slots=True)
class Grant:
    """What a call took; hand it to `release` when the call has ended."""

    charges: tuple[Charge, ...] = ()
    tightest: Tightest | None = None


NOTHING = Grant()


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one limit for one subject now; `resets_in` is in seconds, 0 where all of it is there."""

    charge: Charge
    left: int
    resets_in: float


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    charges: tuple[Charge, ...]
    future: asyncio.Future[Grant]


class Limiter:
    """One for each gateway process and database."""

    def __init__(self, database: Database) -> None:
        self._lane = database.lane
        self._me = uuid4().hex
        self._asks: list[_Ask] = []
        self._returned: dict[str, tuple[float, float]] = {}
        self._mine: Counter[str] = Counter()
        self._unpublished: set[str] = set()
        self._known: FIFOCache[str, Known] = FIFOCache(MAX_KNOWN)
        self._ahead = time.time() - time.monotonic()  # Postgres' clock before ours; its own from the first answer on
        self._work: asyncio.Task[None] | None = None
        self._publishing: asyncio.TimerHandle | None = None
        self._counters: dict[tuple[str, str, str], Metric] = {}

    async def take(self, charges: Sequence[Charge]) -> Grant:
        """Takes all `charges`, or raises Exhausted and takes none; those in shadow never raise, but are counted.

        Raises Unavailable while Postgres does not answer: nothing is let through uncounted.
        """
        if not charges:
            return NOTHING
        if self.over(charges):
            raise self.refusal(charges)
        ask = _Ask(tuple(charges), asyncio.get_running_loop().create_future())
        self._asks.append(ask)
        self._wake()
        try:
            return await ask.future
        except asyncio.CancelledError:
            if ask.future.done() and not ask.future.cancelled() and ask.future.exception() is None:
                self.undo(ask.future.result())
            raise

    def release(self, grant: Grant) -> None:
        """Ends a call: its slots are free at once here, and for other gateways with the next statement, or soon."""
        for charge in grant.charges:
            if charge.limit.bucket is None:
                self._mine[charge.key] -= 1
                self._known.pop(charge.key, None)
                self._unpublished.add(charge.key)
        if self._unpublished and self._publishing is None:
            loop = asyncio.get_running_loop()
            self._publishing = loop.call_later(PUBLISH_SECONDS, self._publish)

    def give_back(self, charges: Iterable[Charge]) -> None:
        """Gives rates and pixels back that came to nothing; slots are `release`d."""
        for charge in charges:
            if (bucket := charge.limit.bucket) is not None:
                before, _ = self._returned.get(charge.key, (0.0, 0.0))
                self._returned[charge.key] = (before - charge.units * bucket.period, bucket.depth)
                self._known.pop(charge.key, None)
        if self._returned:
            self._wake()

    def undo(self, grant: Grant) -> None:
        """As if the call had never been."""
        self.release(grant)
        self.give_back(grant.charges)

    async def left(self, bound: Sequence[Charge]) -> list[Left]:
        """What is left of each limit."""
        buckets = [charge.key for charge in bound if charge.limit.bucket is not None]
        slots = [charge.key for charge in bound if charge.limit.bucket is None]
        truth = await limits.read(self._lane, buckets, slots, self._me)
        found = []
        for charge in bound:
            if (bucket := charge.limit.bucket) is None:
                running = truth.others.get(charge.key, 0) + self._mine[charge.key]
                found.append(Left(charge, max(0, charge.limit.limit - running), 0.0))
            else:
                tat = truth.tats.get(charge.key, 0.0)
                found.append(Left(charge, bucket.left(tat, truth.now), max(0.0, tat - truth.now)))
        return found

    async def settled(self) -> None:
        """Waits until everything that was released or given back is in the books."""
        self._publish()
        while self._work is not None and not self._work.done():
            await asyncio.wait([self._work])

    def _publish(self) -> None:
        if self._publishing is not None:
            self._publishing.cancel()
            self._publishing = None
        if self._unpublished:
            self._wake()

    def _wake(self) -> None:
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        """Works until nothing waits; one at a time, for that is what lets calls gather."""
        while self._asks or self._returned or (self._unpublished and self._publishing is None):
            batch, self._asks = self._asks[:MAX_BATCH], self._asks[MAX_BATCH:]
            try:
                await self._decide(batch, 0)
            except Exception as error:
                # What could not be published ends with its lease, what could not be given back with its window.
                self._returned.clear()
                self._unpublished.clear()
                for ask in batch:
                    if not ask.future.done():
                        ask.future.set_exception(error)
                if not isinstance(error, PortcullisError):
                    raise

    async def _decide(self, asks: Sequence[_Ask], tries: int) -> None:
        asks = [ask for ask in asks if not ask.future.done()]
        plan = self._plan()
        fitting: list[tuple[_Ask, tuple[Charge, ...]]] = []
        over: list[_Ask] = []
        for ask in asks:
            taken = plan.fit(ask.charges)
            if taken is None:
                over.append(ask)
            else:
                fitting.append((ask, taken))
        refused = await self._ask(plan)
        if not refused:
            for ask, taken in fitting:
                self._admit(ask, taken)
            for ask in over:
                self._refuse(ask)
            return
        touched = [ask for ask in asks if any(charge.key in refused for charge in ask.charges)]
        clean = [ask for ask in asks if ask not in touched]
        if clean:
            await self._decide(clean, tries)
        if tries < TRIES:
            await self._decide(touched, tries + 1)
        elif len(touched) > 1:
            middle = len(touched) // 2
            await self._decide(touched[:middle], tries)
            await self._decide(touched[middle:], tries)
        elif touched:
            await self._give_in(touched[0], refused)

    async def _give_in(self, ask: _Ask, refused: frozenset[str]) -> None:
        """Ends one that others were always faster than: refused by a limit in force, let past those in shadow."""
        shut = [charge for charge in ask.charges if charge.key in refused]
        if any(charge.limit.enforced for charge in shut):
            self._refuse(ask)
            return
        self._count(shut, "over")
        await self._decide([_Ask(tuple(charge for charge in ask.charges if charge not in shut), ask.future)], 0)

    async def _ask(self, plan: Plan) -> frozenset[str]:
        """Takes what was planned, together with what was given back and released; returns the keys that refused."""
        returned, self._returned = self._returned, {}
        released, self._unpublished = self._unpublished, set()
        costs = dict(plan.costs)
        for key, (back, depth) in returned.items():
            costs[key] = (costs.get(key, (0.0, 0.0))[0] + back, depth)
        slots = {
            key: (self._mine[key] + plan.slots.get(key, 0), plan.most.get(key, UNBOUNDED))
            for key in sorted(plan.slots.keys() | released)
        }
        if not costs and not slots:
            return frozenset()
        taken = await limits.take(self._lane, costs, slots, self._me)
        if taken is None:
            # Nothing was taken: what is the truth, of all keys that may have refused?
            truth = await limits.read(self._lane, plan.costs, plan.slots, self._me)
            self._learn(truth)
            self._unpublished |= released
            for key, (back, depth) in returned.items():
                self._returned[key] = (self._returned.get(key, (0.0, 0.0))[0] + back, depth)
            return self._too_much(plan)
        self._learn(taken)
        self._mine.update(plan.slots)
        self._mine += Counter()  # forgets what is zero
        return frozenset()

    def _too_much(self, plan: Plan) -> frozenset[str]:
        """The keys of a plan that refused it, by what is known now; all of them where nothing tells."""
        now, known = self._now(), self._known
        found = {
            key
            for key, (cost, depth) in plan.costs.items()
            if key in known and max(known[key].number, now) + cost > now + depth
        }
        found |= {
            key
            for key, more in plan.slots.items()
            if key in known and known[key].number + self._mine[key] + more > plan.most[key]
        }
        return frozenset(found or plan.costs.keys() | plan.slots.keys())

    def _learn(self, truth: Truth) -> None:
        ours = time.monotonic()
        self._ahead = truth.now - ours
        for key, tat in truth.tats.items():
            if (ends_in := tat - self._ahead - ours) > 0:
                self._known[key] = Known(tat, ours + min(ends_in, BUCKET_MEMORY_SECONDS))
        for key, others in truth.others.items():
            self._known[key] = Known(others, ours + SLOT_MEMORY_SECONDS)

    def over(self, charges: Sequence[Charge]) -> bool:
        """Whether a call is over a limit for sure, by what is remembered; asks and charges nothing."""
        plan = self._plan()
        return any(charge.limit.enforced and plan.wait(charge) > 0 for charge in charges)

    def _plan(self) -> Plan:
        return Plan(self._known, self._mine, time.monotonic(), self._now())

    def _now(self) -> float:
        return time.monotonic() + self._ahead

    def _admit(self, ask: _Ask, taken: tuple[Charge, ...]) -> None:
        self._count(taken, "allowed")
        if len(taken) < len(ask.charges):
            self._count((charge for charge in ask.charges if charge not in taken), "over")
        grant = Grant(taken, self._tightest(taken))
        if ask.future.done():  # the caller left
            self.undo(grant)
        else:
            ask.future.set_result(grant)

    def _refuse(self, ask: _Ask) -> None:
        if not ask.future.done():
            ask.future.set_exception(self.refusal(ask.charges))

    def refusal(self, charges: Sequence[Charge]) -> Exhausted:
        """Counts a refusal and tells by which limits, and when it would pass, as far as is known."""
        plan = self._plan()
        waits = [(charge, plan.wait(charge)) for charge in charges if charge.limit.enforced]
        over = [(charge, wait) for charge, wait in waits if wait > 0] or waits[:1]
        self._count((charge for charge, _ in over), "over")
        longest = max(wait for _, wait in over)
        names = ", ".join(charge.name for charge, _ in over)
        first = over[0][0]
        return Exhausted(
            f"over the limit {names}" if math.isfinite(longest) else f"asks for more than the limit {names} ever gives",
            reason="LIMIT",
            retry_after=longest if math.isfinite(longest) else None,
            violations=[_violation(charge) for charge, _ in over],
            limit=first.limit.limit,
        )

    def _count(self, charges: Iterable[Charge], outcome: str) -> None:
        for charge in charges:
            decision = charge.name, charge.limit.mode, outcome
            counter = self._counters.get(decision)
            if counter is None:  # `labels` costs more than the counting
                counter = self._counters[decision] = telemetry.LIMIT_DECISIONS.labels(*decision)
            counter.inc()

    def _tightest(self, taken: Sequence[Charge]) -> Tightest | None:
        """How it stands with the enforced rate of which the smallest share is left."""
        plan, nearest, share = self._plan(), None, math.inf
        for charge in taken:
            bucket = charge.limit.bucket
            if bucket is not None and charge.limit.enforced:
                used = max(0.0, plan.tat(charge.key) - plan.now)
                if (free := 1 - used / bucket.depth) < share:
                    nearest, share = Tightest(charge.limit.limit, bucket.left(plan.now + used, plan.now), used), free
        return nearest


def _violation(charge: Charge) -> QuotaViolation:
    limit = charge.limit
    kinds = {
        "rate": f"{limit.limit} calls in {limit.window:g} s",
        "concurrent": f"{limit.limit} calls at once",
        "pixels": f"{limit.limit} pixels in 24 hours",
    }
    return QuotaViolation(f"{limit.per}:{charge.subject}", f"{charge.name}: {kinds[limit.kind]}")
