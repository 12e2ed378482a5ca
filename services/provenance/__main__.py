"""Starts provenance: `python -m services.provenance`."""

from __future__ import annotations

import asyncio
from functools import partial

from portcullis.v1 import provenance_pb2_grpc as stubs
from services.core.clearance import ClearanceVerifier
from services.core.config import HouseSettings
from services.core.rpc.server import App, run
from services.core.store.database import Database
from services.provenance.examination import Examiner
from services.provenance.keyring import Keyring
from services.provenance.marking import Marker, load_codec
from services.provenance.resemblance import Resemblance
from services.provenance.restamp import keep_stamping
from services.provenance.servicer import ProvenanceServicer
from services.provenance.settings import ProvenanceSettings

CALLERS = {
    "MarkImage": frozenset({"gateway"}),
    "InspectImage": frozenset({"gateway"}),
    "WithdrawImage": frozenset({"review"}),
}


async def build(house: HouseSettings) -> App:
    """Load keys and open the registry; ConfigurationError where one is missing."""
    keys = house.home / "keys"
    codec = await asyncio.to_thread(load_codec, keys)
    verifier = ClearanceVerifier.load(keys / "clearance" / "jwks.json", "provenance")
    settings = ProvenanceSettings()
    keyring = await asyncio.to_thread(Keyring, keys / "c2pa", settings)
    database = await Database.open(house.database())
    resemblance = await Resemblance.open(database, settings)
    marker = Marker(codec, keyring.sign, resemblance.look if resemblance else None)
    servicer = ProvenanceServicer(database, verifier, marker, Examiner(codec, keyring.reader), resemblance)
    measuring = [partial(resemblance.keep_measuring, database)] if resemblance else []
    stamping = [partial(keep_stamping, database, keyring.authority)] if keyring.authority else []

    async def close() -> None:
        keyring.close()
        await database.close()

    return App(
        service="portcullis.v1.ProvenanceService",
        register=lambda server: stubs.add_ProvenanceServiceServicer_to_server(servicer, server),
        callers=CALLERS,
        settings=settings,
        background=[keyring.follow, *stamping, *measuring],
        ready=database.ping,
        close=close,
    )


if __name__ == "__main__":
    run("provenance", build)
