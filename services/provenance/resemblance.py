"""Which registered picture an encoder finds most like a found one, and how often unrelated pictures are as like.

The rate is measured on the registry itself: how near the pictures of a sample have another that is no kin. A stranger's
picture of the same kind is as near to one of ours as often as the share of the sample that is, counting itself: the
p-value of conformal prediction (Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005).
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left

import numpy as np
import structlog

from services.core.errors import Unavailable
from services.core.image_encoder import ImageEncoder, load_image_encoder
from services.core.imaging import Rgb
from services.core.store import image_embeddings, images
from services.core.store.database import Connection, Database
from services.core.store.image_embeddings import Embedding, Space
from services.core.store.images import RegisteredImage
from services.provenance.inspect import Finding
from services.provenance.settings import ProvenanceSettings

# Below 99 pictures in the sample nothing is rarer than this, and so nothing is found.
TELLING = 0.01
SAMPLE = 500
EVERY_SECONDS = 600.0
_CANDIDATES = 10
NOTHING = Finding("embedding", False, "No registered picture is more like it than unrelated ones are.")

log = structlog.get_logger()


class Resemblance:
    """Sees pictures by an encoder, registers what it sees, and finds what is like a picture."""

    def __init__(self, encoder: ImageEncoder, space: Space) -> None:
        self._encoder = encoder
        self._space = space
        self._between_strangers: list[float] = []

    @classmethod
    async def open(cls, database: Database, settings: ProvenanceSettings) -> Resemblance | None:
        """What `settings` name, with its index in the database; None where they name none.

        Raises ConfigurationError where it cannot be loaded or Postgres lacks pgvector.
        """
        if not settings.encoder:
            return None
        encoder = await asyncio.to_thread(
            load_image_encoder,
            settings.encoder,
            settings.encoder_sha256,
            settings.encoder_config,
            settings.encoder_config_sha256,
            "the registry's encoder",
        )
        seen = await asyncio.to_thread(encoder.look, np.zeros((8, 8, 3), np.uint8))
        space = Space(encoder.digest, len(seen))
        async with database.transaction() as conn:
            await image_embeddings.prepare(conn, space)
        return cls(encoder, space)

    def look(self, rgb: Rgb) -> Embedding:
        """What the encoder sees in a picture. Blocking."""
        return self._encoder.look(rgb)

    async def register(self, conn: Connection, image: RegisteredImage, seen: Embedding) -> None:
        """Writes what was seen in a picture that this transaction registers."""
        await image_embeddings.add(conn, self._space, image.image_id, seen)

    async def find(self, database: Database, rgb: Rgb) -> tuple[Finding, RegisteredImage | None]:
        """Evidence that this was made from a registered picture, and from which: a withdrawn one, else the nearest."""
        seen = await asyncio.to_thread(self.look, rgb)
        async with database.transaction() as conn:
            near = await image_embeddings.nearest(conn, self._space, seen, _CANDIDATES)
            telling = [(image_id, value) for image_id, value in near if self.chance(value) <= TELLING]
            found = {image.image_id: image for image in await images.among(conn, [image_id for image_id, _ in telling])}
        if not found:
            return NOTHING, None
        image_id, value = min(telling, key=lambda one: found[one[0]].withdrawn_at is None)
        return _finding(found[image_id], value, self.chance(value)), found[image_id]

    def chance(self, similarity: float) -> float:
        """How often a picture that has nothing to do with ours is so like one of them, 0 … 1; 1 until `measure`."""
        known = self._between_strangers
        return (1 + len(known) - bisect_left(known, similarity)) / (1 + len(known))

    async def measure(self, database: Database) -> None:
        """Measures anew how alike unrelated registered pictures are: seconds for a million."""
        async with database.transaction() as conn:
            self._between_strangers = sorted(await image_embeddings.between_strangers(conn, self._space, SAMPLE))

    async def keep_measuring(self, database: Database) -> None:
        """Measures every ten minutes, for ever."""
        while True:
            try:
                await self.measure(database)
            except Unavailable as error:
                log.warning("how alike unrelated pictures are is not measured", why=error.reason)
            await asyncio.sleep(EVERY_SECONDS)


def _finding(image: RegisteredImage, similarity: float, chance: float) -> Finding:
    message = (
        f"A registered picture is {similarity:.2f} like it to the encoder; of unrelated pictures"
        f" {chance:.1%} have one so near."
    )
    withdrawn = " It was withdrawn." if image.withdrawn_at else ""
    return Finding("embedding", True, message + withdrawn, image.payload_id.hex(), chance)
