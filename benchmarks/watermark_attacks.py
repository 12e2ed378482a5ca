"""What happens to pictures on the internet, as 43 attacks: the same names, arithmetic and seeds wherever they run.

An attack takes H × W × 3 sRGB bytes and a generator, and gives such bytes, maybe of another size. Nothing here knows
of any mark.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Rgb = NDArray[np.uint8]
Attack = Callable[[Rgb, np.random.Generator], Rgb]

_DENOISED, _TEMPLATE, _AROUND = 10, 5, 13
_GROUND = 245


def generator(*of: object) -> np.random.Generator:
    """The generator that belongs to these names: of an attack on a photograph, (file name, attack)."""
    return np.random.default_rng(zlib.crc32("|".join(map(str, of)).encode()))


def resized(rgb: Rgb, width: float, height: float) -> Rgb:
    """To a size, each length rounded down; by areas where it becomes narrower, else bicubic."""
    method = cv2.INTER_AREA if width < rgb.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(rgb, (int(width), int(height)), interpolation=method)


def coded(kind: str, quality: int) -> Attack:
    """Through a file of a lossy format."""

    def attack(rgb: Rgb, _: np.random.Generator) -> Rgb:
        file = BytesIO()
        Image.fromarray(rgb).save(file, kind, quality=quality)
        return np.asarray(Image.open(file).convert("RGB"))

    return attack


def jpeg(quality: int) -> Attack:
    """Through JPEG at a quality."""
    return coded("JPEG", quality)


def scaled(factor: float) -> Attack:
    """Another size."""
    return lambda rgb, _: resized(rgb, round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))


def scaled_and_restored(factor: float) -> Attack:
    """To another size and back."""

    def attack(rgb: Rgb, _: np.random.Generator) -> Rgb:
        height, width = rgb.shape[:2]
        return resized(resized(rgb, width * factor, height * factor), width, height)

    return attack


def middle_cut(area: float) -> Attack:
    """The middle, of a share of the area."""

    def attack(rgb: Rgb, _: np.random.Generator) -> Rgb:
        height, width = _cut_size(rgb, area)
        top, left = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
        return np.ascontiguousarray(rgb[top : top + height, left : left + width])

    return attack


def cut(area: float) -> Attack:
    """A window anywhere, of a share of the area."""

    def attack(rgb: Rgb, random: np.random.Generator) -> Rgb:
        height, width = _cut_size(rgb, area)
        top = int(random.integers(0, rgb.shape[0] - height + 1))
        left = int(random.integers(0, rgb.shape[1] - width + 1))
        return np.ascontiguousarray(rgb[top : top + height, left : left + width])

    return attack


def cut_and_enlarged(area: float) -> Attack:
    """A window anywhere, enlarged to the size of the whole."""

    def attack(rgb: Rgb, random: np.random.Generator) -> Rgb:
        return resized(cut(area)(rgb, random), rgb.shape[1], rgb.shape[0])

    return attack


def turned(degrees: float) -> Attack:
    """Turned about the middle, at its size; grey comes in at the corners."""

    def attack(rgb: Rgb, _: np.random.Generator) -> Rgb:
        height, width = rgb.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        return cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(127,) * 3)

    return attack


def quarter_turn(rgb: Rgb, _: np.random.Generator) -> Rgb:
    """By 90 degrees, exactly."""
    return np.ascontiguousarray(np.rot90(rgb))


def mirrored(rgb: Rgb, _: np.random.Generator) -> Rgb:
    """Left for right."""
    return np.ascontiguousarray(rgb[:, ::-1])


def noisy(deviation: float) -> Attack:
    """Normal noise on every channel."""
    return lambda rgb, random: np.clip(rgb + random.normal(0, deviation, rgb.shape), 0, 255).astype(np.uint8)


def blurred(deviation: float) -> Attack:
    """A Gaussian blur, in pixels."""
    return lambda rgb, _: cv2.GaussianBlur(rgb, (0, 0), deviation)


def toned(gain: float, offset: float) -> Attack:
    """Brightness and contrast."""
    return lambda rgb, _: np.clip(rgb.astype(np.float32) * gain + offset, 0, 255).astype(np.uint8)


def gamma(power: float) -> Attack:
    """Another gamma."""
    return lambda rgb, _: (255 * (rgb / 255.0) ** power).astype(np.uint8)


def grey(rgb: Rgb, _: np.random.Generator) -> Rgb:
    """Luma alone."""
    return np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)


def written_over(rgb: Rgb, random: np.random.Generator) -> Rgb:
    """Six lines of large yellow text."""
    image = Image.fromarray(rgb)
    pen, height = ImageDraw.Draw(image), rgb.shape[0]
    for line in range(6):
        place = (int(random.integers(0, rgb.shape[1] // 2)), int(height * (line + 0.5) / 6))
        pen.text(place, "BREAKING NEWS overlay text", fill=(255, 255, 0), font_size=height // 12)
    return np.asarray(image)


def covered(rgb: Rgb, _: np.random.Generator) -> Rgb:
    """A white sticker over the middle quarter of the area."""
    copy = rgb.copy()
    height, width = rgb.shape[:2]
    copy[height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2] = 255
    return copy


def median(rgb: Rgb, _: np.random.Generator) -> Rgb:
    """A median over 5 × 5 pixels."""
    return cv2.medianBlur(np.ascontiguousarray(rgb), 5)


def non_local_means(rgb: Rgb, _: np.random.Generator) -> Rgb:
    """Non-local means denoising, strong."""
    picture = np.ascontiguousarray(rgb)
    return cv2.fastNlMeansDenoisingColored(picture, None, _DENOISED, _DENOISED, _TEMPLATE, _AROUND)


def drawn_again(rgb: Rgb, random: np.random.Generator) -> Rgb:
    """Noise, half the size, a bilateral filter and back: the least that a regeneration does."""
    height, width = rgb.shape[:2]
    small = resized(noisy(12)(rgb, random), width // 2, height // 2)
    return resized(cv2.bilateralFilter(small, 7, 40, 5), width, height)


def screenshot(rgb: Rgb, random: np.random.Generator) -> Rgb:
    """A telephone's: another size, somewhere on a light page, JPEG."""
    shown = scaled(float(random.uniform(0.55, 0.95)))(rgb, random)
    height, width = shown.shape[:2]
    page = np.full((int(height * 1.35), int(width * 1.06), 3), _GROUND, np.uint8)
    top = int(random.integers(0, page.shape[0] - height))
    left = int(random.integers(0, page.shape[1] - width))
    page[top : top + height, left : left + width] = shown
    return jpeg(75)(page, random)


def printed_and_scanned(rgb: Rgb, random: np.random.Generator) -> Rgb:
    """Every corner moved by up to 2% of the width, blur, noise, another gamma, JPEG."""
    corners = _corners(rgb)
    reach = 0.02 * rgb.shape[1]
    moved = (corners + random.uniform(-reach, reach, corners.shape)).astype(np.float32)
    return in_turn(blurred(1.0), noisy(5), gamma(1.1), jpeg(70))(_warped(rgb, moved), random)


def tilted(degrees: float) -> Attack:
    """A plane turned about an upright or a level axis, seen by a pinhole camera 1.6 sides away; JPEG."""

    def attack(rgb: Rgb, random: np.random.Generator) -> Rgb:
        height, width = rgb.shape[:2]
        distance = 1.6 * max(height, width)
        sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
        upright = random.uniform() < 0.5
        sign = 1 if random.uniform() < 0.5 else -1
        across, down = (cosine, 1) if upright else (1, cosine)
        moved = []
        for x, y in _corners(rgb) - np.array([width / 2, height / 2], np.float32):
            depth = distance + sign * sine * (x if upright else y)
            moved.append([x * across * distance / depth + width / 2, y * down * distance / depth + height / 2])
        return jpeg(80)(_warped(rgb, np.array(moved, np.float32)), random)

    return attack


def in_turn(*attacks: Attack) -> Attack:
    """One after the other, with the same generator."""

    def attack(rgb: Rgb, random: np.random.Generator) -> Rgb:
        for each in attacks:
            rgb = each(rgb, random)
        return rgb

    return attack


def _cut_size(rgb: Rgb, area: float) -> tuple[int, int]:
    side = area**0.5
    return int(rgb.shape[0] * side), int(rgb.shape[1] * side)


def _corners(rgb: Rgb) -> NDArray[np.float32]:
    height, width = rgb.shape[:2]
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def _warped(rgb: Rgb, moved: NDArray[np.float32]) -> Rgb:
    """With its corners moved; what comes in repeats the edge."""
    matrix = cv2.getPerspectiveTransform(_corners(rgb), moved)
    return cv2.warpPerspective(rgb, matrix, rgb.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


ATTACKS: dict[str, Attack] = {
    "none": lambda rgb, _: rgb,
    "jpeg90": jpeg(90),
    "jpeg70": jpeg(70),
    "jpeg50": jpeg(50),
    "jpeg30": jpeg(30),
    "jpeg15": jpeg(15),
    "webp50": coded("WEBP", 50),
    "rs0.5_back": scaled_and_restored(0.5),
    "rs0.25_back": scaled_and_restored(0.25),
    "rs0.5": scaled(0.5),
    "rs0.25": scaled(0.25),
    "rs1.5": scaled(1.5),
    "ccrop90": middle_cut(0.9),
    "ccrop75": middle_cut(0.75),
    "ccrop50": middle_cut(0.5),
    "rcrop50": cut(0.5),
    "rcrop25": cut(0.25),
    "rcrop50_back": cut_and_enlarged(0.5),
    "rot2": turned(2),
    "rot5": turned(5),
    "rot15": turned(15),
    "rot90": quarter_turn,
    "hflip": mirrored,
    "noise5": noisy(5),
    "noise15": noisy(15),
    "blur1": blurred(1),
    "blur2": blurred(2),
    "bright1.3": toned(1.3, 0),
    "contrast0.6": toned(0.6, 50),
    "gamma0.7": gamma(0.7),
    "gray": grey,
    "text": written_over,
    "sticker25": covered,
    "median5": median,
    "nlm": non_local_means,
    "denoise_regen": drawn_again,
    "screenshot": screenshot,
    "printscan": printed_and_scanned,
    "persp5": tilted(5),
    "persp10": tilted(10),
    "combo_j50_c50_rs0.5": in_turn(cut(0.5), scaled(0.5), jpeg(50)),
    "combo_social": in_turn(cut(0.8), scaled(0.75), jpeg(70)),
    "combo_rot3_c75_j70": in_turn(turned(3), middle_cut(0.75), jpeg(70)),
}
