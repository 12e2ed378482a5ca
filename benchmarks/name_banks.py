"""What a bank of people costs at 5,000, 50,000 and 500,000 names: CPU seconds to load, memory, CPU µs a prompt.

`python -m benchmarks.name_banks` measures each size in a process of its own, prints a table and writes
benchmarks/results/name_banks.json. Names are synthetic, as many words in them as real ones have: a third of the people
share a first name of 2,000, surnames come from one for every four people.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from benchmarks.public_figures import CAPTIONS, ORDINARY, PLACES, SENTENCES, misspell
from services.prompt_filter.banks import Added, Banks
from services.prompt_filter.name_index import NameIndex
from services.prompt_filter.people import Person

SIZES = (5_000, 50_000, 500_000)
PROMPTS = 2_000
RESULTS = Path(__file__).parent / "results" / "name_banks.json"
_SYLLABLES = re.findall("..", "barokamitovishadurenpogeantaosliwejafremocuzihenystgrbokusha")


def people(count: int, rng: random.Random) -> Iterator[Person]:
    """People of two names, some of three, every fifth with an alias."""
    given = [_word(rng) for _ in range(2_000)]
    surnames = [_word(rng) for _ in range(count // 4)]
    for number in range(count):
        first = rng.choice(given) if number % 3 else _word(rng)
        middle = [rng.choice(given)] if number % 6 == 0 else []
        last = rng.choice(surnames)
        yield Person(
            " ".join([first, *middle, last]).title(), (f"{first[0]} {last}",) if number % 5 == 0 else (), score=0.5
        )


def prompts(rng: random.Random) -> list[str]:
    """Prompts of about 30 tokens, a third with a name of the bank, a third of these misspelled."""
    names = [person.name for person in people(5_000, random.Random(1))]
    scenes = [*CAPTIONS, *PLACES]
    tail = "highly detailed, golden hour, soft light, wide angle, 8k, trending on artstation"
    found = []
    for number in range(PROMPTS):
        text = rng.choice([*SENTENCES, *ORDINARY]) if number % 3 == 0 else rng.choice(scenes)
        name = rng.choice(names)
        words = name.split()
        words[-1] = misspell(words[-1], rng) if number % 9 == 0 else words[-1]
        found.append(f"{text.format(' '.join(words))}, {rng.choice(scenes)}, {tail}")
    return found


def measure(size: int) -> dict[str, float]:
    """The figures of one size beside the house's own gazetteer; run it in a fresh process."""
    house = Banks.load()
    before = _resident()
    begin = time.thread_time()
    index = NameIndex(people(size, random.Random(1)), datetime.now(UTC).year, "people:bench", edits=1)
    load = time.thread_time() - begin
    added = Added(index)
    times = []
    texts = prompts(random.Random(2))
    for text in texts[:50]:
        house.search(text, added)
    for text in texts:
        begin = time.thread_time()
        house.search(text, added)
        times.append((time.thread_time() - begin) * 1e6)
    return {
        "names": len(index),
        "load_s": load,
        "megabytes": _resident() - before,
        "median_us": median(times),
        "p95_us": quantiles(times, n=20)[-1],
    }


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((2, 2, 3, 3, 4))))


def _resident() -> float:
    """Resident memory of this process in MB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    """Measures every size, prints the table and writes the figures."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        figures = pool.map(measure, SIZES, chunksize=1)
    table = Table(
        "names", "load, CPU s", "MB", "median CPU µs a prompt", "95%", title="Banks of people, beside the gazetteer"
    )
    for row in figures:
        cells = (f"{row['load_s']:.1f}", f"{row['megabytes']:.0f}", f"{row['median_us']:.0f}", f"{row['p95_us']:.0f}")
        table.add_row(f"{row['names']:,.0f}", *cells)
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
