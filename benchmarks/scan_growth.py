"""Whether `portcullis scan prompts` grows: 100,000 different prompts, its memory on the way, prompts a second.

Run by `make bench`; prints two lines and writes benchmarks/results/scan_growth.json.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import psutil
from rich.console import Console

from training.prompt_filter import texts
from training.prompt_filter.augment import augment
from training.prompt_filter.data import CATEGORIES

RESULTS = Path(__file__).parent / "results" / "scan_growth.json"
PROMPTS, STEP = 100_000, 10_000
# What 90,000 more prompts may cost: the allocator's noise.
_MOST_MB = 20


def main() -> None:
    """Writes the prompts, runs the command, watches it; exits with 1 if it grew."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "prompts.jsonl", Path(folder) / "verdicts.jsonl"
        write(source)
        found = watch(source, target)
    resident = found["resident MB"]
    grown = resident[PROMPTS] - resident[STEP]
    console.print(" · ".join(f"{number:,}: {size:.0f} MB" for number, size in resident.items()))
    console.print(f"{PROMPTS:,} prompts: {grown:+.0f} MB since {STEP:,}; {found['prompts a second']:.0f} a second")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    sys.exit(grown > _MOST_MB)


def write(path: Path) -> None:
    """Prompts that no cache has seen: our own texts, changed as in training, with a word of random letters each."""
    own = texts.read(CATEGORIES)["text"].tolist()
    draw = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        for number in range(PROMPTS):
            noise = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(4, 10)))
            text = f"{augment(draw.choice(own)[:200], own[:50], draw)}, {noise} {number}"
            file.write(json.dumps({"id": number, "text": text}) + "\n")


def watch(source: Path, target: Path) -> dict[str, Any]:
    """Runs the scan; resident memory at every 10,000 prompts, and the last that was seen."""
    command = [str(Path(sys.executable).with_name("portcullis")), "scan", "prompts", str(source), str(target)]
    begin, done, size, resident = time.monotonic(), 0, 0.0, dict[int, float]()
    target.touch()
    with target.open("rb") as verdicts, psutil.Popen(command, stdout=DEVNULL, stderr=DEVNULL) as scan:
        while scan.poll() is None:
            with suppress(psutil.Error):
                size = scan.memory_info().rss / 2**20 or size  # a process that is ending has none
            done += verdicts.read().count(b"\n")
            resident.setdefault(done // STEP * STEP, round(size, 1))
            time.sleep(0.1)
        done += verdicts.read().count(b"\n")
    if scan.returncode or done < PROMPTS:
        raise SystemExit(f"the scan ended with {scan.returncode} after {done:,} prompts")
    resident[PROMPTS] = round(size, 1)
    return {"resident MB": resident, "prompts a second": round(PROMPTS / (time.monotonic() - begin), 1)}


if __name__ == "__main__":
    main()
