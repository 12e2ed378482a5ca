"""What an encoder finds alike: how often the picture that one was made from, how often a stranger; and its search.

Run by `make bench`; prints both tables. `models/scenes-clip` over drawn scenes, through the registry's own code on an
embedded Postgres; then the index over many vectors that crowd around those, compared with every one of them.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from skimage import data

from benchmarks.house import postgres
from benchmarks.registry import picture
from services.core.image_encoder import ImageEncoder, load_image_encoder
from services.core.store import image_embeddings, images, tenants
from services.core.store.database import Database
from services.core.store.image_embeddings import Space
from services.provenance.fingerprint import PDQ_RADIUS, pdq_orientations
from services.provenance.resemblance import Resemblance
from training.generator.pool import pictures
from training.generator.scenes import Scene, draw_scene, lay_out

FOLDER = "models/scenes-clip"
REGISTERED, PROBES = 2_000, 200
ROWS, SEARCHES, CROWDED = 20_000, 200, 0.3  # the last: a vector's distance to the scene that it crowds around
BATCH = 1_000

Rgb = NDArray[np.uint8]
Vectors = NDArray[np.float32]


def main() -> None:
    """Measures on a Postgres of its own and prints."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, postgres.running(Path(folder)) as dsn:
        asyncio.run(measure(console, dsn))


async def measure(console: Console, dsn: str) -> None:
    """Both tables."""
    rng = np.random.default_rng(5)
    encoder = load_image_encoder(f"{FOLDER}/open_clip_model.safetensors", "", f"{FOLDER}/open_clip_config.json", "", "")
    scenes = [draw(rng) for _ in range(REGISTERED)]
    drawn = paint(scenes)
    seen = np.stack([encoder.look(one) for one in drawn])
    database = await Database.open(dsn)
    async with database.transaction() as conn:
        await tenants.create_tenant(conn, postgres.TENANT)
    ids = await register(database, Space(encoder.digest, seen.shape[1]), drawn, seen)
    chosen = [int(number) for number in rng.choice(REGISTERED, PROBES, replace=False)]
    probes = derived(rng, [scenes[number] for number in chosen], [drawn[number] for number in chosen])
    await tell(console, database, encoder, probes, [ids[number] for number in chosen])
    await search(console, database, rng, seen)
    await database.close()


def draw(rng: np.random.Generator) -> Scene:
    """A scene of one to three objects."""
    return draw_scene(rng, int(rng.choice([1, 2, 3], p=(0.3, 0.45, 0.25))))


def paint(scenes: Sequence[Scene]) -> list[Rgb]:
    """Each scene's picture at 128 pixels."""
    return list(pictures(scenes, 128).permute(0, 2, 3, 1).contiguous().numpy())


async def register(database: Database, space: Space, drawn: Sequence[Rgb], seen: Vectors) -> list[UUID]:
    """Registers the pictures, no two of one family; their ids."""
    ids: list[UUID] = []
    async with database.transaction() as conn:
        await image_embeddings.prepare(conn, space)
        for rgb, vector in zip(drawn, seen, strict=True):
            row = picture(pdq_orientations(rgb)[0])
            await images.insert(conn, row)
            await image_embeddings.add(conn, space, row.image_id, vector)
            ids.append(row.image_id)
    return ids


def derived(rng: np.random.Generator, scenes: Sequence[Scene], drawn: Sequence[Rgb]) -> Mapping[str, list[Rgb]]:
    """Pictures made from ours, in the order of `scenes`; and strangers' of the same world and of another."""
    photographs = [getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket", "cat")]
    return {
        "drawn again, each object a little moved": paint([moved(rng, scene) for scene in scenes]),
        "the same objects laid out anew": paint([lay_out(rng, scene) for scene in scenes]),
        "cropped to 75%": [cropped(rng, one, 0.75) for one in drawn],
        "cropped to 50%": [cropped(rng, one, 0.5) for one in drawn],
        "turned by 15°": [turned(one) for one in drawn],
        "half of another picture": [pasted(one, drawn[number - 1]) for number, one in enumerate(drawn)],
        "strangers' scenes": paint([draw(rng) for _ in scenes]),
        "photographs, parts of them": [
            cropped(rng, photographs[number % len(photographs)], 0.4) for number in range(len(scenes))
        ],
    }


def moved(rng: np.random.Generator, scene: Scene) -> Scene:
    """Every object up to 4% of the side elsewhere, up to 10% larger or smaller."""
    items = (
        replace(
            item,
            x=item.x + float(rng.uniform(-0.04, 0.04)),
            y=item.y + float(rng.uniform(-0.04, 0.04)),
            radius=item.radius * float(rng.uniform(0.9, 1.1)),
        )
        for item in scene.items
    )
    return replace(scene, items=tuple(items))


def cropped(rng: np.random.Generator, rgb: Rgb, area: float) -> Rgb:
    """A part of this area, anywhere."""
    height, width = (int(side * area**0.5) for side in rgb.shape[:2])
    y, x = (int(rng.integers(whole - part + 1)) for whole, part in zip(rgb.shape, (height, width), strict=False))
    return np.ascontiguousarray(rgb[y : y + height, x : x + width])


def turned(rgb: Rgb) -> Rgb:
    """Turned by 15°, the edges drawn out."""
    side = rgb.shape[0]
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), 15, 1)
    out: Rgb = cv2.warpAffine(rgb, turn, (side, side), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)
    return out


def pasted(rgb: Rgb, on: Rgb) -> Rgb:
    """The picture at half the area on another one."""
    side = int(rgb.shape[0] * 0.5**0.5)
    out = on.copy()
    out[:side, :side] = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    return out


async def tell(
    console: Console, database: Database, encoder: ImageEncoder, probes: Mapping[str, list[Rgb]], ids: Sequence[UUID]
) -> None:
    """For each kind of picture, how often its own and how often another one was named."""
    resemblance = Resemblance(encoder, Space(encoder.digest, len(encoder.look(probes["cropped to 75%"][0]))))
    begin = time.perf_counter()
    await resemblance.measure(database)
    title = f"of {REGISTERED:,} registered; strangers measured in {time.perf_counter() - begin:.1f} s"
    table = Table("picture", "its own named", "another named", "PDQ finds it", title=title)
    for kind, shown in probes.items():
        named = [(await resemblance.find(database, rgb))[1] for rgb in shown]
        own = [image is not None and image.image_id == target for image, target in zip(named, ids, strict=True)]
        other = sum(image is not None for image in named) - sum(own)
        async with database.transaction() as conn:
            alike = [await images.nearest(conn, pdq_orientations(rgb), PDQ_RADIUS) for rgb in shown]
        hashed = [image is not None and image.image_id == target for image, target in zip(alike, ids, strict=True)]
        table.add_row(kind, *(f"{count / len(shown):.1%}" for count in (sum(own), other, sum(hashed))))
    console.print(table)


async def search(console: Console, database: Database, rng: np.random.Generator, seen: Vectors) -> None:
    """Time and completeness of the index; what it holds is compared in full by NumPy."""
    space = Space(secrets.token_hex(32), seen.shape[1])
    vectors = crowd(rng, seen, ROWS)
    begin = time.perf_counter()
    ids = await fill(database, space, vectors)
    inserted = (time.perf_counter() - begin) / ROWS * 1000
    took, missed = list[float](), 0
    for asked in crowd(rng, seen, SEARCHES):
        begin = time.perf_counter()
        async with database.transaction() as conn:
            near = await image_embeddings.nearest(conn, space, asked, 10)
        took.append((time.perf_counter() - begin) * 1000)
        missed += near[0][0] != ids[int((vectors @ asked).argmax())]
    async with database.transaction() as conn:
        index = f"image_embeddings_{space.model[:40]}"
        row = await (await conn.execute("SELECT pg_relation_size(%s::regclass)", [index])).fetchone()
    assert row is not None
    table = Table("rows", "search ms (95%)", "nearest missed", "index bytes/row", "insert ms", title="the search")
    times = f"{np.median(took):.1f} ({np.percentile(took, 95):.1f})"
    table.add_row(f"{ROWS:,}", times, f"{missed} of {SEARCHES}", f"{row[0] / ROWS:,.0f}", f"{inserted:.1f}")
    console.print(table)


def crowd(rng: np.random.Generator, seen: Vectors, count: int) -> Vectors:
    """Unit vectors around what the encoder saw."""
    noise = rng.normal(size=(count, seen.shape[1])) * CROWDED / seen.shape[1] ** 0.5
    near = seen[rng.integers(len(seen), size=count)] + noise
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


async def fill(database: Database, space: Space, vectors: Vectors) -> list[UUID]:
    """Writes rows without pictures: only the index is asked here."""
    ids = [uuid4() for _ in vectors]
    async with database.transaction() as conn:
        await image_embeddings.prepare(conn, space)
    for start in range(0, len(ids), BATCH):
        async with database.transaction() as conn:
            await conn.execute("SET LOCAL session_replication_role = replica")
            for image_id, vector in zip(ids[start : start + BATCH], vectors[start : start + BATCH], strict=True):
                await image_embeddings.add(conn, space, image_id, vector)
    return ids


if __name__ == "__main__":
    main()
