"""The house's side, by its own pure functions: the watch on accounts, their rings, and the ladder of standing.

Nothing is decided here. Postgres is replaced by dictionaries, the analysts by chance with the world's error rates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.core.anomalies import rings, watched
from services.core.anomalies.alarm import Alarm
from services.core.anomalies.rings import Member
from services.core.anomalies.watched import Seen, Watched
from services.core.policy.schema import PolicyDocument
from services.core.standing import ladder
from services.core.standing.ladder import Jitter, Standing, Strike

START = datetime(2026, 11, 1, tzinfo=UTC)
SECRET = bytes(32)
TENANT = "acme"
STOPPED: tuple[Standing, ...] = ("held", "suspended", "banned")


@dataclass(slots=True)
class Book:
    """One account as the house knows it."""

    account: str
    strikes: list[Strike] = field(default_factory=list[Strike])
    watched: Watched = field(default_factory=Watched)
    imposed: tuple[Standing, datetime] | None = None
    pardoned_at: datetime | None = None
    standing: Standing = "good"
    until: datetime | None = None
    ever: set[Standing] = field(default_factory=set[Standing])
    fired: set[str] = field(default_factory=set[str])
    hours: dict[Standing, float] = field(default_factory=lambda: defaultdict(float))


class House:
    """Keeps the books of all accounts."""

    def __init__(self, policy: PolicyDocument, salt: int) -> None:
        self.policy = policy
        self.books: dict[str, Book] = {}
        self._links: dict[str, set[tuple[str, bytes]]] = defaultdict(set)
        self._shares: dict[str, set[bytes]] = defaultdict(set)
        self._secret = salt.to_bytes(32)
        self.looks: list[tuple[datetime, str]] = []  # accounts that a person must look at, since when
        self._decisions = 0

    def link(self, account: str, hashes: Sequence[bytes], now: datetime) -> None:
        """What `UpdateAccount` does with shared hashes."""
        for shared in hashes:
            self._links[shared.hex()].add((account, shared))
            self._shares[account].add(shared)
        if not hashes:
            return
        alarm = rings.judge_newcomer(self._members(account, now), self.policy.anomalies.rings)
        if alarm:
            self._fire(self.book(account), alarm, now, [account])

    def book(self, account: str) -> Book:
        """The account's, made where it is new."""
        return self.books.setdefault(account, Book(account))

    def standing(self, account: str, now: datetime) -> Standing:
        """What holds now."""
        book = self.book(account)
        if book.until is not None and book.until <= now:
            self._settle(book, now)
        return book.standing

    def record(self, account: str, sketch: bytes, now: datetime, *, blocked: bool, category: str) -> None:
        """What a checked request leaves behind: a strike, and what the watch makes of it."""
        book = self.book(account)
        if blocked:
            self.strike(account, category, self.policy.standing.severity.blocked, now)
        book.watched, alarms = watched.step(
            book.watched, Seen(now.timestamp(), blocked, sketch), self.policy.anomalies
        )
        for alarm in alarms:
            self._fire(book, alarm, now, [account])
        if blocked and self._shares[account] and watched.loud("rings", book.watched.fired, now.timestamp(), self.policy.anomalies):
            members = self._members(account, now)
            alarm = rings.judge(members, self.policy.anomalies.rings)
            if alarm:
                w = book.watched
                book.watched = Watched(w.velocity, w.block_ratio, w.topics, {**w.fired, "rings": now.timestamp()}, w.sealed)
                self._fire(book, alarm, now, sorted({account, *(who for who, m in members.items() if m.strikes > 0)}))

    def strike(self, account: str, category: str, severity: float, now: datetime) -> None:
        """Adds a strike, where the category weighs anything."""
        weight = self.policy.standing.weight_of(category) * severity
        self._decisions += 1
        if weight > 0:
            book = self.book(account)
            book.strikes.append(Strike(UUID(int=self._decisions), now, weight, category))
            self._settle(book, now)

    def restore(self, account: str, now: datetime) -> None:
        """A person ends what holds."""
        book = self.book(account)
        book.imposed, book.pardoned_at = None, now
        self._settle(book, now)

    def impose(self, account: str, step: Standing, until: datetime, now: datetime) -> None:
        """A rule or a person puts the account at a step."""
        book = self.book(account)
        if book.imposed is None or book.imposed[1] <= now or not ladder.harder(book.imposed[0], step):
            book.imposed = step, until
        self._settle(book, now)

    def _members(self, account: str, now: datetime) -> dict[str, Member]:
        rule = self.policy.anomalies.rings
        links, edge, walked = set(), {account}, set()
        while edge - walked:
            who = (edge - walked).pop()
            walked.add(who)
            for shared in self._shares[who]:
                links |= self._links[shared.hex()]
                if len(self._links[shared.hex()]) <= rule.shared_by:
                    edge |= {other for other, _ in self._links[shared.hex()]}
        found = rings.ring(account, links, rule)
        return {
            who: Member(
                ladder.score(self.book(who).strikes, self.policy.standing, now),
                self.standing(who, now) in ("suspended", "banned"),
            )
            for who in found
        }

    def _fire(self, book: Book, alarm: Alarm, now: datetime, accounts: Sequence[str]) -> None:
        book.fired.add(alarm.rule)
        rule = getattr(self.policy.anomalies, alarm.rule)
        self.looks.append((now, book.account))
        if rule.mode == "shadow" or rule.action == "flag":
            return
        steps = self.policy.standing.ladder
        step: Standing = "cooling" if rule.action == "cool" else "held"
        hours = steps.cooling.hours if rule.action == "cool" else steps.held.hours
        for account in accounts:
            self.impose(account, step, now + timedelta(hours=hours), now)

    def _settle(self, book: Book, now: datetime) -> None:
        """The hardest of what the strikes lead to and what was imposed."""
        jitter = Jitter(self._secret, TENANT, book.account)
        found = [
            (sanction.step, sanction.until)
            for sanction in ladder.sanctions(book.strikes, self.policy.standing, now, jitter, book.pardoned_at)
            if getattr(self.policy.standing.ladder, sanction.step).mode == "enforce"
        ]
        if book.imposed is not None and book.imposed[1] > now:
            found.append(book.imposed)
        before = book.standing
        book.standing, book.until = max(found, key=lambda s: ladder.STANDINGS.index(s[0]), default=("good", None))
        book.ever.add(book.standing)
        if book.standing == "suspended" and before != "suspended":
            self.looks.append((now, book.account))
