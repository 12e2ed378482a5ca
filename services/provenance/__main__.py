"""Starts provenance: `python -m services.provenance`."""

from __future__ import annotations

import asyncio

from portcullis.v1 import provenance_pb2_grpc as stubs
from services.core.clearance import ClearanceVerifier
from services.core.config import HouseSettings
from services.core.rpc.server import App, run
from services.core.store.database import Database
from services.provenance.examination import Examiner
from services.provenance.manifest import ManifestSigner
from services.provenance.manifest_reader import ManifestReader
from services.provenance.marking import Marker, load_codec
from services.provenance.servicer import ProvenanceServicer
from services.provenance.settings import ProvenanceSettings


async def build(house: HouseSettings) -> App:
    """Load keys and open the registry; ConfigurationError where one is missing."""
    keys = house.home / "keys"
    codec = await asyncio.to_thread(load_codec, keys / "watermark.key")
    verifier = ClearanceVerifier.load(keys / "clearance" / "jwks.json", "provenance")
    manifests = ManifestReader.load(keys / "c2pa")
    marker = Marker(codec, ManifestSigner.load(keys / "c2pa"))
    database = await Database.open(house.database())
    servicer = ProvenanceServicer(database, verifier, marker, Examiner(codec, manifests))

    async def close() -> None:
        manifests.close()
        await database.close()

    return App(
        service="portcullis.v1.ProvenanceService",
        register=lambda server: stubs.add_ProvenanceServiceServicer_to_server(servicer, server),
        callers={
            "MarkImage": frozenset({"gateway"}),
            "InspectImage": frozenset({"gateway"}),
            "WithdrawImage": frozenset({"review"}),
        },
        settings=ProvenanceSettings(),
        ready=database.ping,
        close=close,
    )


if __name__ == "__main__":
    run("provenance", build)
