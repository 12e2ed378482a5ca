"""`portcullis mark`, `scan provenance` and `inspect --offline` on a real database: every kind of file, good and bad."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image, ImageCms
from skimage import data
from typer.testing import CliRunner

from portcullis.errors import PortcullisError
from portcullis.v1.provenance_pb2 import ORIGIN_OURS_INTACT
from services.commands import marking, scan
from services.commands.provision import provision
from services.core.config import HouseSettings

PHOTO = Image.fromarray(data.astronaut())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[Path]:
    """A furnished data home; its database is there, its house is not up."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTCULLIS_HOME", str(home))
        patch.setenv("PORTCULLIS_DSN", new_database())
        asyncio.run(provision(HouseSettings()))
        yield home


def run(*arguments: str | Path) -> str:
    """What the command printed; its errors are raised."""
    app = typer.Typer()
    app.command("mark")(marking.mark)
    app.add_typer(scan.app, name="scan")
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, PortcullisError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def clear_ramp() -> Image.Image:
    picture = PHOTO.copy()
    picture.putalpha(Image.fromarray(np.tile(np.arange(512) // 2, (512, 1)).astype(np.uint8)))
    return picture


def in_16_bits() -> bytes:
    return saved(Image.fromarray(np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257), "PNG")


def animated() -> bytes:
    return saved(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(9)])


MARKED: dict[str, Callable[[], bytes]] = {
    "16 x 16": lambda: saved(PHOTO.resize((16, 16)), "PNG"),
    "grey": lambda: saved(PHOTO.convert("L"), "PNG"),
    "palette": lambda: saved(PHOTO.quantize(64), "PNG"),
    "one bit": lambda: saved(PHOTO.convert("1"), "PNG"),
    "CMYK": lambda: saved(PHOTO.convert("CMYK"), "JPEG"),
    "16 bits": in_16_bits,
    "alpha": lambda: saved(clear_ramp(), "PNG"),
    "grey with alpha": lambda: saved(clear_ramp().convert("LA"), "PNG"),
    "WebP with alpha": lambda: saved(clear_ramp(), "WEBP"),
    "with a profile": lambda: saved(
        PHOTO, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    ),
    "8,000 wide": lambda: saved(PHOTO.resize((8000, 500)), "JPEG"),
}
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "1 x 1": (lambda: saved(PHOTO.resize((1, 1)), "PNG"), "1 × 1 pixels; 8 to 8192 a side"),
    "animated": (animated, "animated pictures are not allowed"),
    "truncated": (lambda: saved(PHOTO, "PNG")[:20_000], "cut short or damaged"),
    "truncated JPEG": (lambda: saved(PHOTO, "JPEG")[:20_000], "cut short or damaged"),
    "too many pixels": (lambda: saved(PHOTO.resize((8000, 3000)), "JPEG", quality=20), "at most 22369621 in all"),
    "too wide": (lambda: saved(PHOTO.resize((9000, 20)), "PNG"), "9000 × 20 pixels"),
    "no picture": (lambda: b"no picture", "not a known picture"),
    "empty": (lambda: b"", "is empty"),
}


@pytest.mark.parametrize("kind", MARKED)
def test_it_is_marked_and_known_again(home: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").write_bytes(MARKED[kind]())

    run("mark", tmp_path / "in", tmp_path / "out.png")

    with Image.open(tmp_path / "in") as before, Image.open(tmp_path / "out.png") as after:
        assert before.size == after.size
    assert marking.inspect((tmp_path / "out.png").read_bytes()).origin == ORIGIN_OURS_INTACT


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_with_a_reason(home: Path, tmp_path: Path, kind: str) -> None:
    make, reason = REFUSED[kind]
    (tmp_path / "in").write_bytes(make())

    with pytest.raises(PortcullisError, match=reason) as refused:
        run("mark", tmp_path / "in", tmp_path / "out.png")

    assert refused.value.code == "INVALID_ARGUMENT"
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_transparency_survives(home: Path, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in.png").write_bytes(saved(clear_ramp(), "PNG"))

    run("mark", tmp_path / "in.png", tmp_path / f"out.{suffix}")

    with Image.open(tmp_path / f"out.{suffix}") as marked:
        assert np.array_equal(np.asarray(marked.getchannel("A")), np.asarray(clear_ramp().getchannel("A")))
    found = marking.inspect(saved(Image.open(tmp_path / f"out.{suffix}").convert("RGBA"), "PNG"))
    assert "watermark" in {finding.layer for finding in found.findings if finding.found}


@pytest.mark.parametrize("name", ["out.tiff", "nowhere/out.png", "in.png"])
def test_a_target_that_will_not_do_is_refused_before_anything_is_registered(
    home: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "in.png").write_bytes(saved(PHOTO, "PNG"))

    with pytest.raises(PortcullisError, match="OUT"):
        run("mark", tmp_path / "in.png", tmp_path / name)


def test_a_tenant_that_is_none_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(saved(PHOTO, "PNG"))

    with pytest.raises(PortcullisError, match="is not a tenant"):
        run("mark", tmp_path / "in.png", tmp_path / "out.png", "--tenant", "nobody")


def test_a_folder_is_scanned_file_by_file(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    folder.mkdir()
    (folder / "strange.png").write_bytes(saved(Image.fromarray(data.coffee()), "PNG"))
    (tmp_path / "in.png").write_bytes(saved(PHOTO, "PNG"))
    run("mark", tmp_path / "in.png", folder / "ours.png")
    with Image.open(folder / "ours.png") as ours:
        (folder / "copy.jpg").write_bytes(saved(ours, "JPEG", quality=60))

    run("scan", "provenance", folder, tmp_path / "rows.jsonl")

    rows = {row["id"]: row for row in map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())}
    verdicts = {name: row["verdict"] for name, row in rows.items()}
    assert verdicts == {"ours.png": "OURS_INTACT", "copy.jpg": "OURS_ALTERED", "strange.png": "NOT_FOUND"}
    assert rows["copy.jpg"]["provenance"]["image_id"] == rows["ours.png"]["provenance"]["image_id"]
