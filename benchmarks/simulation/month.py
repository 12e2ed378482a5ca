"""A month: everybody's requests and every person's look, in the order of time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.simulation.house import STOPPED, House
from benchmarks.simulation.people import DAY, Answer, Ask, Class, Life, Minds, World, honest, prober, ring
from services.core.policy.schema import PolicyDocument

START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(slots=True)
class Course:
    """What became of one account: violations tried while nothing stopped it, and when it was stopped (seconds)."""

    kind: Class
    requests: int = 0
    violations: int = 0
    got_through: int = 0
    stopped_at: float | None = None
    blocked: int = 0


@dataclass(slots=True)
class Month:
    """The month as it went."""

    house: House
    courses: dict[str, Course] = field(default_factory=dict[str, Course])


def live(world: World, policy: PolicyDocument, seed: int) -> Month:
    """One month of one world."""
    rng = np.random.default_rng(seed)
    minds = Minds(world, rng)
    month = Month(House(policy, seed.to_bytes(32)))
    events: list[tuple[float, int, Callable[[float], None]]] = []
    order = iter(range(10**9))

    def later(at: float, what: Callable[[float], None]) -> None:
        heapq.heappush(events, (at, next(order), what))

    def act(life: Life, answer: Answer | None = None) -> None:
        """Lets somebody think until the next request, and notes when that is."""
        try:
            ask = life.send(answer) if answer is not None else next(life)
        except StopIteration:
            return
        later(ask.at, lambda _at: act(life, _judge(month, world, rng, ask, later)))

    for life in _settle_in(minds, month, later):
        act(life)
    while events and events[0][0] < world.days * DAY:
        at, _, what = heapq.heappop(events)
        what(at)
        while month.house.looks:
            account = month.house.looks.pop()
            wait = rng.uniform(*world.review_hours) * 3600
            later(at + wait, lambda then, account=account: _look(month, world, rng, account, then))
    return month


def _settle_in(minds: Minds, month: Month, later: Callable[[float, Callable[[float], None]], None]) -> list[Life]:
    """Everybody, with what they share with others."""
    world, rng = minds.world, minds.rng
    lives: list[Life] = []

    def join(account: str, kind: Class, born: float, hashes: list[bytes]) -> None:
        month.courses[account] = Course(kind)
        later(born, lambda at: month.house.link(account, hashes, _time(at)))

    people = [f"honest-{n}" for n in range(world.honest)]
    shares: dict[str, list[bytes]] = {account: [] for account in people}
    place = 0
    while place < world.honest * world.family_share:
        size = int(rng.integers(2, 5))
        for account in people[place : place + size]:
            shares[account].append(b"family device %d" % place)
        place += size
    for account in people[-world.school :]:
        shares[account].append(b"the school's device")
    for account in people:
        born = float(rng.uniform(0, world.days * DAY)) if rng.random() < 0.3 else 0.0
        join(account, "honest", born, shares[account])
        lives.append(honest(minds, account, born))
    for n in range(world.probers):
        join(f"prober-{n}", "prober", 0.0, [])
        lives.append(prober(minds, f"prober-{n}"))
    for n in range(world.rings):
        accounts: dict[str, float] = {}
        for m in range(world.ring_size):
            account, born = f"ring-{n}-{m}", 0.0 if m < world.ring_size // 2 else float(rng.uniform(0, 20 * DAY))
            device, payment = b"ring %d device %d" % (n, rng.integers(3)), b"ring %d payment %d" % (n, rng.integers(2))
            hashes = [device] * (rng.random() < world.ring_device) + [payment] * (rng.random() < world.ring_payment)
            accounts[account] = born
            join(account, "ring", born, hashes)
        lives.append(ring(minds, accounts))
    return lives


def _judge(
    month: Month,
    world: World,
    rng: np.random.Generator,
    ask: Ask,
    later: Callable[[float, Callable[[float], None]], None],
) -> Answer:
    """The way of one request: admitted or not, checked, recorded."""
    house, course, now = month.house, month.courses[ask.account], _time(ask.at)
    standing = house.standing(ask.account, now)
    if standing in ("cooling", "suspended", "banned"):
        return Answer("refused", standing, _seconds(house.book(ask.account).known.standing_until))
    course.requests += 1
    stopped = rng.random() < ask.doubt
    blocked = stopped and rng.random() >= world.held_share
    if ask.violates and standing != "held":
        course.violations += 1
        course.got_through += not stopped
    course.blocked += blocked
    house.record(ask.account, np.packbits(ask.sketch).tobytes(), now, blocked=blocked, category=ask.category)
    looked_at = (stopped and not blocked) or (standing == "held" and not blocked)
    if looked_at:
        # In doubt are what the filter held, and true violations; a plainly harmless picture is hardly ever upheld.
        wrong = world.uphold_error if ask.violates else world.release_error if stopped else world.release_error / 20
        rules = house.policy.standing
        severity = rules.severity.upheld * (1.0 if stopped else rules.outputs)
        if (rng.random() < wrong) != ask.violates:
            later(
                ask.at + rng.uniform(*world.review_hours) * 3600,
                lambda at: house.strike(ask.account, ask.category, severity, _time(at)),
            )
    after = house.standing(ask.account, now)
    if after in STOPPED and course.stopped_at is None:
        course.stopped_at = ask.at
    verdict = "block" if blocked else "review" if looked_at else "allow"
    return Answer(verdict, after, _seconds(house.book(ask.account).known.standing_until))


def _look(month: Month, world: World, rng: np.random.Generator, account: str, at: float) -> None:
    """A person looks at an account: a suspension stands or is lifted, an anomaly is confirmed or waved away."""
    now, house = _time(at), month.house
    abuser = month.courses[account].kind != "honest"
    wrong = rng.random() < (world.account_miss if abuser else world.account_error)
    if abuser != wrong:
        hours = house.policy.standing.ladder.suspended.hours
        house.impose(account, "suspended", now + timedelta(hours=hours), now, confirmed=True)
        if month.courses[account].stopped_at is None:
            month.courses[account].stopped_at = at
    elif house.standing(account, now) in ("held", "suspended"):
        house.restore(account, now)


def _time(at: float) -> datetime:
    return START + timedelta(seconds=at)


def _seconds(at: datetime | None) -> float:
    return np.inf if at is None else (at - START).total_seconds()
