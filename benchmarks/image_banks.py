"""Known images: how fast a million are searched, and which copies of a picture are found without a wrong one.

`python -m benchmarks.image_banks [FOLDER …]` measures on scikit-image's photographs, on flat scenes, and on the
pictures in the folders; prints tables and writes benchmarks/results/image_banks.json. Beside ours: PDQ alone,
imagehash's crop_resistant_hash (on a few pictures: it is slow), and faiss for the search. CPU time of one thread.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import faiss
import imagehash
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from skimage import data

from services.core.store.banks import HashKind
from services.image_filter.banks import MOST_BITS, Banks
from services.image_filter.hashes import entry_of, hashes_of
from services.image_filter.multi_index import MultiIndex
from training.generator.render import render
from training.generator.scenes import draw_scene

RESULTS = Path(__file__).parent / "results" / "image_banks.json"
MILLION = 1_000_000
ORIENTATIONS = 8
KINDS: tuple[HashKind, ...] = ("pdq", "phash256", "region")
SCENES = 200
COPIED = 120  # pictures of each source, about, that copies are made of
SLOW = 16  # pictures that imagehash's crop-resistant hash is measured on
# Of scikit-image, where its wheel has them.
PHOTOS = (
    "astronaut",
    "camera",
    "chelsea",
    "coffee",
    "rocket",
    "coins",
    "page",
    "clock",
    "text",
    "brick",
    "grass",
    "gravel",
)

Picture = np.ndarray[Any, np.dtype[np.uint8]]
Copy = Callable[[Picture], Picture]
rng = np.random.default_rng(2026)
out = Console(highlight=False, width=160)


def pictures(folders: list[Path]) -> Iterator[tuple[str, Picture]]:
    """Every picture with the name of its source."""
    for name in PHOTOS:
        try:
            yield "scikit-image", _rgb(np.asarray(getattr(data, name)()))
        except (OSError, ModuleNotFoundError, ImportError, AttributeError):
            continue  # not every wheel carries every picture
    for picture in render([draw_scene(rng, int(rng.integers(1, 3))) for _ in range(SCENES)], 256)[0]:
        yield "scenes", ((picture.permute(1, 2, 0).numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            found = cv2.imread(str(path))
            if found is not None:
                yield folder.name, np.ascontiguousarray(found[:, :, ::-1])


def cropped_at_random(picture: Picture) -> Picture:
    """A tenth of the width and of the height taken off, by chance from one side, the other, or both."""
    height, width = picture.shape[:2]
    off_y, off_x = round(height / 10), round(width / 10)
    y, x = rng.integers(0, off_y + 1), rng.integers(0, off_x + 1)
    return picture[y : y + height - off_y, x : x + width - off_x]


def centre(share: float) -> Copy:
    """The middle of a picture: `share` of each side."""

    def crop(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        y, x = round(height * (1 - share) / 2), round(width * (1 - share) / 2)
        return picture[y : height - y, x : width - x]

    return crop


def one_side(picture: Picture) -> Picture:
    """A tenth taken off at one side."""
    cut = np.rot90(picture, turns := int(rng.integers(4)))
    return np.rot90(cut[:, round(cut.shape[1] / 10) :], -turns)


def jpeg(quality: int) -> Copy:
    """Saved as a JPEG."""

    def save(picture: Picture) -> Picture:
        _, file = cv2.imencode(".jpg", np.ascontiguousarray(picture[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]

    return save


def quarter(picture: Picture) -> Picture:
    """Both sides at 25%."""
    return np.asarray(cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), np.uint8)


def with_bar(picture: Picture, share: float = 0.0, top: bool | None = None) -> Picture:
    """A bar with text painted over the top or the bottom, 12–15% of the height."""
    copy = np.ascontiguousarray(picture).copy()
    height, width = copy.shape[:2]
    bar = round(height * (share or rng.uniform(0.12, 0.15)))
    dark = bool(rng.integers(2)) if top is None else False
    first = 0 if (bool(rng.integers(2)) if top is None else top) else height - bar
    copy[first : first + bar] = 0 if dark else 255
    ink = (255, 255, 255) if dark else (0, 0, 0)
    where, size = (round(width / 20), first + bar * 2 // 3), width / 400
    cv2.putText(
        copy, "BREAKING NEWS TODAY", where, cv2.FONT_HERSHEY_SIMPLEX, size, ink, max(1, width // 200), cv2.LINE_AA
    )
    return copy


def turned(picture: Picture) -> Picture:
    """One of the 8 orientations."""
    view = np.rot90(picture, int(rng.integers(4)))
    return view[:, ::-1] if rng.integers(2) else view


COPIES: dict[str, Copy] = {
    "8 orientations": turned,
    "JPEG quality 10": jpeg(10),
    "resized to 25%": quarter,
    "text bar, top or bottom": with_bar,
    "crop 10% off, at random": cropped_at_random,
    "crop, centre 90% of each side": centre(0.9),
    "crop, 10% off one side": one_side,
    "crop, centre 80% of each side": centre(0.8),
    "crop 10%, turned, JPEG 30": lambda picture: jpeg(30)(turned(cropped_at_random(picture))),
}


def speed(real: np.ndarray[Any, Any]) -> dict[str, float]:
    """A million hashes: the real ones, as many with a quarter of their bits turned as make half, and random ones.

    8 queries are those of a whole picture, 17 those of its regions.
    """
    cousins = np.packbits(
        np.unpackbits(np.resize(real, (MILLION // 2, 32)), axis=1) ^ (rng.random((MILLION // 2, 256)) < 0.25), axis=1
    )
    noise = rng.integers(0, 256, (MILLION - len(real) - len(cousins), 32), dtype=np.uint8)
    known = np.concatenate([real, cousins, noise])
    begin = time.thread_time()
    index = MultiIndex(known)
    built = time.thread_time() - begin
    flat = faiss.IndexBinaryFlat(256)
    flat.add(known)
    # A flipped bit or two: queries that are near what is known, as real ones are.
    queries = [known[rng.integers(0, len(real), count)] ^ np.uint8(1) for count in [8] * 30]
    more = [known[rng.integers(0, len(real), count)] ^ np.uint8(1) for count in [17] * 30]
    return {
        "build s": built,
        "MB a million": index.nbytes / 1e6,
        "ours, 8 queries ms": _milliseconds(lambda query: index.search(query), queries),
        "faiss IndexBinaryFlat, 8 queries ms": _milliseconds(lambda query: flat.range_search(query, 32), queries),
        "ours, 17 queries ms": _milliseconds(lambda query: index.search(query), more),
    }


def costs(photos: list[Picture]) -> dict[str, float]:
    """CPU milliseconds of one 1024 × 1024 photograph: each kind of hash, and all with the search of three millions."""
    large = [np.asarray(cv2.resize(photo, (1024, 1024)), np.uint8) for photo in photos[:12]] * 2
    spent = {
        f"hashing for {'+'.join(kinds)} ms": _milliseconds(
            lambda photo, kinds=kinds: hashes_of(photo, kinds, True), large
        )
        for kinds in (("pdq",), ("pdq", "phash256"), ("pdq", "region"), KINDS)
    }
    banks = Banks([entry_of(photo, "bank", str(number)) for number, photo in enumerate(large[:12])], "1")
    for kind, (_, bits) in banks.known.hashes.items():
        noise = rng.integers(0, 256, (MILLION, 32), dtype=np.uint8)
        places = np.zeros(MILLION + len(bits), np.int64)
        banks._indexes[kind] = places, MultiIndex(np.concatenate([bits, noise]))
    spent["hashing and search, a million hashes of each of three kinds ms"] = _milliseconds(
        lambda photo: banks.search(photo), large
    )
    return spent


def nearest_wrong(shown: list[Picture]) -> dict[str, Any]:
    """By kind: for each picture the distance to the nearest hash of any other, of 8 orientations, in order."""
    known, asked = (_packed([hashes_of(picture, KINDS, query).of for picture in shown]) for query in (False, True))
    found: dict[str, Any] = {"pictures": len(shown), "pairs": len(shown) * (len(shown) - 1)}
    for kind in KINDS:
        owner, hashes = known[kind]
        if kind != "region":  # what a bank holds of the whole is in its own orientation
            owner, hashes = owner[::ORIENTATIONS], hashes[::ORIENTATIONS]
        flat = faiss.IndexBinaryFlat(256)
        flat.add(np.ascontiguousarray(hashes))
        limits, distance, place = flat.range_search(asked[kind][1], 100)
        asking = np.repeat(asked[kind][0], np.diff(limits.astype(np.int64)))
        wrong = owner[place] != asking
        least: dict[int, int] = {}
        for picture, bits in zip(asking[wrong].tolist(), distance[wrong].tolist(), strict=True):
            least[picture] = min(int(bits), least.get(picture, 256))
        found[kind] = sorted(least.values())
        found[f"{kind}: pictures that match another"] = sum(bits <= MOST_BITS[kind] for bits in least.values())
    return found


def recall(sources: list[str], shown: list[Picture], banks: Banks) -> dict[str, dict[str, list[int]]]:
    """By copy and source: pictures, found by ours, by PDQ alone, and how many wrong entries ours gave."""
    places, whole = banks.known.hashes["pdq"]
    alone = MultiIndex(whole)
    chosen = [
        number
        for source in sorted(set(sources))
        for number in np.flatnonzero(np.array(sources) == source)[:: 1 + sources.count(source) // COPIED].tolist()
    ]
    result: dict[str, dict[str, list[int]]] = {}
    for name, copy in COPIES.items():
        rows = result.setdefault(name, {})
        for number in chosen:
            made = np.ascontiguousarray(copy(shown[number]))
            ours = {match.place for match in banks.matches(made)}
            pdq = places[alone.search(hashes_of(made, ("pdq",), True).of.get("pdq", whole[:0]))[0]]
            row = rows.setdefault(sources[number], [0, 0, 0, 0])
            row[:] = np.add(row, [1, number in ours, number in pdq, len(ours - {number})]).tolist()
    return result


def slow_recall(shown: list[Picture]) -> dict[str, Any]:
    """imagehash.crop_resistant_hash as it comes, on a few pictures: found, wrong matches, and what it costs."""
    begin = time.thread_time()
    known = [imagehash.crop_resistant_hash(Image.fromarray(picture)) for picture in shown]
    figures: dict[str, Any] = {"CPU ms a picture": (time.thread_time() - begin) / len(shown) * 1e3}
    for name in ("JPEG quality 10", "text bar, top or bottom", "crop 10% off, at random"):
        asked = [imagehash.crop_resistant_hash(Image.fromarray(np.ascontiguousarray(COPIES[name](p)))) for p in shown]
        hits = [[one.matches(other) for other in known] for one in asked]
        right = sum(bool(hits[place][place]) for place in range(len(shown)))
        figures[name] = {"found": right / len(shown), "wrong": sum(map(sum, hits)) - right, "pairs": len(shown) ** 2}
    return figures


def _packed(hashes: list[dict[HashKind, Any]]) -> dict[HashKind, tuple[Any, Any]]:
    """By kind: whose each hash is, and all of them."""
    return {
        kind: (
            np.concatenate([np.full(len(own[kind]), number) for number, own in enumerate(hashes)]).astype(int),
            np.concatenate([own[kind] for own in hashes]),
        )
        for kind in KINDS
    }


def _milliseconds(work: Callable[[Any], object], things: list[Any]) -> float:
    """CPU time of the middle one."""
    times = []
    for thing in things:
        begin = time.thread_time()
        work(thing)
        times.append((time.thread_time() - begin) * 1e3)
    return median(times)


def _rgb(picture: Picture) -> Picture:
    return picture[:, :, :3] if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)


def main() -> None:
    """Measures, prints, and writes the figures."""
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    sources, shown, entries, plain = [], [], [], 0
    for source, picture in pictures([Path(folder) for folder in sys.argv[1:]]):
        if hashes_of(picture, (), False).plain:
            plain += 1
            continue
        entries.append(entry_of(picture, "bank", str(len(shown))))
        sources.append(source)
        shown.append(picture)
    banks = Banks(entries, "1")
    drawn = np.array(sources) == "scenes"
    wrong = {
        "photographs and portraits": nearest_wrong([p for p, flat in zip(shown, drawn, strict=True) if not flat]),
        "the same under one bar of text": nearest_wrong(
            [with_bar(p, 0.14, True) for p, flat in zip(shown, drawn, strict=True) if not flat]
        ),
        "flat scenes among themselves": nearest_wrong([p for p, flat in zip(shown, drawn, strict=True) if flat]),
    }
    found = recall(sources, shown, banks)
    photos = [picture for source, picture in zip(sources, shown, strict=True) if source != "scenes"]
    figures = {
        "pictures": len(shown),
        "too plain": plain,
        "nearest wrong": wrong,
        "recall": found,
        "imagehash.crop_resistant_hash": slow_recall(photos[:: max(1, len(photos) // SLOW)][:SLOW]),
        "speed": speed(banks.known.hashes["pdq"][1]),
        "cost": costs(photos),
    }
    _show(figures)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


def _show(figures: dict[str, Any]) -> None:
    sources = sorted({source for rows in figures["recall"].values() for source in rows})
    table = Table("copy", *(f"{source}: ours | PDQ" for source in sources), "wrong", title="Copies found")
    for name, rows in figures["recall"].items():
        cells = [f"{rows[s][1] / rows[s][0]:.1%} | {rows[s][2] / rows[s][0]:.1%} of {rows[s][0]}" for s in sources]
        table.add_row(name, *cells, str(sum(row[3] for row in rows.values())))
    out.print(table)
    out.print(f"{figures['too plain']} pictures too plain to enter")
    for title, wrong in figures["nearest wrong"].items():
        out.print(f"\n{title}: {wrong['pairs']:,} pairs × 8 orientations; bits to the nearest wrong picture")
        for kind in KINDS:
            bits, matches = wrong[kind], wrong[f"{kind}: pictures that match another"]
            counts = np.histogram(bits, [0, 25, 32, 40, 50, 60, 70, 80, 90, 101])[0].tolist()
            out.print(f"  {kind}: {matches} match; least {bits[:5]}; up to 24, 31, 39, 49 … 99 bits: {counts}")
    for title in ("imagehash.crop_resistant_hash", "speed", "cost"):
        out.print(title, figures[title])


if __name__ == "__main__":
    main()
