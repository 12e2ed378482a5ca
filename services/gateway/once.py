"""Unary calls that change the books without a decision of their own: each request id is answered once in 24 hours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TypeVar
from uuid import UUID, uuid4

from google.protobuf.message import Message

from services.core.errors import Aborted
from services.core.evidence import EvidenceStore
from services.core.store import evidence_rows, requests
from services.core.store.database import Connection, Database
from services.core.store.requests import Begun
from services.gateway.records import ANSWER_LIFE

Response = TypeVar("Response", bound=Message)

# Given the id of what is new, does the slow part and returns what writes it down, in the transaction of its answer.
Work = Callable[[UUID], Awaitable[Callable[[Connection], Awaitable[Message]]]]


class Once:
    """Answers from the books where a request was answered before."""

    def __init__(self, database: Database, evidence: EvidenceStore) -> None:
        self._database = database
        self._evidence = evidence

    async def answer(
        self, tenant: str, request_id: UUID, request: Message, response: type[Response], work: Work
    ) -> Response:
        """Works unless the same request was answered before.

        Raises Aborted while it runs elsewhere, AlreadyExists where the id was used for other content, and what `work`
        raises; then the request may be sent again.
        """
        content = b"\0".join([type(request).__name__.encode(), request.SerializeToString(deterministic=True)])
        async with self._database.transaction() as conn:
            begun = await requests.begin(conn, tenant, request_id, sha256(content).digest(), uuid4())
        match begun:
            case requests.Running():
                raise Aborted(
                    "the same request is being worked on", reason="REQUEST_RUNNING", retry_after=min(begun.seconds, 5)
                )
            case requests.Answered():
                return response.FromString(await asyncio.to_thread(self._evidence.get, begun.answer))
            case requests.Begun():
                try:
                    message = await self._close(tenant, request_id, begun, await work(begun.decision_id))
                except BaseException:
                    await asyncio.shield(self._give_up(tenant, request_id, begun))
                    raise
        assert isinstance(message, response)
        return message

    async def _close(
        self, tenant: str, request_id: UUID, begun: Begun, write: Callable[[Connection], Awaitable[Message]]
    ) -> Message:
        async with self._database.transaction() as conn:
            message = await write(conn)
            blob = await asyncio.to_thread(self._evidence.put, message.SerializeToString())
            await evidence_rows.record(conn, tenant, "answer", blob, ANSWER_LIFE)
            await requests.answer(conn, tenant, request_id, begun.attempt, blob.id)
        return message

    async def _give_up(self, tenant: str, request_id: UUID, begun: Begun) -> None:
        async with self._database.transaction() as conn:
            await requests.give_up(conn, tenant, request_id, begun.attempt)
