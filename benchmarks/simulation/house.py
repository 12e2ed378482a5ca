"""The house's side, by its own pure functions: the watch on accounts, their rings, and the ladder of standing.

Nothing is decided here: Postgres is replaced by dictionaries, and that is all. `tests/integration/test_anomalies.py`
plays one history on both and compares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.core.anomalies import rings, watched
from services.core.anomalies.alarm import Alarm
from services.core.anomalies.rings import Member
from services.core.anomalies.watched import Seen, Watched
from services.core.policy.schema import PolicyDocument
from services.core.standing import holding, ladder
from services.core.standing.ladder import Jitter, Standing, Strike
from services.core.store.accounts import Account

TENANT = "acme"
STOPPED: tuple[Standing, ...] = ("held", "suspended", "banned")


@dataclass(slots=True)
class Book:
    """One account as the house knows it, with what it ever was at and which rules ever fired for it."""

    known: Account
    strikes: list[Strike] = field(default_factory=list[Strike])
    watched: Watched = field(default_factory=Watched)
    ever: set[Standing] = field(default_factory=set[Standing])
    fired: set[str] = field(default_factory=set[str])


class House:
    """The books of all accounts."""

    def __init__(self, policy: PolicyDocument, secret: bytes) -> None:
        self.policy = policy
        self.looks: list[str] = []  # accounts that a person has to look at; whoever reads it empties it
        self._secret = secret
        self._books: dict[str, Book] = {}
        self._sharers: dict[bytes, set[str]] = defaultdict(set)
        self._shares: dict[str, set[bytes]] = defaultdict(set)
        self._strikes = 0

    def book(self, account: str) -> Book:
        """The account's, made where it is new."""
        if account not in self._books:
            self._books[account] = Book(Account(TENANT, account, "new", "good", None))
        return self._books[account]

    def standing(self, account: str, now: datetime) -> Standing:
        """What holds now, as `entry.enter` finds out."""
        book = self.book(account)
        if book.known.ended(now):
            self._reckon(book, now)
        return book.known.standing

    def link(self, account: str, hashes: Sequence[bytes], now: datetime) -> None:
        """What the account shares, as `UpdateAccount` tells it."""
        for shared in hashes:
            self._sharers[shared].add(account)
            self._shares[account].add(shared)
        alarm = rings.judge_newcomer(self._members(account, now), self.policy.anomalies.rings) if hashes else None
        if alarm and self._loud(account, now):
            self._fire_ring(account, alarm, [account], now)

    def record(self, account: str, sketch: bytes, now: datetime, *, blocked: bool, category: str) -> None:
        """What a checked request leaves behind: a strike, and what the watch makes of it."""
        book = self.book(account)
        if blocked:
            self.strike(account, category, self.policy.standing.severity.blocked, now)
        seen = Seen(now.timestamp(), blocked, sketch if blocked else b"")
        book.watched, alarms = watched.step(book.watched, seen, self.policy.anomalies)
        for alarm in alarms:
            self._act(book, alarm, [account], now)
        if blocked and self._shares[account] and self._loud(account, now):
            members = self._members(account, now)
            if found := rings.judge(members, self.policy.anomalies.rings):
                struck = [who for who, member in members.items() if member.strikes > 0]
                self._fire_ring(account, found, {account, *struck}, now)

    def strike(self, account: str, category: str, severity: float, now: datetime) -> None:
        """Gives a strike, where the category weighs anything."""
        weight = self.policy.standing.weight_of(category) * severity
        if weight == 0:
            return
        self._strikes += 1
        book = self.book(account)
        book.strikes.append(Strike(UUID(int=self._strikes), now, weight, category))
        self._reckon(book, now)

    def restore(self, account: str, now: datetime) -> None:
        """A person ends what holds, as `conduct.restore`."""
        book = self.book(account)
        book.known = holding.pardoned(book.known, now)
        self._reckon(book, now)

    def impose(self, account: str, step: Standing, until: datetime, now: datetime, *, confirmed: bool = False) -> None:
        """A rule or a person puts the account at a step, as `conduct.impose`."""
        book = self.book(account)
        if not confirmed and holding.outweighed(book.known, step, until, now):
            return
        book.known = holding.imposed(book.known, step, until, "anomaly")
        self._reckon(book, now, confirmed=confirmed)

    def _members(self, account: str, now: datetime) -> dict[str, Member]:
        rule = self.policy.anomalies.rings
        return {
            who: Member(
                ladder.score(self.book(who).strikes, self.policy.standing, now),
                self.book(who).known.standing in ("suspended", "banned"),
            )
            for who in rings.ring(account, self._links_around(account), rule)
        }

    def _links_around(self, account: str) -> Iterable[tuple[str, bytes]]:
        """All links that a walk from this account can meet."""
        edge, met = [account], {account}
        while edge:
            for shared in self._shares[edge.pop()]:
                for who in self._sharers[shared]:
                    yield who, shared
                    if who not in met and len(self._sharers[shared]) <= self.policy.anomalies.rings.shared_by:
                        met.add(who)
                        edge.append(who)

    def _loud(self, account: str, now: datetime) -> bool:
        return watched.loud("rings", self.book(account).watched.fired, now.timestamp(), self.policy.anomalies)

    def _fire_ring(self, account: str, alarm: Alarm, accounts: Collection[str], now: datetime) -> None:
        book = self.book(account)
        book.watched = watched.fired(book.watched, "rings", now.timestamp())
        self._act(book, alarm, accounts, now)

    def _act(self, book: Book, alarm: Alarm, accounts: Collection[str], now: datetime) -> None:
        rule = getattr(self.policy.anomalies, alarm.rule)
        book.fired.add(alarm.rule)
        self.looks.append(book.known.account)
        if rule.mode == "shadow" or rule.action == "flag":
            return
        steps = self.policy.standing.ladder
        step: Standing = "cooling" if rule.action == "cool" else "held"
        hours = steps.cooling.hours if rule.action == "cool" else steps.held.hours
        for account in sorted(accounts):
            self.impose(account, step, now + timedelta(hours=hours), now)

    def _reckon(self, book: Book, now: datetime, *, confirmed: bool = False) -> None:
        """As `conduct._reckon`, by the same functions."""
        rules, known = self.policy.standing, book.known
        jitter = Jitter(self._secret, TENANT, known.account)
        found = ladder.sanctions(book.strikes, rules, now, jitter, known.pardoned_at)
        holds = holding.hardest(known, found, rules, now)
        book.known = holding.settled(known, holds, now)
        book.ever.add(holds.step)
        if holds.step == "suspended" and known.standing != "suspended" and not confirmed:
            self.looks.append(known.account)
