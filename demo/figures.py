"""The page of figures: where the time went, and what every process counted."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from demo.book import Book
from demo.running import RunningHouse
from services.core.config import METRICS_OFFSET, ROOMS

SHOWN = ("portcullis_calls", "portcullis_verdicts", "portcullis_queue_depth")
SCRAPE_SECONDS = 5.0


def show_figures(book: Book, house: RunningHouse, timings: Mapping[str, list[float]]) -> None:
    """Adds the figures of this tour to the book: step times from the answers, counts from every /metrics."""
    book.chapter("Figures of this tour", "Step times as the answers told them; counts as every process publishes them.")
    book.row("step", "times", "median ms", "longest ms")
    for step, values in sorted(timings.items()):
        book.row(step, str(len(values)), f"{median(values):.1f}", f"{max(values):.1f}")
        book.fact(f"{step:<24} median {median(values):8.1f} ms, longest {max(values):8.1f} ms, {len(values)} times")
    for room in ROOMS:
        counts = scrape(house.port_base + METRICS_OFFSET + ROOMS.index(room))
        for name, value in counts.items():
            book.fact(f"{room:<14} {name} = {value:g}")
        book.expect(bool(counts), f"{room} publishes its counts")


def scrape(port: int) -> dict[str, float]:
    """The counts of one process that the tour shows: name with labels → value."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SCRAPE_SECONDS) as response:
        text = response.read().decode()
    counts: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        if family.name in SHOWN:
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    labels = ", ".join(f"{key} {value}" for key, value in sample.labels.items())
                    counts[f"{family.name.removeprefix('portcullis_')} ({labels})"] = sample.value
    return counts
