"""Text in pictures: how much of what is forbidden is found, and how much that is harmless is not let through.

Run by `make bench`; prints a table and writes benchmarks/results/painted_text.json. `--photos` and `--fonts` name
folders to take other grounds and more fonts from. Found means: the default policy for uploads does not let the picture
through, by what the texts say alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import yaml
from numpy.random import Generator
from rich.console import Console
from rich.table import Table
from skimage import data

from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.document import Policy, load_policy
from services.core.policy.evaluate import evaluate
from services.core.signals import Measurement
from services.core.verdicts import Verdict
from services.image_filter.settings import ImageFilterSettings
from services.image_filter.text_finder import TextFinder
from services.image_filter.text_judge import sendable, with_texts
from services.image_filter.text_reader import TextReader
from services.prompt_filter.painted import measure_painted
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
from training.text_finder.paint import Colour, Picture, Style, legible_fonts, paint, softened, stencil

RESULTS = Path(__file__).parent / "results" / "painted_text.json"
WORDS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
SEED, SIDE = 7, 1024
FACES = ("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "moon", "rocket")
# Written by hand, or so ornate that people read them slowly: not what is called clear print.
ORNATE = (
    "kristi",
    "isabella",
    "dhurjati",
    "rufscript",
    "z003",
    "tenali",
    "ramakrishna",
    "leckerli",
    "ecolier",
    "dancing",
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured, and with what."""

    rng: Generator
    photos: Sequence[Picture]
    fonts: Sequence[Path]
    reader: TextReader
    finder: TextFinder
    words: PromptPipeline
    policy: Policy

    def verdict(self, picture: Picture) -> tuple[Verdict, bool, list[str]]:
        """What the policy makes of the texts in the picture, whether it holds it back, and the texts."""
        texts = sendable(self.reader.read([picture])[0].texts)
        said = measure_painted(self.words, [text.text for text in texts])
        measured = with_texts(Measurement((), ()), texts, [one.signals for one in said], ())
        judged = evaluate(self.policy, "upload", "new", measured)
        return judged.verdict, judged.verdict is not Verdict.ALLOW and judged.held, [text.text for text in texts]

    def photo(self) -> Picture:
        """A photograph of 1,024 pixels a side at most."""
        picture = self.photos[self.rng.integers(len(self.photos))]
        factor = SIDE / max(picture.shape[:2])
        return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)

    def plain(self) -> Picture:
        """One colour."""
        return np.full((768, SIDE, 3), self.rng.integers(0, 256, 3), np.uint8)

    def font(self) -> Path:
        """Any font."""
        return self.fonts[self.rng.integers(len(self.fonts))]

    def size(self, least: int, most: int) -> int:
        """A font's size, small ones as often as large ones."""
        return int(np.exp(self.rng.uniform(np.log(least), np.log(most))))


Kind = Callable[[Bench, str], Picture]


def in_lines(bench: Bench, text: str) -> list[str]:
    """A text on one line or two, as it is, capitalised, or in capitals."""
    case = bench.rng.integers(3)
    text = text.upper() if case == 0 else text.capitalize() if case == 1 else text
    words = text.split()
    half = (len(words) + 1) // 2
    return [text] if bench.rng.random() < 0.6 else [" ".join(words[:half]), " ".join(words[half:])]


def placed(bench: Bench, ground: Picture, lines: Sequence[str], style: Style) -> Picture:
    """The lines at random within the picture, smaller where they do not fit."""
    drawn = stencil(lines, style)
    while drawn.ink.shape[0] > ground.shape[0] or drawn.ink.shape[1] > ground.shape[1]:
        style = replace(style, size=round(style.size * 0.85))
        drawn = stencil(lines, style)
    room = (ground.shape[1] - drawn.ink.shape[1], ground.shape[0] - drawn.ink.shape[0])
    if style.plate is None and style.outline is None:  # where it can be seen: the best of some places
        spots = [tuple(int(bench.rng.integers(0, n + 1)) for n in room) for _ in range(12)]
        colours: list[Colour] = [(0, 0, 0), (255, 255, 255), style.colour]
        x, y, colour = max(
            ((x, y, c) for x, y in spots for c in colours), key=lambda at: _stands_off(ground, drawn.words, at)
        )
        return paint(ground, drawn, replace(style, colour=colour), x, y)[0]
    x, y = (int(bench.rng.integers(0, n + 1)) for n in room)
    return paint(ground, drawn, style, x, y)[0]


def _stands_off(ground: Picture, words: Picture, at: tuple[int, int, Colour]) -> float:
    x, y, colour = at
    under = ground[y : y + words.shape[0], x : x + words.shape[1]][words > 127].astype(np.float32)
    return float(np.percentile(np.linalg.norm(under - np.array(colour, np.float32), axis=1), 4))


def styled(bench: Bench, least: int = 26, most: int = 110, **more: object) -> Style:
    """Print of any size."""
    ink: Colour = tuple(int(v) for v in bench.rng.integers(0, 256, 3))  # type: ignore[assignment]
    light = sum(ink) > 380
    far: Colour = (0, 0, 0) if light else (255, 255, 255)
    decked = bench.rng.integers(3)
    extra = {"plate": far} if decked == 0 else {"outline": far} if decked == 1 else {}
    return replace(Style(bench.font(), bench.size(least, most), ink), **{**extra, **more})


def faint(bench: Bench, text: str) -> Picture:
    """Letters 25 to 45 levels darker or lighter than a calm ground."""
    lines, size = in_lines(bench, text), bench.size(26, 90)
    while (drawn := stencil(lines, Style(bench.font(), size, (0, 0, 0)))).ink.shape[1] > SIDE * 0.9:
        size = round(size * 0.85)
    ground = bench.photo() if bench.rng.random() < 0.6 else bench.plain()
    room = [max(0, ground.shape[1] - drawn.ink.shape[1]), max(0, ground.shape[0] - drawn.ink.shape[0])]
    spots = [tuple(int(bench.rng.integers(0, n + 1)) for n in room) for _ in range(40)]
    cuts = [ground[y : y + drawn.ink.shape[0], x : x + drawn.ink.shape[1]] for x, y in spots]
    calm = min(range(len(spots)), key=lambda i: float(cuts[i].std(axis=(0, 1)).max()))
    level = cuts[calm].mean(axis=(0, 1))
    step = bench.rng.uniform(25, 45) * (1 if level.mean() < 110 else -1)
    ink: Colour = tuple(int(v) for v in np.clip(level + step, 0, 255))  # type: ignore[assignment]
    return paint(ground, drawn, Style(bench.font(), size, ink), *spots[calm])[0]


KINDS: dict[str, Kind] = {
    "clear, on one colour": lambda b, t: placed(b, b.plain(), in_lines(b, t), styled(b)),
    "clear, on a photograph": lambda b, t: placed(b, b.photo(), in_lines(b, t), styled(b)),
    "large": lambda b, t: placed(b, b.photo(), t.split(), styled(b, 90, 170)),
    "small": lambda b, t: placed(b, b.photo(), in_lines(b, t), styled(b, 13, 20)),
    "small, in 2,048 pixels": lambda b, t: placed(
        b, np.repeat(np.repeat(b.photo(), 2, axis=0), 2, axis=1), in_lines(b, t), styled(b, 14, 22)
    ),
    "turned by 90, 180, 270": lambda b, t: placed(
        b, b.photo(), in_lines(b, t), styled(b, angle=float(b.rng.choice([90, 180, 270])))
    ),
    "slanted": lambda b, t: placed(b, b.photo(), in_lines(b, t), styled(b, angle=float(b.rng.uniform(-45, 45)))),
    "low contrast": faint,
    "mirrored": lambda b, t: placed(b, b.photo(), in_lines(b, t), styled(b))[:, ::-1].copy(),
    "JPEG 30": lambda b, t: softened(placed(b, b.photo(), in_lines(b, t), styled(b)), 0.0, 30),
    "one letter below the other": lambda b, t: placed(b, b.photo(), [t], styled(b, 24, 40, stacked=True)),
}


def harmless(bench: Bench, count: int) -> Iterator[tuple[str, Picture]]:
    """Pictures with ordinary texts."""
    words, rng = WORDS["harmless"], bench.rng

    def some(kind: str, number: int) -> list[str]:
        return [str(words[kind][i]) for i in rng.choice(len(words[kind]), number, replace=False)]

    def priced(name: str) -> str:
        return f"{name} {rng.integers(2, 30)}.{rng.choice(['00', '50', '90'])}"

    layouts: dict[str, Callable[[], Picture]] = {
        "sign": lambda: placed(bench, bench.photo(), some("signs", int(rng.integers(1, 3))), styled(bench, 24, 90)),
        "menu": lambda: placed(bench, bench.plain(), list(map(priced, some("menu", 12))), styled(bench, 20, 36)),
        "book": lambda: placed(bench, bench.plain(), some("titles", 1) + some("authors", 1), styled(bench, 30, 60)),
        "meme": lambda: placed(
            bench,
            placed(bench, bench.photo(), some("captions", 1), styled(bench, 30, 60)),
            some("captions", 1),
            styled(bench, 30, 60),
        ),
        "screen": lambda: placed(bench, bench.plain(), some("screens", 9), styled(bench, 18, 40)),
        "poster": lambda: placed(bench, bench.photo(), some("posters", 4), styled(bench, 26, 60)),
        "chart": lambda: placed(bench, bench.plain(), some("charts", 4), styled(bench, 18, 40)),
    }
    for number in range(count):
        name = list(layouts)[number % len(layouts)]
        yield name, layouts[name]()


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--fonts", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, default=36)
    parser.add_argument("--show", action="store_true", help="print what was missed and what was refused wrongly")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    bench = _bench(chosen.photos, chosen.fonts)
    figures = {"found": _found(bench, chosen.count, chosen.show), **_harmless(bench, chosen.count * 7, chosen.show)}
    figures |= _without_text(bench)
    table = Table("pictures", "number", "share", "CPU ms, median", title="text in pictures")
    for name, row in {**figures["found"], **{k: v for k, v in figures.items() if k != "found"}}.items():
        table.add_row(name, str(row["pictures"]), f"{row['share']:.1%}", f"{row['milliseconds']:.0f}")
    Console(highlight=False).print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


def _bench(photos: Path | None, folders: Sequence[Path]) -> Bench:
    pictures = [np.asarray(getattr(data, name)()) for name in FACES]
    if photos:
        pictures = [np.asarray(cv2.imread(str(path))[..., ::-1], np.uint8) for path in sorted(photos.iterdir())]
    pictures = [p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures]
    fonts = legible_fonts([Path(matplotlib.get_data_path()) / "fonts" / "ttf", *folders])[::5]  # the held-out ones
    fonts = [font for font in fonts if not any(name in font.stem.lower() for name in ORNATE)]
    settings = ImageFilterSettings()
    return Bench(
        np.random.default_rng(SEED),
        pictures,
        fonts,
        TextReader(settings.text_finder_model, settings.text_finder_model_sha256),
        TextFinder(settings.text_finder_model, settings.text_finder_model_sha256),
        PromptPipeline.load(PromptFilterSettings()),
        load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), "default"),
    )


def _row(hits: Sequence[bool], taken: Sequence[float]) -> dict[str, float]:
    return {
        "pictures": len(hits),
        "share": round(float(np.mean(hits)), 4),
        "milliseconds": round(float(np.median(taken)) * 1000, 1),
        "milliseconds, 95 of 100": round(float(np.percentile(taken, 95)) * 1000, 1),
    }


def _found(bench: Bench, count: int, show: bool) -> dict[str, dict[str, float]]:
    rows = {}
    for name, kind in KINDS.items():
        hits, taken = [], []
        for number in range(count):
            text = WORDS["forbidden"][number % len(WORDS["forbidden"])]
            picture = kind(bench, text)
            begin = time.thread_time()
            verdict, _, texts = bench.verdict(picture)
            taken.append(time.thread_time() - begin)
            hits.append(verdict is not Verdict.ALLOW)
            if show and not hits[-1]:
                print(f"missed, {name}: {text!r} read as {texts}")
        rows[f"found: {name}"] = _row(hits, taken)
    return rows


def _harmless(bench: Bench, count: int, show: bool) -> dict[str, dict[str, float]]:
    held, taken = [], []
    for name, picture in harmless(bench, count):
        begin = time.thread_time()
        verdict, holds, texts = bench.verdict(picture)
        taken.append(time.thread_time() - begin)
        held.append(holds)
        if show and holds:
            print(f"{verdict.name}, {name}: {texts}")
    return {"harmless texts held or refused": _row(held, taken)}


def _without_text(bench: Bench) -> dict[str, dict[str, float]]:
    passed, taken = [], []
    for picture in bench.photos:
        factor = SIDE / max(picture.shape[:2])
        sized = np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
        begin = time.thread_time()
        passed.append(bool(bench.finder.find(sized)))
        taken.append(time.thread_time() - begin)
    return {"photographs that the gate lets through to the reader": _row(passed, taken)}


if __name__ == "__main__":
    main()
