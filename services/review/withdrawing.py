"""Has provenance withdraw a picture that people found in breach of the rules; told again until it is done."""

from __future__ import annotations

from uuid import UUID

import structlog

from portcullis.v1.provenance_pb2 import WithdrawImageRequest
from portcullis.v1.provenance_pb2_grpc import ProvenanceServiceStub
from services.core.config import HouseSettings
from services.core.errors import NotFound
from services.core.rpc.channel import answer, connect
from services.core.store import outbox
from services.core.store.database import Database

IDENTITY = "review"
DEADLINE_SECONDS = 20.0

log = structlog.get_logger()


async def withdraw_waiting(house: HouseSettings, database: Database, image_id: UUID) -> bool:
    """Withdraws a picture while its message waits, and deletes that when it is done; False where none waits (any more).

    So a message that the broker brings twice does not undo what somebody has decided since. Raises Unavailable where
    provenance or Postgres is not there; then the relay tells it again.
    """
    async with database.transaction() as conn:
        if not await outbox.waits(conn, outbox.WITHDRAW_IMAGE, image_id):
            return False
    try:
        await set_withdrawn(house, image_id, withdrawn=True)
    except NotFound:
        log.error("a picture to withdraw is not registered", image=str(image_id))
    async with database.transaction() as conn:
        await outbox.done(conn, outbox.WITHDRAW_IMAGE, image_id)
    return True


async def set_withdrawn(house: HouseSettings, image_id: UUID, *, withdrawn: bool) -> None:
    """Asks provenance; raises NotFound for an unknown picture, Unavailable where provenance is not there."""
    async with connect(house, IDENTITY, "provenance") as channel:
        request = WithdrawImageRequest(image_id=str(image_id), withdrawn=withdrawn)
        await answer(ProvenanceServiceStub(channel).WithdrawImage(request, timeout=DEADLINE_SECONDS), "provenance")
