"""Draws what the image filter sees on harmless examples: `python -m docs.draw_signals docs/images/image-filter`.

Pictures: NASA's portrait of Eileen Collins and others of scikit-image (free of rights or CC0), and what is drawn here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from services.commands.default_policy import DEFAULT_POLICY
from services.commands.scan_texts import with_its_texts
from services.core.imaging import encode
from services.core.policy.document import Policy, load_policy
from services.core.policy.evaluate import evaluate
from services.core.signals import BankMatch, Box, Measurement, Signal
from services.image_filter.banks import Banks
from services.image_filter.hashes import entry_of
from services.image_filter.pipeline import ImagePipeline
from services.image_filter.settings import ImageFilterSettings
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
from training.image_filter.drawn import shaded_head, vector_face

Rgb = NDArray[np.uint8]

_SIDE, _MARGIN = 420, 14
_COLOURS = {"realistic_face": "#d6262b", "concept.face": "#e08a1e", "concept.person": "#2a7ad6", "sexual": "#8e24aa"}
_BOXED = (*_COLOURS, "known_image", "hate", "violence", "harassment")
_LISTED = ("realistic_face", "sexual", "sexual.minors", "known_image", "violence", "hate", "harassment")
_LISTED += ("concept.photo", "concept.face", "concept.child", "concept.people", "concept.skin", "concept.quality")


def examples() -> Iterator[tuple[str, bytes]]:
    """Names and files."""
    rng = np.random.default_rng(11)
    yield "photograph-of-a-face", encode(data.astronaut())
    yield "drawn-face", encode(_large(vector_face(rng)))
    yield "bust", encode(_large(shaded_head(rng)))
    yield "photograph-without-a-face", encode(data.chelsea())
    yield "known-image-turned", encode(np.ascontiguousarray(np.rot90(data.rocket())))
    yield "painted-text", encode(_sign("kill them all"))
    yield "hidden-under-transparency", _hidden(data.astronaut())


def main() -> None:
    """One PNG for each example into the folder that the first argument names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    policy = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), str(DEFAULT_POLICY))
    pipeline, words = ImagePipeline.load(ImageFilterSettings()), PromptPipeline.load(PromptFilterSettings())
    pipeline.banks = Banks([entry_of(data.rocket(), "examples", "rocket")], "1")
    try:
        for name, file in examples():
            measured = pipeline.measure(file)
            measurement = with_its_texts(measured, words)
            page = panel(measured.sanitised.rgb, measurement, policy)
            page.quantize(200).save(folder / f"{name}.png", optimize=True)
            print(name)
    finally:
        pipeline.close()


def panel(picture: Rgb, measurement: Measurement, policy: Policy) -> Image.Image:
    """The picture with its boxes, and beside it the scores and the verdict."""
    scale = _SIDE / max(picture.shape[:2])
    shown = Image.fromarray(picture).resize([round(side * scale) for side in picture.shape[1::-1]])
    draw, font = ImageDraw.Draw(shown), ImageFont.load_default(15)
    for place, signal in enumerate(_strongest(measurement.signals)):
        box, colour = signal.evidence, _COLOURS.get(signal.category, "#d6262b")
        corner = (box.x * scale, box.y * scale)
        draw.rectangle([corner, ((box.x + box.w) * scale, (box.y + box.h) * scale)], outline=colour, width=3)
        label = (corner[0], corner[1] - 20 - 19 * place) if corner[1] > 90 else (corner[0], 4 + 19 * place)
        draw.rectangle(draw.textbbox(label, f"{signal.category} {signal.score:.2f}", font=font), fill="white")
        draw.text(label, f"{signal.category} {signal.score:.2f}", fill=colour, font=font)
    page = Image.new("RGB", (shown.width + 330, max(shown.height, 360) + 2 * _MARGIN), "white")
    page.paste(shown, (_MARGIN, _MARGIN))
    pen, x = ImageDraw.Draw(page), shown.width + 2 * _MARGIN
    for line, (text, colour) in enumerate(_lines(measurement, policy)):
        pen.text((x, _MARGIN + 21 * line), text, fill=colour, font=font)
    return page


def _strongest(signals: tuple[Signal, ...]) -> list[Signal]:
    """Of each category with boxes the highest score."""
    best: dict[str, Signal] = {}
    for signal in signals:
        if isinstance(signal.evidence, Box) and signal.category in _BOXED and signal.score >= 0.05:
            best[signal.category] = max(signal, best.get(signal.category, signal), key=lambda one: one.score)
    return [best[category] for category in _BOXED if category in best]


def _lines(measurement: Measurement, policy: Policy) -> Iterator[tuple[str, str]]:
    judgement = evaluate(policy, "upload", "new", measurement)
    yield f"{judgement.verdict.name} as an upload", "#111111"
    for reason in judgement.reasons:
        yield f"· {reason.category}", "#d6262b"
    yield "", "white"
    scores = measurement.scores()
    for category in _LISTED:
        if category in scores:
            yield f"{category}  {scores[category]:.2f}", "#555555"
    for match in _matches(measurement.signals):
        yield f"bank {match.bank}: {match.entry}, {match.distance} bits away", "#555555"


def _matches(signals: tuple[Signal, ...]) -> Iterator[BankMatch]:
    return (signal.evidence for signal in signals if isinstance(signal.evidence, BankMatch))


def _large(picture: Rgb) -> Rgb:
    return np.asarray(Image.fromarray(picture).resize((512, 512), Image.Resampling.LANCZOS))


def _sign(text: str) -> Rgb:
    image = Image.fromarray(data.chelsea())
    ImageDraw.Draw(image).text(
        (60, 40), text, fill="white", font=ImageFont.load_default(48), stroke_width=3, stroke_fill="black"
    )
    return np.asarray(image)


def _hidden(picture: Rgb) -> bytes:
    """A file whose picture stands under full transparency, but for a corner."""
    alpha = np.zeros(picture.shape[:2], np.uint8)
    alpha[:60, :60] = 255
    file = BytesIO()
    Image.fromarray(np.dstack([picture, alpha])).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
