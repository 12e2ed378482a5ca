"""Starts the gateway: `python -m services.gateway`."""

from __future__ import annotations

from datetime import timedelta

from portcullis.v1.gateway_pb2_grpc import add_GatewayServiceServicer_to_server
from services.core.config import HouseSettings
from services.core.evidence import EvidenceStore
from services.core.policy.source import ActivePolicy
from services.core.pseudonyms import Pseudonyms
from services.core.rpc.server import App, run
from services.core.store.database import Database
from services.gateway.accounts_desk import AccountsDesk
from services.gateway.appeals import AppealDesk
from services.gateway.desk import Desk
from services.gateway.order import MAX_IMAGE_BYTES
from services.gateway.pressure import Pressure
from services.gateway.reports import ReportDesk
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
CALLERS = dict.fromkeys(METHODS, TENANTS)
RECEIVE_BYTES = 2 * MAX_IMAGE_BYTES + 2**20  # a picture, its mask, and the words around them


async def build(house: HouseSettings) -> App:
    """Opens the books and the channels."""
    settings = GatewaySettings()
    database = await Database.open(house.database())
    key = house.home / "keys" / "evidence.key"
    evidence = EvidenceStore(house.home / "evidence", key)
    policy = await ActivePolicy.load(database, house.policy_stale_seconds)
    life = timedelta(days=settings.evidence_days)
    desk = Desk(database, evidence, policy, life)
    rooms = Rooms(house, settings.check_seconds)
    reporters = Pseudonyms.load(key, "reporters")
    reports = ReportDesk(database, evidence, policy, rooms, reporters, desk.allowance, life)
    appeals = AppealDesk(database, evidence, policy, life)
    accounts = AccountsDesk(database, policy, desk.allowance, Pseudonyms.load(key, "account links"))
    pressure = Pressure(settings.max_concurrent, settings.slowdown)
    servicer = GatewayServicer(rooms, desk, reports, appeals, accounts, pressure)

    async def close() -> None:
        await desk.allowance.close()
        await rooms.close()
        await database.close()

    return App(
        service="portcullis.v1.GatewayService",
        register=lambda server: add_GatewayServiceServicer_to_server(servicer, server),
        callers=CALLERS,
        settings=settings,
        background=[policy.keep_fresh, desk.observer.keep_watch],
        ready=desk.ready,
        close=close,
        check_key=desk.check_key,
        receive_bytes=RECEIVE_BYTES,
    )


if __name__ == "__main__":
    run("gateway", build)
