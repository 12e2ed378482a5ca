"""Starts the gateway: `python -m services.gateway`."""

from __future__ import annotations

from datetime import timedelta

from portcullis.v1.gateway_pb2_grpc import add_GatewayServiceServicer_to_server
from services.core.config import HouseSettings
from services.core.evidence import EvidenceStore
from services.core.policy.source import ActivePolicy
from services.core.rpc.server import App, run
from services.core.store.database import Database
from services.gateway.desk import Desk
from services.gateway.order import MAX_IMAGE_BYTES
from services.gateway.rooms import Rooms
from services.gateway.servicer import GatewayServicer
from services.gateway.settings import GatewaySettings

TENANTS = frozenset({"tenant"})
METHODS = (
    "CheckPrompt",
    "CheckUpload",
    "CheckPair",
    "CreateImages",
    "EditImages",
    "VaryImages",
    "GetDecision",
    "ResumeDecision",
    "ReportImage",
    "AppealDecision",
    "GetAccount",
    "UpdateAccount",
    "InspectImage",
)
RECEIVE_BYTES = 2 * MAX_IMAGE_BYTES + 2**20  # a picture, its mask, and the words around them


async def build(house: HouseSettings) -> App:
    """Opens the books and the channels."""
    settings = GatewaySettings()
    database = await Database.open(house.database())
    evidence = EvidenceStore(house.home / "evidence", house.home / "keys" / "evidence.key")
    policy = await ActivePolicy.load(database, house.policy_stale_seconds)
    desk = Desk(database, evidence, policy, timedelta(days=settings.evidence_days))
    rooms = Rooms(house, settings.check_seconds)
    servicer = GatewayServicer(rooms, desk)

    async def close() -> None:
        await rooms.close()
        await database.close()

    return App(
        service="portcullis.v1.GatewayService",
        register=lambda server: add_GatewayServiceServicer_to_server(servicer, server),
        callers=dict.fromkeys(METHODS, TENANTS),
        settings=settings,
        background=[policy.keep_fresh, desk.observer.keep_watch],
        ready=desk.ready,
        close=close,
        check_key=desk.check_key,
        receive_bytes=RECEIVE_BYTES,
    )


if __name__ == "__main__":
    run("gateway", build)
