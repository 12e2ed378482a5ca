"""What an account has left: of the limits that bind it now, and of its credits."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.limits.charges import Who, binding
from services.core.store import credit_rows, limits
from services.core.store.accounts import Account
from services.core.store.database import Connection
from services.review.console.door import Call


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit in force: `left` of `limit`, all of it again in `resets_in` seconds (0: nobody knows, or it is there)."""

    name: str
    left: int
    limit: int
    resets_in: float


async def quotas(call: Call, known: Account) -> list[Quota]:
    """How it stands with each limit that is enforced for an account and counted for it alone; nothing is taken."""
    named = call.console.policy.current.document.limits.named
    who = Who(known.tenant, known.account, known.tier)
    bound = [each for each in binding(named, who) if each.limit.enforced and each.limit.per == "account"]
    rates = [each.key for each in bound if each.limit.bucket is not None]
    slots = [each.key for each in bound if each.limit.bucket is None]
    truth = await limits.read(call.console.database.lane, rates, slots, "")
    found = []
    for each in bound:
        bucket, most = each.limit.bucket, each.limit.limit
        if bucket is None:
            found.append(Quota(each.name, max(0, most - truth.others.get(each.key, 0)), most, 0.0))
        else:
            tat = truth.tats.get(each.key, 0.0)
            found.append(Quota(each.name, bucket.left(tat, truth.now), most, max(0.0, tat - truth.now)))
    return found


async def credits_left(conn: Connection, call: Call, known: Account) -> int | None:
    """Pictures that it may still make; None where the policy counts none."""
    rules = call.console.policy.current.document.limits.credits
    return None if rules is None else (await credit_rows.read(conn, known.tenant, known.account, rules)).left
