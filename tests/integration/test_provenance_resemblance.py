"""What an encoder finds alike: models/scenes-clip over a registry of drawn scenes, on a real Postgres with pgvector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from portcullis.v1 import provenance_pb2 as pb
from portcullis.v1 import provenance_pb2_grpc
from services.commands.provision import provision
from services.core.config import HouseSettings
from services.core.errors import ConfigurationError
from services.core.image_encoder import ImageEncoder, load_image_encoder
from services.core.imaging import encode
from services.core.rpc import server as servers
from services.core.rpc.channel import connect
from services.core.store import image_embeddings, images, tenants
from services.core.store.database import Database
from services.core.store.image_embeddings import Embedding, Space
from services.core.store.images import RegisteredImage
from services.provenance.__main__ import build
from services.provenance.inspect import Conclusion, Origin
from services.provenance.resemblance import NOTHING, TELLING, Resemblance
from services.provenance.servicer import inspection_to_proto
from services.provenance.settings import ProvenanceSettings
from tests.integration.test_provenance import listening, mark, subject
from tests.integration.test_provenance_registry import new_image
from tests.rooms import as_room
from training.generator.pool import pictures
from training.generator.scenes import Scene, draw_scene

SCENES = 120
URI = "models/scenes-clip/open_clip_model.safetensors"
CONFIG = "models/scenes-clip/open_clip_config.json"


@dataclass(frozen=True)
class World:
    """Unrelated scenes, as they were drawn and as the encoder sees them."""

    encoder: ImageEncoder
    scenes: list[Scene]
    seen: list[Embedding]

    @property
    def space(self) -> Space:
        return Space(self.encoder.digest, len(self.seen[0]))


def draw(scenes: Sequence[Scene]) -> list[NDArray[np.uint8]]:
    return list(pictures(scenes, 64).permute(0, 2, 3, 1).contiguous().numpy())


def moved(scene: Scene) -> Scene:
    """The same things a little to the side: what a variation makes, and no hash finds."""
    return replace(scene, items=tuple(replace(item, x=item.x + 0.03, y=item.y - 0.03) for item in scene.items))


@pytest.fixture(scope="module")
def world() -> World:
    encoder = load_image_encoder(URI, "", CONFIG, "", "encoder")
    rng = np.random.default_rng(3)
    scenes = [draw_scene(rng, 2 + number % 2) for number in range(SCENES)]
    return World(encoder, scenes, [encoder.look(picture) for picture in draw(scenes)])


async def register(db: Database, space: Space, seen: Sequence[Embedding], **fields: object) -> list[RegisteredImage]:
    rows = [new_image(**{"parents": (), "depth": 1, "decision_id": uuid4(), **fields}) for _ in seen]
    async with db.transaction() as conn:
        await tenants.create_tenant(conn, "demo")
        await image_embeddings.prepare(conn, space)
        for row, vector in zip(rows, seen, strict=True):
            await images.insert(conn, row)
            await image_embeddings.add(conn, space, row.image_id, vector)
    return rows


async def measured(db: Database, world: World) -> Resemblance:
    resemblance = Resemblance(world.encoder, world.space)
    await resemblance.measure(db)
    return resemblance


async def test_a_picture_made_from_ours_is_found_and_told_how_rare_that_is(db: Database, world: World) -> None:
    rows = await register(db, world.space, world.seen)
    resemblance = await measured(db, world)

    (variation,) = draw([moved(world.scenes[7])])
    finding, image = await resemblance.find(db, variation)

    assert finding.found
    assert image is not None
    assert image.image_id == rows[7].image_id
    assert finding.payload_id == rows[7].payload_id.hex()
    assert 1 / (SCENES + 1) <= finding.false_positive <= TELLING


async def test_a_photograph_is_like_none(db: Database, world: World) -> None:
    await register(db, world.space, world.seen)
    resemblance = await measured(db, world)

    assert await resemblance.find(db, data.astronaut()) == (NOTHING, None)


async def test_a_registry_too_small_to_measure_finds_nothing(db: Database, world: World) -> None:
    await register(db, world.space, world.seen[:90])
    resemblance = await measured(db, world)

    assert await resemblance.find(db, draw(world.scenes[:1])[0]) == (NOTHING, None)


async def test_a_withdrawn_picture_is_told_before_a_nearer_one(db: Database, world: World) -> None:
    rows = await register(db, world.space, world.seen)
    resemblance = await measured(db, world)
    (variation,) = draw([moved(world.scenes[7])])
    (gone,) = await register(db, world.space, world.seen[7:8])
    (nearer,) = await register(db, world.space, [world.encoder.look(variation)])
    async with db.transaction() as conn:
        await images.mark_withdrawn(conn, gone.image_id, True)

    finding, image = await resemblance.find(db, variation)

    assert image is not None
    assert image.image_id == gone.image_id not in (nearer.image_id, rows[7].image_id)
    assert finding.message.endswith("It was withdrawn.")


async def test_what_another_model_saw_is_not_compared(db: Database, world: World) -> None:
    other = Space("ab" * 32, world.space.dimension)
    await register(db, other, world.seen[:5])
    (mine,) = await register(db, world.space, world.seen[9:10])

    async with db.transaction() as conn:
        near = await image_embeddings.nearest(conn, world.space, world.seen[0], 10)

    assert [image_id for image_id, _ in near] == [mine.image_id]


async def test_models_of_two_dimensions_live_side_by_side(db: Database, world: World) -> None:
    await register(db, Space("ab" * 32, 3), [np.array([1, 0, 0], np.float32)])
    (mine,) = await register(db, world.space, world.seen[:1])

    async with db.transaction() as conn:
        ((image_id, similarity),) = await image_embeddings.nearest(conn, world.space, world.seen[0], 10)

    assert image_id == mine.image_id
    assert similarity == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("tie", ["decision_id", "parents"])
async def test_kin_do_not_count_as_strangers(db: Database, world: World, tie: str) -> None:
    family = UUID(int=5)
    kin: dict[str, object] = {tie: family if tie == "decision_id" else (family,)}
    await register(db, world.space, [world.seen[0]] * 2, **kin)
    await register(db, world.space, world.seen[1:4])

    async with db.transaction() as conn:
        between = await image_embeddings.between_strangers(conn, world.space, 100)

    assert len(between) == 5
    assert max(between) < 0.99


async def test_pictures_of_one_family_alone_count_as_near(db: Database, world: World) -> None:
    """Nothing is known of strangers then: what is told must not be rarer than it is."""
    await register(db, world.space, [world.seen[0], world.seen[0]], decision_id=UUID(int=5))

    async with db.transaction() as conn:
        between = await image_embeddings.between_strangers(conn, world.space, 100)

    assert between == pytest.approx([1.0, 1.0], abs=1e-3)


async def test_searches_go_by_the_index_of_their_model(db: Database, world: World) -> None:
    await register(db, world.space, world.seen)

    async with db.transaction() as conn:
        await conn.execute("SET LOCAL enable_seqscan = off")  # a few rows are read faster without any index
        await conn.execute("SET LOCAL enable_sort = off")
        await image_embeddings.nearest(conn, world.space, world.seen[3], 1)
        await image_embeddings.between_strangers(conn, world.space, 10)
        index = f"image_embeddings_{world.space.model[:40]}"
        row = await (await conn.execute("SELECT pg_stat_get_xact_numscans(%s::regclass)", [index])).fetchone()

    assert row == (11,)


async def test_a_database_where_pgvector_may_not_be_made_is_refused(db: Database, world: World) -> None:
    async with db.transaction() as conn:
        await conn.execute("CREATE ROLE plain_owner")
        await conn.execute("SET LOCAL ROLE plain_owner")
        with pytest.raises(ConfigurationError, match="CREATE EXTENSION vector"):
            await image_embeddings.prepare(conn, world.space)
        await conn.rollback()


def conclusion(resembles: RegisteredImage) -> Conclusion:
    finding = replace(
        NOTHING, found=True, message="like it", payload_id=resembles.payload_id.hex(), false_positive=0.01
    )
    return Conclusion(Origin.NOT_FOUND, (finding,), None, withdrawn=False, false_positive=1.0, resembles=resembles)


def test_what_is_like_it_is_told_to_its_own_tenant_alone() -> None:
    image = new_image()

    own, other = (inspection_to_proto(conclusion(image), tenant) for tenant in ("demo", "other"))

    assert own.findings[0].payload_id == image.payload_id.hex()
    assert (other.findings[0].found, other.findings[0].message) == (False, NOTHING.message)
    assert other.findings[0].payload_id == ""


async def test_no_encoder_is_asked_where_none_is_named(db: Database) -> None:
    assert await Resemblance.open(db, ProvenanceSettings()) is None


async def test_settings_open_the_encoder_and_its_index(db: Database, world: World) -> None:
    settings = ProvenanceSettings(encoder=URI, encoder_config=CONFIG)

    resemblance = await Resemblance.open(db, settings)

    assert resemblance is not None
    seen = await asyncio.to_thread(resemblance.look, draw(world.scenes[:1])[0])
    assert np.linalg.norm(seen) == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(seen, world.seen[0], atol=1e-5)


@pytest.fixture
async def house(
    tmp_path: Path,
    database: str,
    db: Database,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    new_port_base: Callable[[], int],
) -> AsyncIterator[HouseSettings]:
    """Provenance with the encoder, over a registry that is large enough to measure."""
    await register(db, world.space, world.seen[1:])
    for name, value in (("METRICS_PORT", "0"), ("ENCODER", URI), ("ENCODER_CONFIG", CONFIG)):
        monkeypatch.setenv(f"PORTCULLIS_PROVENANCE_{name}", value)
    settings = HouseSettings(home=tmp_path, dsn=database, port_base=new_port_base(), drain_seconds=1)
    await provision(settings)
    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("provenance", build, as_room(settings, "provenance"), stopping))
    await listening(settings.port("provenance"))
    yield settings
    stopping.set()
    await task


async def ask(house: HouseSettings, image: bytes) -> pb.ProvenanceServiceInspectImageResponse:
    request = pb.ProvenanceServiceInspectImageRequest(subject=subject(), image=image)
    async with connect(house, "gateway", "provenance") as channel:
        stub = provenance_pb2_grpc.ProvenanceServiceStub(channel)
        return await stub.InspectImage(request, timeout=30, wait_for_ready=True)


async def test_a_marked_picture_is_evidence_of_what_is_made_from_it_and_no_more(
    house: HouseSettings, world: World
) -> None:
    scene, variation = world.scenes[0], moved(world.scenes[0])
    marked = await mark(house, encode(large(scene)))

    own, derived = [await ask(house, image) for image in (marked.image, encode(large(variation)))]

    assert "embedding" not in [finding.layer for finding in own.inspection.findings]
    assert derived.inspection.origin == pb.ORIGIN_NOT_FOUND
    assert (derived.image_id, derived.depth, derived.inspection.withdrawn) == ("", 0, False)
    finding = derived.inspection.findings[-1]
    assert (finding.layer, finding.found) == ("embedding", True)
    assert finding.payload_id == marked.provenance.payload_id


def large(scene: Scene) -> NDArray[np.uint8]:
    return pictures([scene], 256)[0].permute(1, 2, 0).contiguous().numpy()
