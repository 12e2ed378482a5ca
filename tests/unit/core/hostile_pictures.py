"""Hostile picture files, made by code: what a stranger may send to crash, hang, fill or fool a decoder.

`families()` names them all; each family is a function that yields (name, file). Nothing is random but by a seed.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from itertools import permutations

import numpy as np
from PIL import Image

from services.core.imaging_formats import ImageFormat

Files = Iterator[tuple[str, bytes]]

KINDS: tuple[ImageFormat, ...] = ("JPEG", "PNG", "WEBP", "GIF")
SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_BYTES = 16 * 1024 * 1024
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each PNG colour type
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def gradient(width: int = 48, height: int = 32) -> Image.Image:
    """An honest little picture."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.dstack([x, y, 255 - x]).astype(np.uint8))


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """A file made by Pillow."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def honest() -> dict[str, bytes]:
    """One good file of each way to write one."""
    picture, see_through = gradient(), gradient().convert("RGBA")
    see_through.putalpha(gradient().getchannel(0))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a place"
    return {
        **{kind.lower(): saved(picture, kind) for kind in KINDS},
        "jpeg-progressive": saved(picture, "JPEG", progressive=True, exif=exif),
        "jpeg-cmyk": saved(picture.convert("CMYK"), "JPEG"),
        "jpeg-restarts": saved(picture, "JPEG", restart_marker_blocks=1),
        "png-alpha": saved(see_through, exif=exif),
        "png-palette": saved(picture.quantize(16)),
        "png-16-interlaced": png(48, 32, 16, 2, interlaced=True),
        "webp-lossless-alpha": saved(see_through, "WEBP", lossless=True, exif=exif),
    }


def chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    """One PNG chunk, with a checksum of the caller's where given."""
    checked = zlib.crc32(name + body) if crc is None else crc
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checked)


def header(width: int, height: int, depth: int = 8, colour: int = 2, interlaced: bool = False) -> bytes:
    """An IHDR chunk."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def png(
    width: int, height: int, depth: int = 8, colour: int = 2, interlaced: bool = False, before: bytes = b""
) -> bytes:
    """A whole PNG of noise rows under the slowest filter (Paeth); `before` stands before its first IDAT."""
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 else b""
    data = chunk(b"IDAT", _rows(width, height, depth * _CHANNELS.get(colour, 1), interlaced))
    return SIGNATURE + header(width, height, depth, colour, interlaced) + palette + before + data + chunk(b"IEND", b"")


def _rows(width: int, height: int, bits: int, interlaced: bool) -> bytes:
    packer, noise = zlib.compressobj(1), random.Random(7).randbytes(1 << 12)
    packed = []
    for left, top, right, down in _ADAM7 if interlaced else [(0, 0, 1, 1)]:
        across, rows = -(-(width - left) // right), -(-(height - top) // down)
        length = (across * bits + 7) // 8
        row = b"\x04" + (noise * (length // len(noise) + 1))[:length]
        packed += [packer.compress(row) for _ in range(rows if across > 0 else 0)]
    return b"".join(packed) + packer.flush()


def truncated() -> Files:
    """Every honest file, cut at many places; and cut, with its end put back."""
    ends = {"jpeg": b"\xff\xd9", "png": chunk(b"IEND", b""), "webp": b"", "gif": b"\x00\x3b"}
    for name, data in honest().items():
        for share in range(2, 100, 4):
            cut = data[: len(data) * share // 100]
            yield f"{name} cut at {share}%", cut
            if share % 12 == 2:
                yield f"{name} cut at {share}%, end put back", cut + ends[name.split("-")[0]]
        yield f"{name} without its last byte", data[:-1]


def flipped(seed: int = 7, each: int = 40) -> Files:
    """Every honest file with one to twelve bits flipped, or a piece removed, repeated or overwritten."""
    draw = random.Random(seed)
    for name, data in honest().items():
        for number in range(each):
            broken = bytearray(data)
            for _ in range(draw.randint(1, 12)):
                broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
            yield f"{name} with bits flipped, {number}", bytes(broken)
        for number in range(each // 4):
            at, length = draw.randrange(len(data)), draw.randint(1, 64)
            piece = data[at : at + length]
            yield f"{name} with a piece removed, {number}", data[:at] + data[at + length :]
            yield f"{name} with a piece repeated, {number}", data[:at] + piece * 3 + data[at + length :]
            yield f"{name} with a piece overwritten, {number}", data[:at] + bytes(len(piece)) + data[at + length :]


HEADS = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "svg-xml": b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaa">]><svg>&a;</svg>',
    "html": b"<!DOCTYPE html><script>alert(1)</script>",
    "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage",
    "zip": b"PK\x03\x04" + bytes(26) + b"hidden" + b"PK\x05\x06" + bytes(18),
    "rar": b"Rar!\x1a\x07\x01\x00" + bytes(32),
    "exe": b"MZ" + bytes(58) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0" + bytes(64),
    "elf": b"\x7fELF\x02\x01\x01" + bytes(57),
    "shell": b"#!/bin/sh\nexit 0\n",
    "tiff": b"II*\0\x08\0\0\0" + bytes(64),
    "tiff-big": b"MM\0*\0\0\0\x08" + bytes(64),
    "bmp": b"BM" + bytes(64),
    "ico": b"\0\0\x01\0\x01\0" + bytes(64),
    "psd": b"8BPS\0\x01" + bytes(64),
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
    "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(64),
    "jpeg2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64),
    "jpeg-xl": b"\xff\x0a" + bytes(64),
    "mp4": b"\0\0\0\x18ftypisom" + bytes(64),
    "riff-wave": b"RIFF\x40\0\0\0WAVEfmt " + bytes(64),
    "dicom": bytes(128) + b"DICM" + bytes(64),
    "mng": b"\x8aMNG\r\n\x1a\n" + bytes(64),
}


def strangers() -> Files:
    """Formats that are not welcome: alone, before an honest picture, behind one, under its first bytes."""
    yield "nothing", b""
    yield "one byte", b"\xff"
    for name, head in HEADS.items():
        yield name, head
        for kind in KINDS:
            picture = honest()[kind.lower()]
            yield f"{name} before {kind}", head + picture
            yield f"{name} behind {kind}", picture + head
            yield f"{name} under the first bytes of {kind}", picture[:12] + head


def polyglots() -> Files:
    """Every two honest files: one behind the other, and one under the first bytes of the other."""
    for (one, first), (other, second) in permutations(honest().items(), 2):
        yield f"{other} behind {one}", first + second
        yield f"{other} under the first bytes of {one}", first[:12] + second[12:]


def png_tricks() -> Files:
    """Sizes, chunks and checksums that the PNG specification forbids, and some that it allows."""
    good = honest()["png"]
    head, data, end = good[8:33], chunk(b"IDAT", zlib.compress(bytes(32 * 145))), chunk(b"IEND", b"")
    for width, height in [(0, 0), (0, 9), (9, 0), (1, 1), (50_000, 50_000), (2**31 - 1, 9), (9, 2**32 - 1), (8193, 9)]:
        yield f"png of {width} × {height}", SIGNATURE + header(width, height) + data + end
    for depth in (0, 3, 99):
        yield f"png of depth {depth}", SIGNATURE + header(48, 32, depth) + data + end
    for colour in (1, 5, 9):
        yield f"png of colour type {colour}", SIGNATURE + header(48, 32, 8, colour) + data + end
    orders = {
        "without IHDR": data + end,
        "without IDAT": head + end,
        "without IEND": head + data,
        "of nothing but IEND": end,
        "with IDAT first": data + head + end,
        "with two IHDR": head + header(8000, 4000) + data + end,
        "with IHDR behind IDAT": head + data + header(8000, 4000) + end,
        "with a palette missing": header(48, 32, 8, 3) + data + end,
        "with an empty palette": header(48, 32, 8, 3) + chunk(b"PLTE", b"") + data + end,
        "with a palette of 300": header(48, 32, 8, 3) + chunk(b"PLTE", bytes(900)) + data + end,
        "with IEND in a comment": head + data + chunk(b"tEXt", b"a\0" + end),
        "with bytes in IEND": head + data + chunk(b"IEND", b"PK\x03\x04"),
        "with an unknown critical chunk": head + chunk(b"ABCD", bytes(9)) + data + end,
        "of Apple's own kind": chunk(b"CgBI", bytes(4)) + head + data + end,
        "with a chunk of 2 GB": head + struct.pack(">I", 2**31 - 1) + b"tEXt" + data + end,
        "with a negative length": head + struct.pack(">I", 2**32 - 1) + b"IDAT" + data + end,
        "of 200,000 chunks": head + chunk(b"teXt", b"") * 200_000 + data + end,
        "of 60,000 data chunks": head + chunk(b"IDAT", b"") * 60_000 + data + end,
        "of a wrong IHDR checksum": head[:-1] + b"\0" + data + end,
        "of a wrong IDAT checksum": head + data[:-1] + b"\0" + end,
        "of a wrong zlib checksum": head + chunk(b"IDAT", zlib.compress(bytes(32 * 145))[:-1] + b"\0") + end,
        "of no zlib data": head + chunk(b"IDAT", bytes(500)) + end,
        "animated": head + chunk(b"acTL", struct.pack(">II", 1000, 0)) + data + end,
        "animated by 2^32 frames": head + chunk(b"acTL", b"\xff" * 8) + data + end,
        "with filter type 9": head + chunk(b"IDAT", zlib.compress(b"\x09" * (32 * 145))) + end,
        "with a huge key colour": head + chunk(b"tRNS", b"\xff" * 6) + data + end,
        "with too long a tRNS": header(48, 32, 8, 3)
        + chunk(b"PLTE", bytes(9))
        + chunk(b"tRNS", bytes(999))
        + data
        + end,
        "with EXIF of loops": head + chunk(b"eXIf", _looping_exif(64)) + data + end,
    }
    for name, chunks in orders.items():
        yield f"png {name}", SIGNATURE + chunks
    yield "png of Unix newlines", good.replace(b"\r\n", b"\n")
    yield "png of DOS newlines", good.replace(b"\n", b"\r\n")
    for number in range(4):
        yield f"png with byte {number} of its signature changed", bytes([good[0] ^ 128 >> number]) + good[1:]


def png_bombs() -> Files:
    """Little files that want much memory or time."""
    zeros = zlib.compress(bytes(200 << 20), 9)
    bombs = {
        "iCCP": b"icc\0\0" + zeros,
        "zTXt": b"a\0\0" + zeros,
        "iTXt": b"a\0\1\0\0\0" + zeros,
        "iTXt of XMP": b"XML:com.adobe.xmp\0\1\0\0\0" + zeros,
        "eXIf": _looping_exif(15 << 20),
        "tEXt": b"Raw profile type exif\0" + b"\n" * 3 + b"00" * (7 << 20),
    }
    for name, body in bombs.items():
        yield f"png with a bomb in {name}", png(48, 32, before=chunk(name[:4].encode(), body))
    texts = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20), 9)) * 4000
    yield "png with 4000 texts of 1 MB", png(48, 32, before=texts)
    yield "png with 200 MB of rows too many", png(48, 32, before=chunk(b"IDAT", zeros))
    yield (
        "png of 50,000 × 50,000 zeros",
        SIGNATURE + header(50_000, 50_000) + chunk(b"IDAT", zeros) + chunk(b"IEND", b""),
    )


def png_giants() -> Files:
    """The most pixels that are allowed, in every depth and colour type, interlaced or not."""
    for depth, colour in [(8, 2), (8, 6), (16, 2), (16, 6), (16, 0), (16, 4), (8, 3), (1, 0)]:
        for interlaced in (False, True):
            name = f"png giant, {depth} bits, type {colour}{', interlaced' * interlaced}"
            yield name, png(8192, 4096, depth, colour, interlaced)
    key = chunk(b"tRNS", bytes(256))
    yield "png giant, palette with transparency", png(8192, 4096, 8, 3, before=key)
    yield "png giant, grey with a key colour", png(8192, 4096, 8, 0, before=chunk(b"tRNS", b"\0\7"))
    noise = np.random.default_rng(7).integers(0, 255, (1800, 2900, 3), np.uint8)
    yield "png of 16 MB of noise", saved(Image.fromarray(noise), compress_level=1)
    yield "png of 8192 × 8", png(8192, 8)
    yield "png of 8 × 8192", png(8, 8192, 16, 6, interlaced=True)


def _looping_exif(size: int) -> bytes:
    """EXIF whose every entry points to all of it."""
    entries = min(65535, max(1, size // 12 - 2))
    entry = b"".join(struct.pack("<HHII", tag, 7, size, 0) for tag in range(entries))
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + entry + bytes(4)).ljust(size, b"\0")


def jpeg_tricks() -> Files:
    """Segments, sizes and scans out of order."""
    good, progressive = honest()["jpeg"], honest()["jpeg-progressive"]
    frame = good.index(b"\xff\xc0")
    for width, height in [(0, 0), (0, 9), (9, 0), (65_500, 65_500), (65_500, 8), (8192, 4097), (1, 1)]:
        size = struct.pack(">HH", height, width)
        yield f"jpeg of {width} × {height}", good[: frame + 5] + size + good[frame + 9 :]
    for marker in range(0xC1, 0xD0):
        yield f"jpeg of frame type {marker:X}", good[: frame + 1] + bytes([marker]) + good[frame + 2 :]
    for sampling in (0x00, 0x44, 0x14, 0xFF):
        yield f"jpeg of sampling {sampling:02X}", good[: frame + 11] + bytes([sampling]) + good[frame + 12 :]
    for count in (0, 1, 4, 255):
        yield f"jpeg of {count} components", good[: frame + 9] + bytes([count]) + good[frame + 10 :]
    segment = good[frame : frame + 2 + int.from_bytes(good[frame + 2 : frame + 4])]
    yield "jpeg of two frames", good[:frame] + segment + good[frame:]
    yield "jpeg of 200,000 comments", good[:2] + b"\xff\xfe\0\2" * 200_000 + good[2:]
    yield "jpeg of fill bytes", good[:2] + b"\xff" * (8 << 20) + good[2:]
    yield "jpeg of restart markers", good[:-2] + b"\xff\xd0" * (7 << 20) + good[-2:]
    yield "jpeg of stuffing", b"\xff\xd8\xff\xda\0\2" + b"\xff\0" * ((8 << 20) - 8)
    yield "jpeg of empty segments", b"\xff\xd8" + b"\xff\xe0\0\2" * ((4 << 20) - 8)
    yield "jpeg of a segment of length 0", good[:2] + b"\xff\xe0\0\0" + good[2:]
    yield "jpeg with EXIF of loops", saved(gradient(), "JPEG", exif=b"Exif\0\0" + _looping_exif(60_000))
    yield "jpeg with a profile of 13 MB", saved(gradient(), "JPEG", icc_profile=b"acsp" * (13 << 18))
    for times in (5, 30):
        yield f"jpeg of scans repeated {times} times", repeated_scans(progressive, times)


def repeated_scans(data: bytes, times: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * times + b"\xff\xd9"


def jpeg_giants() -> Files:
    """The most pixels that are allowed, and the most work for each."""
    picture = gradient(64, 64).resize((8192, 4096), Image.Resampling.NEAREST)
    for mode in ("RGB", "CMYK", "L"):
        colours = picture.convert(mode)
        yield f"jpeg giant, {mode}", saved(colours, "JPEG", subsampling=0)
        progressive = saved(colours, "JPEG", subsampling=0, progressive=True)
        yield f"jpeg giant, {mode}, progressive", progressive
        yield f"jpeg giant, {mode}, 50 scans", repeated_scans(progressive, 40)
    noise = Image.fromarray(np.random.default_rng(7).integers(0, 255, (2730, 4096, 3), np.uint8))
    yield "jpeg of 12 MB of noise", saved(noise, "JPEG", quality=80, subsampling=0)
    yield "jpeg giant without draft", saved(picture.resize((3070, 3070)), "JPEG", subsampling=0)


def gif_tricks() -> Files:
    """Blocks, sizes and frames."""
    good = honest()["gif"]
    for width, height in [(0, 0), (9, 0), (65_535, 65_535), (8192, 4096), (65_535, 8)]:
        yield f"gif of a screen of {width} × {height}", good[:6] + struct.pack("<HH", width, height) + good[10:]
    at = good.index(b"\x2c", 13 + (3 << (good[10] & 7) + 1))
    for left, top, width, height in [
        (0, 0, 65_535, 65_535),
        (65_000, 65_000, 48, 32),
        (0, 0, 0, 0),
        (0, 0, 8192, 4096),
    ]:
        place = struct.pack("<HHHH", left, top, width, height)
        yield f"gif of a frame {width} × {height} at {left}, {top}", good[: at + 1] + place + good[at + 9 :]
    frame = good[at:-1]
    yield "gif of 2 frames", good[:-1] + frame + b";"
    yield "gif of 5000 frames", good[:-1] + frame * 5000 + b";"
    yield "gif of 300,000 comments", good[:at] + b"\x21\xfe\1a\0" * 300_000 + good[at:]
    yield "gif of blocks of one byte", good[:at] + b"\x21\xfe" + b"\1a" * ((8 << 20) - 400) + b"\0" + good[at:]
    yield "gif without a frame", good[:at] + b";"
    for size in (0, 1, 9, 12, 255):
        yield f"gif of code size {size}", good[: at + 10] + bytes([size]) + good[at + 11 :]
    yield "gif giant", saved(Image.effect_noise((64, 64), 90).resize((8192, 4096), Image.Resampling.NEAREST), "GIF")
    clear = saved(Image.new("P", (8192, 4096), 3), "GIF", transparency=3)
    yield "gif giant, transparent", clear


def webp_tricks() -> Files:
    """Chunks, canvases and frames."""
    good, extended = honest()["webp"], honest()["webp-lossless-alpha"]
    for width, height in [(1, 1), (16_384, 16_384), (1 << 24, 1 << 24), (8192, 4096)]:
        canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        yield f"webp of a canvas of {width} × {height}", extended[:24] + canvas + extended[30:]
    for length in (0, 12, 4000, 2**31, 2**32 - 1):
        yield f"webp of {length} bytes by its header", good[:4] + struct.pack("<I", length) + good[8:]
        yield f"webp of a first chunk of {length} bytes", good[:16] + struct.pack("<I", length) + good[20:]
    frames = [gradient(16, 16).rotate(angle) for angle in range(0, 350, 10)]
    yield "webp of many frames", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    body = good[12:] + b"JUNK\0\0\0\0" * 150_000
    yield "webp of 150,000 chunks", b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_giants() -> Files:
    """The most pixels that are allowed, and more."""
    tile = Image.effect_noise((256, 256), 90).convert("RGBA")
    tile.putalpha(Image.linear_gradient("L"))
    for width in (5120, 6144, 8192):
        picture = tile.resize((width, 4096), Image.Resampling.NEAREST)
        yield f"webp giant of {width}", saved(picture.convert("RGB"), "WEBP", method=0)
        yield f"webp giant of {width}, lossless, alpha", saved(picture, "WEBP", lossless=True, method=0, quality=0)
    noise = Image.fromarray(np.random.default_rng(7).integers(0, 255, (2000, 2600, 3), np.uint8))
    yield "webp of 15 MB of noise", saved(noise, "WEBP", lossless=True, method=0, quality=0)


def families() -> tuple[Callable[[], Files], ...]:
    """All of them; those named bombs and giants take long to make."""
    quick = truncated, flipped, strangers, polyglots, png_tricks, jpeg_tricks, gif_tricks, webp_tricks
    return (*quick, png_bombs, png_giants, jpeg_giants, webp_giants)
