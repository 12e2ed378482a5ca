from __future__ import annotations

import contextlib
import struct
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
from PIL import Image, ImageCms

from services.core import imaging
from services.core.errors import InvalidInput

FORMATS = ["JPEG", "PNG", "WEBP", "GIF"]


def gradient(width: int = 48, height: int = 32) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.dstack([x, y, 255 - x]).astype(np.uint8))


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_announcing(width: int, height: int) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + body + png_chunk(b"IEND", b"")


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        imaging.sanitise(data)
    assert caught.value.violation.field == "image"
    return caught.value.violation.description


@pytest.mark.parametrize("kind", FORMATS)
def test_every_allowed_format_comes_back_as_the_same_picture(kind: str) -> None:
    result = imaging.sanitise(saved(gradient(), kind, quality=95))

    assert (result.width, result.height, result.format) == (48, 32, kind)
    difference = np.abs(result.rgb.astype(int) - np.asarray(gradient()).astype(int))
    assert difference.mean() < 12
    assert (imaging.decode_rgb(result.png) == result.rgb).all()


def test_metadata_is_dropped() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    result = imaging.sanitise(saved(gradient(), "JPEG", exif=exif, comment=b"secret place"))

    assert b"secret" not in result.png
    assert Image.open(BytesIO(result.png)).info == {}


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    result = imaging.sanitise(saved(gradient(48, 32), "JPEG", exif=exif))

    assert (result.width, result.height) == (32, 48)


def test_sixteen_bits_are_rescaled() -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    result = imaging.sanitise(saved(Image.fromarray(values)))

    assert np.abs(result.rgb[..., 0].astype(int) - (values >> 8)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_every_png_mode_becomes_rgb(mode: str) -> None:
    result = imaging.sanitise(saved(gradient().convert(mode)))

    assert result.rgb.shape == (32, 48, 3)


def test_cmyk_is_converted() -> None:
    result = imaging.sanitise(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))

    red, green, blue = result.rgb[8, 8].astype(int)
    assert red > 200
    assert max(green, blue) < 60


def test_transparency_is_shown_on_white() -> None:
    result = imaging.sanitise(saved(Image.new("RGBA", (16, 16), (255, 0, 0, 0))))

    assert (result.rgb == 255).all()


def test_a_transparent_palette_colour_is_shown_on_white() -> None:
    result = imaging.sanitise(saved(Image.new("P", (16, 16), 3), "GIF", transparency=3))

    assert (result.rgb == 255).all()


def test_colours_go_through_the_embedded_profile() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    result = imaging.sanitise(saved(gradient(), icc_profile=lab))

    assert np.abs(result.rgb.astype(int) - np.asarray(gradient()).astype(int)).max() <= 2


def test_a_broken_profile_counts_as_none() -> None:
    result = imaging.sanitise(saved(gradient(), icc_profile=b"no profile at all"))

    assert (result.rgb == np.asarray(gradient())).all()


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


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    data = saved(gradient(), kind)

    refusal(data[: int(len(data) * share)])


def test_a_png_without_its_end_is_refused() -> None:
    assert "cut short" in refusal(saved(gradient())[:-12])


@pytest.mark.parametrize("kind", FORMATS)
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


def test_a_decoder_that_takes_too_long_costs_one_request_alone() -> None:
    big = saved(Image.effect_noise((2000, 2000), 90).convert("RGB"), "PNG")
    with pytest.raises(InvalidInput, match="limits of time"):
        imaging.sanitise(big, imaging.Limits(seconds=0.02))

    assert imaging.sanitise(saved(gradient())).width == 48


def test_the_biggest_allowed_picture_fits_the_memory() -> None:
    result = imaging.sanitise(saved(Image.new("RGBA", (8192, 4096), (1, 2, 3, 128)), compress_level=1))

    assert result.rgb.shape == (4096, 8192, 3)


def test_many_threads_share_the_decoders() -> None:
    data = saved(gradient())
    with ThreadPoolExecutor(8) as threads:
        digests = {result.sha256 for result in threads.map(lambda _: imaging.sanitise(data), range(40))}

    assert len(digests) == 1


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


def test_a_mask_becomes_one_channel_of_black_and_white() -> None:
    mask = Image.new("L", (48, 32), 0)
    mask.paste(200, (4, 4, 20, 20))
    result = Image.open(BytesIO(imaging.sanitise_mask(saved(mask), 48, 32)))

    assert result.mode == "L"
    assert sorted(set(result.get_flattened_data())) == [0, 255]
    assert result.getpixel((10, 10)) == 255


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="mask: is 48 × 32 pixels"):
        imaging.sanitise_mask(saved(gradient()), 32, 48)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InvalidInput, match="marks nothing"):
        imaging.sanitise_mask(saved(Image.new("L", (16, 16), 0)), 16, 16)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_encode_makes_each_output_format(kind: imaging.OutputFormat) -> None:
    image = Image.open(BytesIO(imaging.encode(np.asarray(gradient()), kind)))

    assert image.format == kind


WHOLE = {kind: saved(gradient(), kind) for kind in FORMATS}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(FORMATS), st.data())
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
