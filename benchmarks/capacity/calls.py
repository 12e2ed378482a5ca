"""The calls whose cost is measured, by the front door of a house that draws up to 1,024 pixels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from uuid import uuid4

from PIL import Image
from skimage import data

from demo import inputs
from demo.running import RunningHouse, running_house
from portcullis import Client
from services.core.artifacts import MODELS
from services.generator.checkpoint import folder_digest

SIZES = (1024, 512, 256)
PROMPTS = (
    "a red circle above a blue square on a yellow background",
    "a green star",
    "a purple ring on a white background",
    "an orange triangle below a black cross",
)

Call = Callable[[int], object]


@contextmanager
def house(home: Path, tell: Callable[[str], None]) -> Iterator[RunningHouse]:
    """A whole house whose embedded model draws all `SIZES`: it is enlarged, so what is drawn costs next to nothing."""
    model = home.parent / "scenes"
    shutil.copytree(MODELS / "scenes", model)
    card = json.loads((model / "portcullis.json").read_text(encoding="utf-8"))
    (model / "portcullis.json").write_text(json.dumps({**card, "size": SIZES[0], "sizes": SIZES[1:]}))
    settings = {"PORTCULLIS_GENERATOR_MODEL": str(model), "PORTCULLIS_GENERATOR_MODEL_SHA256": folder_digest(model)}
    with running_house(home, tell, settings) as running:
        yield running


def account() -> str:
    """One of many: a person's own limits would end a benchmark."""
    return f"bench-{uuid4().hex[:8]}"


def photograph(side: int) -> bytes:
    """A harmless photograph of `side` × `side` pixels as JPEG, as people upload."""
    return _jpeg(data.rocket(), side)


def calls(client: Client) -> dict[str, tuple[int, Call]]:
    """How often each is measured, and how it is called. Pictures have 1,024 pixels a side but where the name says."""
    photo = photograph(1024)
    mask = inputs.mask_of(photo)
    doubtful = _jpeg(data.coffee(), 1024)
    return {
        "check_prompt": (200, lambda number: client.check_prompt(PROMPTS[number % 4], account=account())),
        "check_upload": (20, lambda _: client.check_upload(photo, account=account())),
        "inspect": (10, lambda _: client.inspect_image(photo)),
        "create 1": (10, lambda number: create(client, number, 1, 1024)),
        "create 4": (6, lambda number: create(client, number, 4, 1024)),
        "create 4 of 256": (8, lambda number: create(client, number, 4, 256)),
        "variation 3": (6, lambda number: vary(client, photo, number, 3)),
        "edit 3": (6, lambda number: edit(client, photo, mask, number, 3)),
        "blocked": (50, lambda number: list(client.create_images(inputs.BLOCKED, account=account(), seed=number))),
        "held": (
            12,
            lambda number: list(
                client.edit_images(inputs.DOUBTFUL, doubtful, mask, account=account(), count=1, seed=number)
            ),
        ),
    }


def create(client: Client, number: int, count: int, size: int) -> None:
    """Draws; raises where not every picture came."""
    how = {"account": account(), "count": count, "size": size, "seed": number}
    _whole(list(client.create_images(PROMPTS[number % 4], **how)), count)


def vary(client: Client, photo: bytes, number: int, count: int) -> None:
    """Varies; raises where not every picture came."""
    _whole(list(client.vary_images(photo, account=account(), count=count, seed=number)), count)


def edit(client: Client, photo: bytes, mask: bytes, number: int, count: int) -> None:
    """Edits; raises where not every picture came."""
    _whole(list(client.edit_images(PROMPTS[1], photo, mask, account=account(), count=count, seed=number)), count)


def _whole(events: list[object], count: int) -> None:
    pictures = [event for event in events if hasattr(event, "data")]
    if len(pictures) != count:
        raise SystemExit(f"{len(pictures)} of {count} pictures came; the last event was {str(events[-1])[:300]}")


def _jpeg(pixels: object, side: int) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).convert("RGB").resize((side, side)).save(out, "JPEG", quality=90)
    return out.getvalue()
