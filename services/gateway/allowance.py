"""What a call may use by the policy in force: its limits and its credits, and what comes back of them.

All is charged while the request is begun, in one transaction of the books that is taken back where a limit refuses:
what is refused is not begun, and not charged. Afterwards:

- pictures that were not rendered (refused or held before, or not done) give their pixels and credits back; what was
  rendered costs, also where the screen held it back, for the work was done;
- a call that failed by our fault gives its calls back too; a caller who hangs up does not get them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from portcullis.v1 import checks_pb2 as pb
from services.core import telemetry
from services.core.errors import Exhausted, PortcullisError, QuotaViolation
from services.core.limits.charges import Charge, Use, Who, binding, charges
from services.core.policy.limit_rules import CreditRules
from services.core.policy.source import ActivePolicy
from services.core.store import credit_rows
from services.core.store.accounts import Account
from services.core.store.database import Connection, Database
from services.gateway.limiter import NOTHING, Grant, Left, Limiter

OUR_FAULT = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL"})


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call took: its grant, and credits of the month that began with `month`."""

    grant: Grant = NOTHING
    credits: int = 0
    month: date = date.min


NOTHING_SPENT = Spent()


class Allowance:
    """Charges calls by the policy in force."""

    def __init__(self, database: Database, policy: ActivePolicy) -> None:
        self._policy = policy
        self._limiter = Limiter(database)

    def over(self, account: Account, use: Use) -> bool:
        """Whether a call is over a limit for sure, by what is remembered; asks and charges nothing."""
        return self._limiter.over(self._wanted(account, use))

    def refusal(self, account: Account, use: Use) -> Exhausted:
        """Counts a refusal from memory and says why."""
        return self._limiter.refusal(self._wanted(account, use))

    async def take(self, account: Account, use: Use) -> Grant:
        """Charges an account's call; raises Exhausted with the limits that it passed, and charges nothing then."""
        return await self._limiter.take(self._wanted(account, use))

    async def take_report(self, tenant: str, reporter: str) -> None:
        """Charges one report of a reporter; raises as `take` does."""
        who, use = Who(tenant, reporter=reporter), Use("report")
        self._limiter.release(await self._limiter.take(charges(self._policy.current.document.limits.named, use, who)))

    async def take_credits(self, conn: Connection, account: Account, use: Use, grant: Grant) -> Spent:
        """Charges one credit a picture, in the transaction that begins the request; raises Exhausted."""
        rules = self._policy.current.document.limits.credits
        if rules is None or not use.pictures:
            return Spent(grant)
        held = await credit_rows.lock(conn, account.tenant, account.account, rules)
        after = held.take(use.pictures)
        telemetry.LIMIT_DECISIONS.labels("credits", rules.mode, "over" if after is None else "allowed").inc()
        if after is None:
            if rules.mode == "enforce":
                turns = await credit_rows.month_ends_in(conn) if use.pictures <= rules.monthly else None
                raise _no_credits(account, held.left, turns)
            after = held.take(held.left)  # in shadow it counts down to nothing
            assert after is not None, "what is left can be taken"
        await credit_rows.save(conn, account.tenant, account.account, after)
        return Spent(grant, after.used - held.used, after.month)

    async def return_credits(self, conn: Connection, subject: pb.Subject, spent: Spent) -> None:
        """Gives back the credits of a call, in the transaction that records or forgets it."""
        rules = self._policy.current.document.limits.credits
        if rules is not None and spent.credits:
            held = await credit_rows.lock(conn, subject.tenant, subject.account, rules)
            await credit_rows.save(conn, subject.tenant, subject.account, held.give_back(spent.credits, spent.month))

    async def credits_left(self, conn: Connection, account: Account) -> int | None:
        """Pictures that the account may still make; None where the policy counts none."""
        rules = self._policy.current.document.limits.credits
        return None if rules is None else (await credit_rows.read(conn, account.tenant, account.account, rules)).left

    async def add_credits(self, conn: Connection, account: Account, pictures: int) -> None:
        """Adds a pack, in the caller's transaction; it is kept, also where the policy counts no credits now."""
        rules = self._policy.current.document.limits.credits or CreditRules()
        held = await credit_rows.lock(conn, account.tenant, account.account, rules)
        await credit_rows.save(conn, account.tenant, account.account, held.add(pictures))

    async def left(self, account: Account) -> list[Left]:
        """What is left of each limit in force for the account; what only counts (shadow) binds nobody."""
        who = Who(account.tenant, account.account, account.tier)
        named = self._policy.current.document.limits.named
        return await self._limiter.left([bound for bound in binding(named, who) if bound.limit.enforced])

    @contextmanager
    def running(self, spent: Spent) -> Iterator[None]:
        """Holds the slots of a call while it runs, however it ends."""
        try:
            yield
        finally:
            self._limiter.release(spent.grant)

    def give_back(self, grant: Grant, failure: BaseException | None, *, rendered: bool) -> None:
        """Gives back what a call that came to this had taken of rates and pixels."""
        fault = ours(failure)
        self._limiter.give_back(
            charge for charge in grant.charges if fault or (charge.limit.kind == "pixels" and not rendered)
        )

    def undo(self, grant: Grant) -> None:
        """As if the call had never been: it was asked before, or was not let in."""
        self._limiter.undo(grant)

    async def close(self) -> None:
        """Publishes what ended."""
        await self._limiter.settled()

    def _wanted(self, account: Account, use: Use) -> list[Charge]:
        who = Who(account.tenant, account.account, account.tier)
        return charges(self._policy.current.document.limits.named, use, who)


def ours(failure: BaseException | None) -> bool:
    """Whether a call failed by our fault: a room that is not there or full, or a mistake of ours."""
    if isinstance(failure, PortcullisError):
        return failure.code in OUR_FAULT
    return isinstance(failure, Exception)


def _no_credits(account: Account, left: int, turns_in: float | None) -> Exhausted:
    return Exhausted(
        f"{left} credits are left, one for each picture",
        reason="CREDITS",
        retry_after=turns_in,
        violations=[QuotaViolation(f"account:{account.account}", "credits: one for each picture that is asked for")],
    )
