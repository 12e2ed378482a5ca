"""Idempotency: a request id is answered once in 24 hours within its tenant, however often it is sent.

A gateway that runs a request holds a lease on it. If the gateway dies, the next sender takes the request over once the
lease has ended, under the decision id that was already announced; the `attempt` number fences off the first gateway,
should it still be alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.core.errors import Aborted, AlreadyExists
from services.core.store.database import Connection

LIFE_SECONDS = 24 * 3600
LEASE_SECONDS = 150  # longer than the longest deadline of a call

_FORGET = "DELETE FROM requests WHERE tenant = %s AND request_id = %s AND attempt = %s AND state = 'running'"
_RELEASE = (
    "UPDATE requests SET lease_expires_at = now()"
    " WHERE tenant = %s AND request_id = %s AND attempt = %s AND state = 'running'"
)


@dataclass(frozen=True, slots=True)
class Begun:
    """The caller runs the request, under this decision id; `attempt` is needed to answer it."""

    decision_id: UUID
    attempt: int


@dataclass(frozen=True, slots=True)
class Running:
    """Another gateway is at it, until `seconds` from now at most."""

    decision_id: UUID
    seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """Answered before: the answer is the evidence `answer`."""

    decision_id: UUID
    answer: UUID


async def begin(
    conn: Connection,
    tenant: str,
    request_id: UUID,
    content_digest: bytes,
    decision_id: UUID,
    lease_seconds: float = LEASE_SECONDS,
) -> Begun | Running | Answered:
    """Starts a request under a new `decision_id`, or says what became of the same request before.

    `content_digest` is the sha256 of everything that decides the answer. Commit before working.
    Raises AlreadyExists if the request id was used for other content.
    """
    cursor = await conn.execute(
        """
        INSERT INTO requests AS old
            (tenant, request_id, content_digest, decision_id, state, lease_expires_at, expires_at)
        VALUES (%(tenant)s, %(request)s, %(digest)s, %(decision)s, 'running',
                now() + make_interval(secs => %(lease)s), now() + make_interval(secs => %(life)s))
        ON CONFLICT (tenant, request_id) DO UPDATE SET
            content_digest = excluded.content_digest, state = 'running', answer = NULL, attempt = old.attempt + 1,
            lease_expires_at = excluded.lease_expires_at,
            decision_id = CASE WHEN old.expires_at < now() THEN excluded.decision_id ELSE old.decision_id END,
            expires_at = CASE WHEN old.expires_at < now() THEN excluded.expires_at ELSE old.expires_at END
        WHERE old.expires_at < now()
            OR (old.state = 'running' AND old.lease_expires_at < now() AND old.content_digest = excluded.content_digest)
        RETURNING decision_id, attempt
        """,
        {
            "tenant": tenant,
            "request": request_id,
            "digest": content_digest,
            "decision": decision_id,
            "lease": lease_seconds,
            "life": LIFE_SECONDS,
        },
    )
    begun = await cursor.fetchone()
    return Begun(*begun) if begun is not None else await _before(conn, tenant, request_id, content_digest)


async def _before(conn: Connection, tenant: str, request_id: UUID, content_digest: bytes) -> Running | Answered:
    cursor = await conn.execute(
        "SELECT content_digest, decision_id, answer, extract(epoch FROM lease_expires_at - now())::float8"
        " FROM requests WHERE tenant = %s AND request_id = %s",
        [tenant, request_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise Aborted("the request was given up at this very moment; send it again", reason="REQUEST_GIVEN_UP")
    digest, decision_id, answer, seconds = row
    if digest != content_digest:
        raise AlreadyExists("this request id was used for other content; take a new one", reason="REQUEST_ID_REUSED")
    return Running(decision_id, max(0.0, seconds)) if answer is None else Answered(decision_id, answer)


async def look(conn: Connection, tenant: str, request_id: UUID, content_digest: bytes) -> Running | Answered | None:
    """What became of the same request before; None where it is to be begun. Writes and locks nothing.

    Raises AlreadyExists if the request id was used for other content.
    """
    cursor = await conn.execute(
        "SELECT FROM requests WHERE tenant = %s AND request_id = %s AND expires_at >= now()"
        " AND (state = 'answered' OR lease_expires_at >= now() OR content_digest <> %s)",
        [tenant, request_id, content_digest],
    )
    return await _before(conn, tenant, request_id, content_digest) if cursor.rowcount else None


async def answer(conn: Connection, tenant: str, request_id: UUID, attempt: int, answer: UUID) -> None:
    """Records the answer's evidence id; call it in the transaction that records the decision.

    Raises Aborted if another gateway took the request over: then nothing of this attempt may be kept.
    """
    cursor = await conn.execute(
        "UPDATE requests SET state = 'answered', answer = %s"
        " WHERE tenant = %s AND request_id = %s AND attempt = %s AND state = 'running'",
        [answer, tenant, request_id, attempt],
    )
    if cursor.rowcount == 0:
        raise Aborted("another gateway took this request over", reason="REQUEST_TAKEN_OVER")


async def give_up(conn: Connection, tenant: str, request_id: UUID, attempt: int, *, paid: bool = False) -> bool:
    """Lets go of a request that failed before its decision, so that it can be sent again at once.

    One that stays `paid` for stays known: who sends it again takes it over under its old decision id, as after the
    death of a gateway, and does not pay twice. False where there is nothing to let go: it was answered, or another
    gateway took it over.
    """
    cursor = await conn.execute(_RELEASE if paid else _FORGET, [tenant, request_id, attempt])
    return cursor.rowcount > 0


async def drop_answers(conn: Connection, decision_id: UUID) -> None:
    """Lets the stored answers of a decision expire at once."""
    await conn.execute(
        "UPDATE evidence SET expires_at = now() FROM requests"
        " WHERE requests.decision_id = %s AND evidence_id = requests.answer",
        [decision_id],
    )


async def forget_expired(conn: Connection) -> int:
    """Deletes requests older than their 24 hours, and returns how many."""
    return (await conn.execute("DELETE FROM requests WHERE expires_at < now()")).rowcount
