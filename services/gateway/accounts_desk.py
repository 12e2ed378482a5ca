"""What a platform asks and says about its accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from portcullis.v1 import gateway_pb2 as api
from services.core.errors import NotFound
from services.core.policy.source import ActivePolicy
from services.core.policy.standing_rules import StandingRules
from services.core.pseudonyms import Pseudonyms
from services.core.rpc import convert
from services.core.standing import conduct
from services.core.standing.entry import notice
from services.core.store import account_links, accounts, credit_rows, waitlist
from services.core.store.accounts import Account
from services.core.store.database import Connection, Database
from services.gateway.account_order import AccountChange
from services.gateway.allowance import Allowance
from services.gateway.limiter import Left
from services.gateway.watch import judge_newcomer


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account as it stood at `now`; `credits` is None where the policy counts none."""

    account: Account
    quotas: tuple[Left, ...]
    credits: int | None
    notice: str
    waiting: bool
    now: datetime


class AccountsDesk:
    """Reads and updates accounts for the platform that they belong to."""

    def __init__(self, database: Database, policy: ActivePolicy, allowance: Allowance, links: Pseudonyms) -> None:
        self._database = database
        self._links = links
        self._policy = policy
        self._allowance = allowance

    async def read(self, tenant: str, account: str) -> AccountState:
        """The account as it stands; raises NotFound where it has never asked for anything."""
        async with self._database.transaction() as conn:
            known = await accounts.get(conn, tenant, account)
            if known is None:
                raise NotFound("this account has never asked for anything", reason="ACCOUNT_UNKNOWN")
            if known.ended(datetime.now(UTC)):
                known = await conduct.renew(conn, tenant, account, self._rules, datetime.now(UTC))
            return await self._state(conn, known)

    async def update(self, tenant: str, change: AccountChange) -> AccountState:
        """Takes a change, once for each request id; raises AlreadyExists where the id was used for another."""
        async with self._database.transaction() as conn:
            known = await accounts.get_or_create(conn, tenant, change.account)
            fresh = await credit_rows.note_update(
                conn, tenant, change.request_id, change.account, change.content_digest, change.add_credits
            )
            if fresh and change.add_credits:
                await self._allowance.add_credits(conn, known, change.add_credits)
            if fresh and change.join_waitlist:
                await waitlist.join(conn, tenant, change.account)
            linked = fresh and await account_links.add(conn, self._links, tenant, change.account, change.shared_hashes)
        async with self._database.transaction() as conn:
            if linked:
                await judge_newcomer(conn, tenant, change.account, datetime.now(UTC), self._policy.current.document)
                known = await accounts.get_or_create(conn, tenant, change.account)
            return await self._state(conn, known)

    async def _state(self, conn: Connection, known: Account) -> AccountState:
        now = datetime.now(UTC)
        return AccountState(
            account=known,
            quotas=tuple(await self._allowance.left(known)),
            credits=await self._allowance.credits_left(conn, known),
            notice=notice(known, self._rules, now),
            waiting=await waitlist.waits(conn, known.tenant, known.account),
            now=now,
        )

    @property
    def _rules(self) -> StandingRules:
        return self._policy.current.document.standing


def to_proto(state: AccountState) -> api.Account:
    """The account in the contract's words."""
    known = state.account
    account = api.Account(
        account=known.account,
        tier=convert.TIERS[known.tier],
        standing=convert.standing_to_proto(known, state.now),
        notice=state.notice,
        waiting=state.waiting,
        quotas=[_quota(left, state.now) for left in state.quotas],
        credits=None if state.credits is None else min(state.credits, 2**32 - 1),
    )
    if known.standing_until is not None and account.standing != api.STANDING_GOOD:
        account.standing_until.FromDatetime(known.standing_until)
    return account


def _quota(left: Left, now: datetime) -> api.Quota:
    quota = api.Quota(name=left.charge.name, left=left.left, limit=left.charge.limit.limit)
    quota.resets_at.FromDatetime(now + timedelta(seconds=left.resets_in))
    return quota
