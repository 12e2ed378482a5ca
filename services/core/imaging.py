"""The one safe way to decode and encode an image.

`sanitise` takes what a stranger sent and gives back what all later steps use: the same picture, re-encoded. Checks on
the bytes come first, then a separate process decodes under limits of memory and time (`imaging_worker`); only raw
pixels come back, of which this process makes a fresh PNG. Metadata, hidden chunks and whatever stood under
transparency are gone from it.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import queue
import signal
import time
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.core.apart import Apart, Message
from services.core.errors import InvalidInput, Unavailable
from services.core.imaging_formats import ALLOWED, ImageFormat, Limits, Malformed, recognise
from services.core.imaging_png import write_png

Rgb = NDArray[np.uint8]
OutputFormat = Literal["PNG", "JPEG", "WEBP"]

_QUALITY = 95
_LEAST_SECONDS = 0.01  # a timer of 0 would be none
_GRACE_SECONDS = 2.0  # beyond the worker's own timers: for a worker that was stopped or taken over


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Sanitised:
    """A picture that is safe to hand on: `png` is sRGB, 8 bits, upright, without metadata, shown on white.

    `rgb` holds the same pixels, (height, width, 3) uint8, read-only; `sha256` is that of `png`, in hex;
    `format` is what the sender used, `original` the upright width and height that his file has.
    `others` are further pictures like `rgb` that its transparency hides: a detector must look at each as well, and
    none of them goes any further.
    """

    png: bytes
    rgb: Rgb
    others: tuple[Rgb, ...]
    width: int
    height: int
    original: tuple[int, int]
    sha256: str
    format: ImageFormat


def sanitise(data: bytes, limits: Limits = LIMITS, field: str = "image") -> Sanitised:
    """Decode and re-encode an untrusted picture; InvalidInput on `field` says what is wrong and what is allowed.

    Blocks for as long as the decoding takes: call it from a thread. Unavailable where no decoder can be started, or
    where the machine is too busy to decode in time.
    """
    decoded = _decode_apart(data, limits, field)
    png = write_png(decoded.views[0])
    height, width = decoded.views[0].shape[:2]
    digest = hashlib.sha256(png).hexdigest()
    return Sanitised(png, decoded.views[0], decoded.views[1:], width, height, decoded.original, digest, decoded.format)


def sanitise_mask(data: bytes, picture: Sanitised) -> bytes:
    """The mask for `picture` as PNG of one channel and its size, 255 where a pixel may change (the sender's white),
    else 0. It was drawn on the picture that was sent, and shrinks as that did, or on the sanitised one.

    InvalidInput where it is no picture, of neither size, or marks nothing.
    """
    decoded = _decode_apart(data, LIMITS, "mask")
    size, given = (picture.width, picture.height), decoded.original
    if given not in (picture.original, size):
        width, height = picture.original
        raise InvalidInput(
            "mask", f"is {given[0]} × {given[1]} pixels; the image's size, {width} × {height}, is needed"
        )
    grey = Image.fromarray(decoded.views[0]).convert("L")
    marked = np.where(np.asarray(grey.resize(size, Image.Resampling.BOX)) >= 128, 255, 0).astype(np.uint8)
    if not marked.any():
        raise InvalidInput("mask", "marks nothing; at least one white pixel says what may change")
    return write_png(marked)


@dataclass(frozen=True, slots=True)
class Layers:
    """`rgb`, (height, width, 3) uint8 sRGB, upright; `alpha`, (height, width) uint8, None where all is opaque."""

    rgb: Rgb
    alpha: NDArray[np.uint8] | None


def open_layers(data: bytes, limits: Limits, field: str = "image") -> Layers:
    """An untrusted picture in full size with its transparency; raises as `sanitise`. `limits` must not shrink it."""
    decoded = _decode_apart(data, limits, field, in_layers=True)
    return Layers(decoded.views[0], decoded.views[1] if len(decoded.views) > 1 else None)


def decode_rgb(png: bytes) -> Rgb:
    """The pixels, (height, width, 3) uint8, of a PNG that this house made itself; never of a stranger's file."""
    with Image.open(BytesIO(png), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def encode(rgb: Rgb, kind: OutputFormat = "PNG") -> bytes:
    """Pixels, (height, width, 3) uint8, as a file without metadata; JPEG and WebP at quality 95.

    PNG and WebP also take (height, width, 4), with alpha.
    """
    if kind == "PNG":
        return write_png(rgb)
    file = BytesIO()
    Image.fromarray(rgb).save(file, kind, quality=_QUALITY)
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

    def decode(self, data: bytes, kind: ImageFormat, limits: Limits, in_layers: bool) -> Message:
        """Hand one picture to a decoder; one that dies or hangs is ended, and its picture is refused.

        Unavailable where it had no processor for long enough: that says nothing about the picture.
        """
        decoder, fit, begin = self._slots.get(), None, time.monotonic()
        try:
            decoder = decoder or _start()
            left = max(_LEAST_SECONDS, limits.wall_seconds - (time.monotonic() - begin))
            task = {"kind": kind, "in_layers": in_layers, **asdict(replace(limits, wall_seconds=left))}
            message = decoder.ask(task, [data], left + _GRACE_SECONDS)
            fit = decoder
        except (EOFError, OSError) as error:
            if decoder and decoder.ended_by == signal.SIGALRM:
                raise Unavailable("the machine is too busy to decode the picture in time") from error
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


@dataclass(frozen=True, slots=True)
class _Decoded:
    views: tuple[Rgb, ...]
    original: tuple[int, int]
    format: ImageFormat


def _decode_apart(data: bytes, limits: Limits, field: str, in_layers: bool = False) -> _Decoded:
    """Every view of the picture, and the upright size that it had in the file."""
    try:
        kind = _admit(data, limits)
        head, bodies = _pool.decode(data, kind, limits, in_layers)
        if "error" in head:
            raise Malformed(head["error"])
    except Malformed as error:
        raise InvalidInput(field, str(error)) from error
    width, height = head["original"]
    shape = head["height"], head["width"]
    planes = tuple(np.frombuffer(body, np.uint8) for body in bodies)
    views = tuple(plane.reshape(shape if plane.size == shape[0] * shape[1] else (*shape, 3)) for plane in planes)
    return _Decoded(views, (width, height), kind)
