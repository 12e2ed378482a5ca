"""The process in which untrusted pictures are decoded: `imaging` starts it, `apart` carries the messages.

It holds no secrets, may write no file, and has little memory. Each request runs under timers whose default action
ends the process even in the middle of native code, so a decoder that hangs or crashes costs one request.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from services.core.apart import Message, confine, serve
from services.core.imaging_formats import ImageFormat, Limits, Malformed, require_whole
from services.core.imaging_views import layers, views

# Address space, and so an upper bound of what can be resident: 493 MB.
MEMORY_BYTES = 470 << 20
# Pillow's WebP decoder holds four copies of the picture at once.
WEBP_PIXELS = 5120 * 4096
# A JPEG may be decoded at 1/2, 1/4 or 1/8 where that leaves at least this share of the size to be kept.
_DRAFT_SHARE = 0.75

_ORIENTATION = 0x0112  # of EXIF
_PNG_DEPTH = 24  # where a PNG says how many bits a sample has
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_UPRIGHT[orientation] for orientation in (5, 6, 7, 8)}
# Pillow's classes by name: Image.open would try other formats, and takes two pictures in one JPEG for an animation.
_DECODERS: dict[ImageFormat, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
}

Size = tuple[int, int]


def decode(data: bytes, kind: ImageFormat, limits: Limits, in_layers: bool = False) -> tuple[list[Image.Image], Size]:
    """The picture as people see it: upright, sRGB, 8 bits, opaque (on white), at most `kept_side` a side; after it what
    its transparency hides (`views`), or `in_layers`, whole and with its alpha plane apart. And the upright size, width
    and height, that it had in the file.

    Malformed where it may not be opened, and anything else where it cannot.
    """
    require_whole(data, kind)
    with _DECODERS[kind](BytesIO(data)) as image:
        _require_size(image, kind, limits)
        size, kept = image.size, _kept(image.size, limits)
        if kept != size:
            image.draft(None, (_drafted(kept[0], limits), _drafted(kept[1], limits)))
        image.load()
        if kind == "PNG" and data[_PNG_DEPTH] == 16:
            image.info.pop("transparency", None)  # a 16-bit key colour means nothing among 8-bit values
        if max(image.size) <= limits.kept_side:  # small enough, or made so by the draft
            kept = image.size
        turn, profile = _turn(image), image.info.get("icc_profile")
        to_srgb = partial(_to_srgb, profile=profile)
        seen = layers(image, to_srgb) if in_layers else views(image, kept, to_srgb)
    if turn is not None:
        seen = [view.transpose(turn) for view in seen]
    return seen, size[::-1] if turn in _SIDEWAYS else size


def _require_size(image: Image.Image, kind: ImageFormat, limits: Limits) -> None:
    short, long = sorted(image.size)
    most = min(limits.max_pixels, WEBP_PIXELS) if kind == "WEBP" else limits.max_pixels
    if short < limits.min_side or long > limits.max_side or short * long > most:
        raise Malformed(
            f"the picture is {image.width} × {image.height} pixels; {limits.min_side} to {limits.max_side} a side "
            f"and at most {most} in all are allowed"
        )


def _kept(size: Size, limits: Limits) -> Size:
    """The size to keep: `kept_side` a side at most, in proportion."""
    scale = min(1.0, limits.kept_side / max(size))
    width, height = (max(limits.min_side, round(side * scale)) for side in size)
    return width, height


def _drafted(side: int, limits: Limits) -> int:
    """The least that a JPEG decoded at a fraction of its size must have, where `side` is to be kept."""
    return max(limits.min_side, int(side * _DRAFT_SHARE))


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes it upright, by its EXIF orientation; EXIF that cannot be read counts as none, as it does in browsers.

    For loaded pictures only: a PNG would be loaded here, and its error lost.
    """
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # hostile bytes make the parser raise anything
        return None


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
    """Width, height and the upright size in the file, with raw RGB of every view (`in_layers`: colours, alpha).

    Or an error fit for the sender.
    """
    kind: ImageFormat = head.pop("kind")
    in_layers: bool = head.pop("in_layers")
    limits = Limits(**head)
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)
    try:
        seen, original = decode(bodies[0], kind, limits, in_layers)
        width, height = seen[0].size
        return {"width": width, "height": height, "original": original}, [view.tobytes() for view in seen]
    except Malformed as error:
        return {"error": str(error)}, []
    except MemoryError:
        return {"error": "the picture needs more memory to decode than is allowed"}, []
    except Image.DecompressionBombError:
        return {"error": "the picture has too many pixels"}, []
    except Exception:  # hostile bytes make decoders raise anything; each is a refusal
        return {"error": f"the {kind} file is damaged and cannot be decoded"}, []
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    confine(MEMORY_BYTES)
    Image.MAX_IMAGE_PIXELS = MEMORY_BYTES // 16  # Pillow's own check, for what it allocates before it tells a size
    serve(answer, hello={})
