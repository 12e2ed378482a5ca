"""Has provenance withdraw a picture that people found in breach of the rules; told again until it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import structlog

from portcullis.v1.provenance_pb2 import WithdrawImageRequest
from portcullis.v1.provenance_pb2_grpc import ProvenanceServiceStub
from services.core.config import HouseSettings
from services.core.errors import NotFound
from services.core.rpc.channel import answer, connect
from services.core.store import outbox
from services.core.store.database import single_transaction

IDENTITY = "review"
DEADLINE_SECONDS = 20.0

log = structlog.get_logger()


def make_withdraw_image(house: HouseSettings) -> Callable[[str], None]:
    """The Celery task: idempotent, for it acts only while its message waits, and deletes that when it is done."""

    def withdraw_image(image_id: str) -> None:
        """Withdraws the picture; an exception leaves the message, and the relay tells it again."""
        done = asyncio.run(withdraw_waiting(house, UUID(image_id)))
        log.info("picture withdrawn", image=image_id, changed=done)

    return withdraw_image


async def withdraw_waiting(house: HouseSettings, image_id: UUID) -> bool:
    """Withdraws a picture whose message waits; False where none does (any more).

    So a message that the broker brings twice does not undo what somebody has decided since. Raises Unavailable where
    provenance or Postgres is not there.
    """
    dsn = house.database()
    async with single_transaction(dsn) as conn:
        if not await outbox.waits(conn, outbox.WITHDRAW_IMAGE, image_id):
            return False
    try:
        await set_withdrawn(house, image_id, withdrawn=True)
    except NotFound:
        log.error("a picture to withdraw is not registered", image=str(image_id))
    async with single_transaction(dsn) as conn:
        await outbox.done(conn, outbox.WITHDRAW_IMAGE, image_id)
    return True


async def set_withdrawn(house: HouseSettings, image_id: UUID, *, withdrawn: bool) -> None:
    """Asks provenance; raises NotFound for an unknown picture, Unavailable where provenance is not there."""
    async with connect(house, IDENTITY, "provenance") as channel:
        request = WithdrawImageRequest(image_id=str(image_id), withdrawn=withdrawn)
        await answer(ProvenanceServiceStub(channel).WithdrawImage(request, timeout=DEADLINE_SECONDS), "provenance")
