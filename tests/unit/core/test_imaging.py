from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from services.core import imaging, imaging_worker
from services.core.errors import InvalidInput, Unavailable
from tests.unit.core.hostile_pictures import KINDS, SIGNATURE, chunk, gradient, header, png, saved


def png_announcing(width: int, height: int) -> bytes:
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return SIGNATURE + header(width, height) + data + chunk(b"IEND", b"")


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        imaging.sanitise(data)
    assert caught.value.violation.field == "image"
    return caught.value.violation.description


@pytest.mark.parametrize("kind", KINDS)
def test_every_allowed_format_comes_back_as_the_same_picture(kind: str) -> None:
    result = imaging.sanitise(saved(gradient(), kind, quality=95))

    assert (result.width, result.height, result.format) == (48, 32, kind)
    difference = np.abs(result.rgb.astype(int) - np.asarray(gradient()).astype(int))
    assert difference.mean() < 12
    assert (imaging.decode_rgb(result.png) == result.rgb).all()


def test_metadata_is_dropped() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    result = imaging.sanitise(saved(gradient(), "JPEG", exif=exif, comment=b"secret place", icc_profile=b"secret"))

    assert b"secret" not in result.png
    assert Image.open(BytesIO(result.png)).info == {}


def test_the_digest_is_that_of_the_new_file() -> None:
    first, second = imaging.sanitise(saved(gradient())), imaging.sanitise(saved(gradient(), compress_level=0))

    assert first.sha256 == second.sha256


def test_an_empty_file_is_refused() -> None:
    assert "empty" in refusal(b"")


def test_random_bytes_are_refused() -> None:
    assert "not a known picture" in refusal(bytes(range(256)))


def test_svg_is_refused() -> None:
    assert "JPEG, PNG, WebP" in refusal(b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>')


def test_a_tiff_is_refused() -> None:
    assert "not a known picture" in refusal(saved(gradient(), "TIFF"))


def test_too_many_bytes_are_refused() -> None:
    assert "at most" in refusal(saved(gradient()) + bytes(16 * 1024 * 1024))


@pytest.mark.parametrize("side", [7, 8193])
def test_sides_out_of_range_are_refused(side: int) -> None:
    assert "8 to 8192 a side" in refusal(png_announcing(side, 64))


def test_fifty_thousand_pixels_a_side_are_refused() -> None:
    assert "pixels" in refusal(png_announcing(50_000, 50_000))


def test_too_many_pixels_in_all_are_refused() -> None:
    assert "33554432" in refusal(png_announcing(8192, 4097))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    data = saved(gradient(), kind)

    refusal(data[: int(len(data) * share)])


def test_a_png_without_its_end_is_refused() -> None:
    assert "cut short" in refusal(saved(gradient())[:-12])


@pytest.mark.parametrize("kind", KINDS)
def test_polyglots_are_refused(kind: str) -> None:
    archive = b"PK\x03\x04" + bytes(26) + b"hidden" + b"PK\x05\x06" + bytes(18)

    assert "follow the end" in refusal(saved(gradient(), kind) + archive)


def test_a_script_after_a_gif_is_refused() -> None:
    assert "follow the end" in refusal(saved(gradient(), "GIF") + b"*/=1;alert(1)//;")


def test_a_camera_gain_map_after_a_jpeg_is_dropped() -> None:
    plain = imaging.sanitise(saved(gradient(), "JPEG"))
    with_map = imaging.sanitise(saved(gradient(), "JPEG") + saved(gradient(8, 8), "JPEG"))

    assert plain.sha256 == with_map.sha256


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animated_pictures_are_refused(kind: str) -> None:
    other = gradient().rotate(180)

    assert "animated" in refusal(saved(gradient(), kind, save_all=True, append_images=[other], duration=50))


def test_a_decoder_that_works_too_long_costs_one_request_alone() -> None:
    big = png(2000, 2000)
    with pytest.raises(InvalidInput, match="limits of time"):
        imaging.sanitise(big, imaging.Limits(cpu_seconds=0.02, wall_seconds=20))

    assert imaging.sanitise(saved(gradient())).width == 48


def test_a_machine_that_is_too_busy_says_nothing_about_the_picture() -> None:
    big = png(2000, 2000)

    with pytest.raises(Unavailable, match="too busy"):
        imaging.sanitise(big, imaging.Limits(cpu_seconds=20, wall_seconds=0.02))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_biggest_allowed_picture_fits_the_memory(kind: str) -> None:
    mode, options = ("CMYK", {"progressive": True}) if kind == "JPEG" else ("RGBA", {"compress_level": 1})
    big = saved(Image.new(mode, (8192, 4096), (1, 2, 3, 128)), kind, **options)

    result = imaging.sanitise(big, imaging.Limits(cpu_seconds=20, wall_seconds=60))

    assert result.rgb.shape == (1024, 2048, 3)
    assert result.original == (8192, 4096)


def test_the_biggest_allowed_webp_fits_the_memory() -> None:
    big = saved(Image.new("RGBA", (5120, 4096), (1, 2, 3, 128)), "WEBP", lossless=True, method=0, quality=0)

    result = imaging.sanitise(big, imaging.Limits(cpu_seconds=20, wall_seconds=60))

    assert result.rgb.shape == (1638, 2048, 3)


def test_a_webp_of_more_pixels_is_told_its_own_limit() -> None:
    assert "at most 20971520" in refusal(saved(Image.new("RGB", (5121, 4096)), "WEBP", method=0))


def test_a_decoder_holds_less_than_512_megabytes_at_any_time() -> None:
    assert imaging_worker.MEMORY_BYTES < 512_000_000


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("width", "height"), [(4032, 604), (2049, 300), (3000, 450)])
def test_a_larger_picture_is_shrunk_in_proportion(kind: str, width: int, height: int) -> None:
    result = imaging.sanitise(saved(gradient(width, height), kind))

    assert 1536 <= max(result.width, result.height) <= 2048
    assert result.width / result.height == pytest.approx(width / height, rel=0.005)
    small = np.asarray(gradient(result.width, result.height)).astype(int)
    assert np.abs(result.rgb - small).mean() < 2


@pytest.mark.parametrize(("kind", "width", "height"), [("PNG", 48, 32), ("JPEG", 48, 32), ("WEBP", 3000, 20)])
def test_what_was_sanitised_is_the_same_file_when_it_is_checked_again(kind: str, width: int, height: int) -> None:
    once = imaging.sanitise(saved(gradient(width, height), kind))
    assert imaging.sanitise(once.png).sha256 == once.sha256


def test_a_picture_of_the_kept_size_stays_as_it_is() -> None:
    result = imaging.sanitise(saved(gradient(2048, 64)))

    assert (result.rgb == np.asarray(gradient(2048, 64))).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_thin_strip_keeps_the_least_side(kind: str) -> None:
    result = imaging.sanitise(saved(gradient(8192, 24), kind))

    assert (result.width, result.height) == (2048, 8)


def test_many_threads_share_the_decoders() -> None:
    data = saved(gradient())
    with ThreadPoolExecutor(8) as threads:
        digests = {result.sha256 for result in threads.map(lambda _: imaging.sanitise(data), range(40))}

    assert len(digests) == 1


def test_forks_and_threads_start_decoders_of_their_own() -> None:
    script = (
        "import multiprocessing, io\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from services.core import imaging\n"
        "from PIL import Image\n"
        "f = io.BytesIO(); Image.new('RGB', (9, 9)).save(f, 'PNG')\n"
        "def work(n):\n"
        "    with ThreadPoolExecutor(4) as threads:\n"
        "        list(threads.map(imaging.sanitise, [f.getvalue()] * 40))\n"
        "    return sorted(d._process.pid for d in imaging._pool._slots.queue if d)\n"
        "if __name__ == '__main__':\n"
        "    own = work(0)\n"
        "    with multiprocessing.get_context('fork').Pool(3) as forks:\n"
        "        theirs = forks.map(work, range(3), chunksize=1)\n"
        "    assert work(0) == own\n"
        "    assert not set(own) & {pid for pids in theirs for pid in pids}\n"
        "    print('done')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert done.stdout == "done\n", done.stderr


def test_no_decoder_outlives_its_process() -> None:
    script = (
        "from services.core import imaging\n"
        "from PIL import Image; import io\n"
        "f = io.BytesIO(); Image.new('RGB', (9, 9)).save(f, 'PNG')\n"
        "imaging.sanitise(f.getvalue())\n"
        "print(next(d for d in imaging._pool._slots.queue if d)._process.pid)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(["kill", "-0", done.stdout.strip()], check=True, capture_output=True)


def test_works_off_the_main_thread() -> None:
    widths: list[int] = []
    thread = threading.Thread(target=lambda: widths.append(imaging.sanitise(saved(gradient())).width))
    thread.start()
    thread.join()

    assert widths == [48]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_encode_makes_each_output_format(kind: imaging.OutputFormat) -> None:
    image = Image.open(BytesIO(imaging.encode(np.asarray(gradient()), kind)))

    assert image.format == kind


WHOLE = {kind: saved(gradient(), kind) for kind in KINDS}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS), st.data())
def test_flipped_bits_give_a_picture_or_a_clear_refusal(kind: str, data: st.DataObject) -> None:
    broken = bytearray(WHOLE[kind])
    for bit in data.draw(st.lists(st.integers(0, len(broken) * 8 - 1), min_size=1, max_size=12)):
        broken[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(InvalidInput):
        assert imaging.sanitise(bytes(broken)).png.startswith(b"\x89PNG")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x20\0\0\0WEBP"]), st.binary())
def test_random_bytes_after_a_known_beginning_are_refused(beginning: bytes, rest: bytes) -> None:
    refusal(beginning + rest)


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xd8\xff\xda\x00\x02" + b"\xff\x00" * (8 << 20),
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * (4 << 20),
        b"GIF89a" + bytes(7) + b"\x21\xfe" + b"\x01a" * (8 << 20),
    ],
)
def test_a_file_built_to_keep_the_checks_busy_is_refused_in_time(hostile: bytes) -> None:
    refusal(hostile[: 16 * 1024 * 1024])
