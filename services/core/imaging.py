"""The one safe way to decode and encode an image.

`sanitise` takes what a stranger sent and gives back what all later steps use: the same picture, re-encoded. Checks on
the bytes come first, then a separate process decodes under limits of memory and time (`imaging_worker`); only its
raw pixels and fresh PNG come back. Metadata, hidden chunks and whatever stood under full transparency are gone.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import queue
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.core.apart import Apart, Message
from services.core.errors import InvalidInput, Unavailable
from services.core.imaging_formats import ALLOWED, ImageFormat, Malformed, recognise
from services.core.imaging_worker import Task

Rgb = NDArray[np.uint8]
OutputFormat = Literal["PNG", "JPEG", "WEBP"]

_QUALITY = 95
_GRACE_SECONDS = 5.0  # beyond the worker's own alarm: for a worker that was stopped or starts on a busy machine


@dataclass(frozen=True, slots=True)
class Limits:
    """What is accepted: bytes of the file, pixels a side and in all, seconds of decoding and re-encoding."""

    max_bytes: int = 16 * 1024 * 1024
    min_side: int = 8
    max_side: int = 8192
    max_pixels: int = 33_554_432
    seconds: float = 5.0


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Sanitised:
    """A picture that is safe to hand on: `png` is sRGB, 8 bits, upright, without metadata.

    `rgb` holds the same pixels, (height, width, 3) uint8, read-only; `sha256` is that of `png`, in hex;
    `format` is what the sender used.
    """

    png: bytes
    rgb: Rgb
    width: int
    height: int
    sha256: str
    format: ImageFormat


def sanitise(data: bytes, limits: Limits = LIMITS, field: str = "image") -> Sanitised:
    """Decode and re-encode an untrusted picture; InvalidInput on `field` says what is wrong and what is allowed.

    Blocks for as long as the decoding takes: call it from a thread. Unavailable where no decoder can be started.
    """
    try:
        kind = _admit(data, limits)
        png, pixels, width, height = _decode_apart(data, kind, limits)
    except Malformed as error:
        raise InvalidInput(field, str(error)) from error
    rgb = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    return Sanitised(png, rgb, width, height, hashlib.sha256(png).hexdigest(), kind)


def sanitise_mask(data: bytes, width: int, height: int) -> bytes:
    """A mask as PNG of one channel, 255 where the pixel may change (the sender's white), else 0.

    InvalidInput where it is no picture, not `width` × `height` pixels, or marks nothing.
    """
    picture = sanitise(data, field="mask")
    if (picture.width, picture.height) != (width, height):
        raise InvalidInput(
            "mask", f"is {picture.width} × {picture.height} pixels; the image's size, {width} × {height}, is needed"
        )
    marked = Image.fromarray(picture.rgb).convert("L").point(lambda value: 255 if value >= 128 else 0)
    if marked.getbbox() is None:
        raise InvalidInput("mask", "marks nothing; at least one white pixel says what may change")
    png = BytesIO()
    marked.save(png, "PNG")
    return png.getvalue()


def decode_rgb(png: bytes) -> Rgb:
    """The pixels, (height, width, 3) uint8, of a PNG that this house made itself; never of a stranger's file."""
    with Image.open(BytesIO(png), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def encode(rgb: Rgb, kind: OutputFormat = "PNG") -> bytes:
    """Pixels, (height, width, 3) uint8, as a file without metadata; JPEG and WebP at quality 95."""
    file = BytesIO()
    options = {"compress_level": 6} if kind == "PNG" else {"quality": _QUALITY}
    Image.fromarray(rgb).save(file, kind, **options)
    return file.getvalue()


def _admit(data: bytes, limits: Limits) -> ImageFormat:
    if not data:
        raise Malformed(f"is empty; {ALLOWED}")
    if len(data) > limits.max_bytes:
        raise Malformed(f"has {len(data)} bytes; at most {limits.max_bytes} are allowed")
    return recognise(data)


class _Pool:
    """Warm decoders, started when first needed; as many at once as there are processors, four at most."""

    def __init__(self) -> None:
        self._slots: queue.LifoQueue[Apart | None] = queue.LifoQueue()
        self._size = min(4, os.cpu_count() or 1)
        for _ in range(self._size):
            self._slots.put(None)

    def decode(self, task: Task, data: bytes) -> Message:
        """Hand one picture to a decoder; one that dies or hangs is ended, and its picture is refused."""
        decoder, fit = self._slots.get(), None
        try:
            decoder = decoder or _start()
            message = decoder.ask(task._asdict(), [data], task.seconds + _GRACE_SECONDS)
            fit = decoder
        except (EOFError, OSError) as error:
            raise Malformed("cannot be decoded within the limits of time and memory") from error
        finally:
            self._slots.put(fit)
        return message

    def close(self) -> None:
        """End the idle decoders; a busy one ends by itself when this process does."""
        for _ in range(self._size):
            with contextlib.suppress(queue.Empty):
                if decoder := self._slots.get_nowait():
                    decoder.end()


def _start() -> Apart:
    try:
        return Apart("services.core.imaging_worker")
    except (EOFError, OSError) as error:
        raise Unavailable("no process for decoding images could be started") from error


_pool = _Pool()
atexit.register(lambda: _pool.close())


def _renew_pool() -> None:
    """After a fork the sockets belong to the parent; the child starts decoders of its own."""
    global _pool
    _pool = _Pool()


os.register_at_fork(after_in_child=_renew_pool)


def _decode_apart(data: bytes, kind: ImageFormat, limits: Limits) -> tuple[bytes, bytes, int, int]:
    """PNG, raw RGB, width, height."""
    task = Task(kind, limits.seconds, limits.min_side, limits.max_side, limits.max_pixels)
    head, bodies = _pool.decode(task, data)
    if "error" in head:
        raise Malformed(head["error"])
    png, pixels = bodies
    return png, pixels, head["width"], head["height"]
