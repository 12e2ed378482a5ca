"""The registry of this machine's data home, for commands that need no house: started if it is not up, used if it is."""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from uuid import uuid4

import psycopg
import structlog

from portcullis.v1.provenance_pb2 import Inspection
from services.commands.provision import provision
from services.core.config import HouseSettings
from services.core.errors import ConfigurationError, InvalidInput
from services.core.imaging import OutputFormat, open_layers
from services.core.imaging_formats import Limits
from services.core.signals import Lineage, ModelVersion
from services.core.store import audit, embedded, images, timestamps
from services.core.store.database import Database, migrate
from services.core.store.images import RegisteredImage
from services.provenance.examination import Examiner
from services.provenance.keyring import Keyring
from services.provenance.manifest import Release
from services.provenance.marking import Marker, load_codec, recorded
from services.provenance.registry import inspect, signature_rules
from services.provenance.resemblance import Resemblance
from services.provenance.servicer import PAYLOAD_BYTES, inspection_to_proto
from services.provenance.settings import ProvenanceSettings

# A file of one's own is marked in full size, as far as a decoder can hand it over: 64 MiB of pixels. It may take time.
_LIMITS = Limits(
    max_bytes=64 << 20, max_pixels=(64 << 20) // 3, kept_side=Limits().max_side, cpu_seconds=10.0, wall_seconds=15.0
)


@dataclass(frozen=True, slots=True)
class OwnRegistry:
    """Marks and inspects with the keys and the database of the data home."""

    database: Database
    marker: Marker
    examiner: Examiner
    resemblance: Resemblance | None

    async def inspect(self, data: bytes) -> Inspection:
        """The verdict, with what only the picture's own tenant is told; InvalidInput where it is no picture."""
        conclusion = await inspect(self.database, self.examiner, data, self.resemblance)
        named = conclusion.image or conclusion.resembles
        return inspection_to_proto(conclusion, named.tenant if named else "")

    async def mark(self, data: bytes, kind: OutputFormat, tenant: str) -> tuple[bytes, RegisteredImage]:
        """A picture signed, watermarked, with its manifest, registered for a tenant; and its row.

        Raises InvalidInput where it is no picture that can be marked, or there is no such tenant.
        """
        picture = await asyncio.to_thread(open_layers, data, _LIMITS, "picture")
        release = Release(
            image_id=str(uuid4()),
            payload_id=secrets.token_hex(PAYLOAD_BYTES),
            operation="create",
            lineage=Lineage(1, ()),
            model=ModelVersion("portcullis mark", version("portcullis")),
            policy="",
            clearance_id="",
            seed=0,
            parameters={},
        )
        marked = await asyncio.to_thread(
            self.marker.mark_layers, picture, kind, release, None, await signature_rules(self.database), edited=True
        )
        row = recorded(release, kind, marked, tenant, uuid4(), hashlib.sha256(data).hexdigest())
        try:
            async with self.database.transaction() as conn:
                await images.insert(conn, row)
                if self.resemblance is not None and marked.seen is not None:
                    await self.resemblance.register(conn, row, marked.seen)
                if not marked.timestamped:
                    await timestamps.owe(conn, row.image_id)
                await audit.append(conn, getpass.getuser(), "image.mark", str(row.image_id), tenant=tenant)
        except psycopg.errors.ForeignKeyViolation:
            raise InvalidInput("tenant", "is not a tenant of this registry") from None
        return marked.image, row


@contextmanager
def database_of(house: HouseSettings) -> Iterator[HouseSettings]:
    """The house with a database that answers: the configured one, that of a house that is up, or one of our own.

    Our own is migrated, and furnished with keys and a first tenant, as `portcullis up` does.
    """
    if house.dsn:
        yield house
        return
    try:
        server = embedded.start(house.home, {"log_min_messages": "panic"})
    except ConfigurationError as error:
        if error.reason != "POSTGRES_RUNNING":
            raise
        yield house
        return
    try:
        own = house.model_copy(update={"dsn": server.dsn})
        migrate(server.dsn)
        asyncio.run(provision(own))
        yield own
    finally:
        server.stop()


@asynccontextmanager
async def own_registry(house: HouseSettings) -> AsyncIterator[OwnRegistry]:
    """Opens keys and registry of a house whose database answers; ConfigurationError where something is missing."""
    logging = structlog.get_config()
    # What programs read is on stdout: nothing but answers may be there.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        async with _opened(house) as registry:
            yield registry
    finally:
        structlog.configure(**logging)


@asynccontextmanager
async def _opened(house: HouseSettings) -> AsyncIterator[OwnRegistry]:
    keys = house.home / "keys"
    codec = load_codec(keys)
    settings = ProvenanceSettings()
    keyring = await asyncio.to_thread(Keyring, keys / "c2pa", settings)
    database = await Database.open(house.database(), max_size=2)
    try:
        resemblance = await Resemblance.open(database, settings)
        if resemblance is not None:
            await resemblance.measure(database)
        marker = Marker(codec, keyring.sign, resemblance.look if resemblance else None)
        yield OwnRegistry(database, marker, Examiner(codec, keyring.reader), resemblance)
    finally:
        await database.close()
        keyring.close()
