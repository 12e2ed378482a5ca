"""What can be seen of a decoded picture: as it is shown, and what its transparency hides.

Transparency lets one file show two pictures: colours under it that a viewer without alpha shows, and light marks that
only a dark page shows. All are made here, so that all can be looked at. Whatever is of full size is shrunk at once: the
file's own pixels and one copy are the most that is in memory.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageChops

Size = tuple[int, int]

# Two views differ where the mean difference of a colour band, 0 … 255, over any cell of 16 × 16 pixels reaches 6:
# six black pixels on white, fifteen at contrast 100, a whole cell at contrast 6.
_CELL, _VISIBLE = 16, 6


def views(image: Image.Image, size: Size, to_srgb: Callable[[Image.Image], Image.Image]) -> list[Image.Image]:
    """The picture in `size` on white; then, where they differ visibly, the colours under its transparency, and it on
    black. All RGB: `to_srgb` makes it of mode L, RGB or CMYK in the file's own colours.
    """
    image = _eight_bits(image)
    if not image.has_transparency_data:
        return [to_srgb(_resized(image if image.mode in ("L", "RGB", "CMYK") else _without_palette(image), size))]
    image = _with_alpha(image)
    colours, alpha = to_srgb(_resized(image.convert(_opaque(image)), size)), image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return [colours]
    hidden = colours
    if image.size != size:  # what is transparent must not stain its neighbours, so colours shrink weighted by alpha
        small = _resized(image.convert(_premultiplied(image)), size).convert(image.mode)
        colours, alpha = to_srgb(small.convert(_opaque(small))), small.getchannel("A")
    seen = [_on("white", colours, alpha)]
    for view in (hidden, _on("black", colours, alpha)):
        if all(_differ(view, other) for other in seen):
            seen.append(view)
    return seen


def layers(image: Image.Image, to_srgb: Callable[[Image.Image], Image.Image]) -> list[Image.Image]:
    """The colours of a picture, and its alpha plane (mode L) where it has one that hides anything; in full size."""
    image = _eight_bits(image)
    if not image.has_transparency_data:
        return [to_srgb(image if image.mode in ("L", "RGB", "CMYK") else _without_palette(image))]
    image = _with_alpha(image)
    colours, alpha = to_srgb(image.convert(_opaque(image))), image.getchannel("A")
    return [colours] if alpha.getextrema() == (255, 255) else [colours, alpha]


def _on(ground: str, colours: Image.Image, alpha: Image.Image) -> Image.Image:
    page = Image.new("RGB", colours.size, ground)
    page.paste(colours, mask=alpha)
    return page


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey rescaled; Pillow has already rescaled 16-bit colours."""
    return image.point(lambda value: value * (1 / 257)).convert("L") if image.mode.startswith("I") else image


def _without_palette(image: Image.Image) -> Image.Image:
    return image.convert("L" if image.mode == "1" else "RGB")


def _with_alpha(image: Image.Image) -> Image.Image:
    """Palettes and key colours become an alpha band; premultiplied colours are divided again."""
    mode = "LA" if image.mode in ("1", "L", "LA", "La") else "RGBA"
    return image if image.mode == mode else image.convert(mode)


def _opaque(image: Image.Image) -> str:
    return "L" if image.mode == "LA" else "RGB"


def _premultiplied(image: Image.Image) -> str:
    return "La" if image.mode == "LA" else "RGBa"


def _resized(image: Image.Image, size: Size) -> Image.Image:
    """Box-reduced by whole steps, then by the rest."""
    return image if image.size == size else image.resize(size, Image.Resampling.HAMMING, reducing_gap=1.0)


def _differ(one: Image.Image, other: Image.Image) -> bool:
    """Whether a person could tell them apart anywhere, small print included."""
    cells = ImageChops.difference(one, other).reduce(_CELL).split()
    return any(any(band.histogram()[_VISIBLE:]) for band in cells)
