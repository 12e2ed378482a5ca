"""The process in which untrusted pictures are decoded: `imaging` starts it, `apart` carries the messages.

It holds no secrets, may write no file, and has little memory. Each request runs under an alarm whose default action
ends the process even in the middle of native code, so a decoder that hangs or crashes costs one request.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

from PIL import Image, ImageCms, ImageOps

from services.core.apart import Message, confine, serve
from services.core.imaging_formats import ImageFormat, Malformed, require_whole

MEMORY_BYTES = 768 << 20
PNG_LEVEL = 1


class Task(NamedTuple):
    """One request's head: the format that the first bytes announced, seconds allowed, sizes allowed in pixels."""

    kind: ImageFormat
    seconds: float
    min_side: int
    max_side: int
    max_pixels: int


def decode(data: bytes, task: Task) -> Image.Image:
    """The picture as people see it: upright, sRGB, 8 bits, opaque (on white); Malformed where it may not be opened."""
    with Image.open(BytesIO(data), formats=[task.kind]) as image:
        _require_size(image, task)
        if getattr(image, "n_frames", 1) > 1:
            raise Malformed("animated pictures are not allowed; send one frame")
        image.load()
        upright = ImageOps.exif_transpose(image)
    return _flatten(upright, upright.info.get("icc_profile"))


def _require_size(image: Image.Image, task: Task) -> None:
    short, long = sorted(image.size)
    if short < task.min_side or long > task.max_side or short * long > task.max_pixels:
        raise Malformed(
            f"the picture is {image.width} × {image.height} pixels; {task.min_side} to {task.max_side} a side "
            f"and at most {task.max_pixels} in all are allowed"
        )


def _flatten(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB from any mode: 16-bit grey rescaled, palettes and CMYK converted, transparency put on white."""
    if image.mode.startswith("I"):
        image = image.point(lambda value: value * (1 / 257)).convert("L")
        image.info.pop("transparency", None)  # a 16-bit key colour means nothing among 8-bit values
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")
    colours = _to_srgb(image, profile)
    if alpha is None:
        return colours
    white = Image.new("RGB", colours.size, "white")
    white.paste(colours, mask=alpha)
    return white


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Through the embedded profile; a profile that cannot be used counts as none, as it does in browsers."""
    if not profile:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def answer(head: dict[str, Any], bodies: Sequence[bytes]) -> Message:
    """Width and height with PNG and raw RGB, or an error that is fit for the sender."""
    task = Task(**head)
    signal.setitimer(signal.ITIMER_REAL, task.seconds)
    try:
        require_whole(bodies[0], task.kind)
        picture = decode(bodies[0], task)
        png = BytesIO()
        picture.save(png, "PNG", compress_level=PNG_LEVEL)
        return {"width": picture.width, "height": picture.height}, [png.getvalue(), picture.tobytes()]
    except Malformed as error:
        return {"error": str(error)}, []
    except MemoryError:
        return {"error": "the picture needs more memory to decode than is allowed"}, []
    except Image.DecompressionBombError:
        return {"error": "the picture has too many pixels"}, []
    except Exception:  # hostile bytes make decoders raise anything; each is a refusal
        return {"error": f"the {task.kind} file is damaged and cannot be decoded"}, []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    confine(MEMORY_BYTES)
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the exact cap is _require_size
    serve(answer, hello={})
