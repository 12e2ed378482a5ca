"""What hostile pictures cost: the whole corpus of the tests and PngSuite, file by file, through `sanitise`.

Run by `make bench`; prints a table, writes benchmarks/results/hostile_images.json and exits with 1 where a file was not
answered, or a process held 512 MB or a file took 2 s. Times are by the clock, so leave the machine alone meanwhile.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table
from skimage import data

from services.core import imaging
from services.core.errors import InvalidInput, Unavailable
from tests.unit.core import hostile_pictures

RESULTS = Path(__file__).parent / "results" / "hostile_images.json"
PNGSUITE = Path(__file__).parents[1] / "tests" / "data" / "pngsuite.zip"
_MOST_SECONDS, _MOST_MB = 2.0, 512


def main() -> None:
    """Makes the files, measures in a fresh process, tells; exits with 1 where a limit was passed."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as fresh:
        make(Path(folder))
        found = fresh.apply(measure, (folder,))
    console.print(table(found["families"]))
    for name, value in found.items():
        if name != "families":
            console.print(f"{name}: {value}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    slowest = max(family["slowest ms"] for family in found["families"].values())
    unanswered = sum(family["crashed"] for family in found["families"].values())
    largest = max(found["decoder's peak MB"], found["service's peak MB"])
    sys.exit(unanswered > 0 or slowest >= _MOST_SECONDS * 1000 or largest >= _MOST_MB)


def make(folder: Path) -> None:
    """One folder a family, one numbered file a picture, with its name beside it."""
    for family in hostile_pictures.families():
        write(folder / family.__name__, family())
    with zipfile.ZipFile(PNGSUITE) as archive:
        write(folder / "pngsuite", ((name, archive.read(name)) for name in archive.namelist() if ".png" in name))


def write(folder: Path, files: Iterator[tuple[str, bytes]]) -> None:
    """Writes the files and their names."""
    folder.mkdir()
    for number, (name, content) in enumerate(files):
        (folder / f"{number:04}").write_bytes(content)
        (folder / f"{number:04}.name").write_text(name)


def measure(folder: str) -> dict[str, Any]:
    """Every file once, one after the other. Decoders are this process's only children."""
    photograph = BytesIO()
    Image.fromarray(data.astronaut()).resize((1024, 1024)).save(photograph, "JPEG", quality=90)
    digest = imaging.sanitise(photograph.getvalue()).sha256
    families = {}
    for path in sorted(Path(folder).iterdir()):
        families[path.name] = measure_family(path)
        if imaging.sanitise(photograph.getvalue()).sha256 != digest:
            raise SystemExit(f"an honest picture came out differently after {path.name}")
    begin = cpu_seconds()
    for _ in range(50):
        imaging.sanitise(photograph.getvalue())
    honest = (cpu_seconds() - begin) / 50
    imaging._pool.close()
    return {
        "families": families,
        "decoder's peak MB": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000),
        "service's peak MB": round(int(re.search(r"VmHWM:\s+(\d+)", status("self"))[1]) / 1000),
        "CPU ms of an honest 1024 × 1024 JPEG, both processes": round(honest * 1000, 1),
        "load of the machine": os.getloadavg()[0],
    }


def measure_family(folder: Path) -> dict[str, Any]:
    """How its files were answered, and which took longest."""
    counts = dict.fromkeys(("pictures", "refused", "busy", "crashed"), 0)
    slowest, name = 0.0, ""
    for path in sorted(folder.glob("????")):
        content = path.read_bytes()
        begin = time.perf_counter()
        counts[answer(content)] += 1
        seconds = time.perf_counter() - begin
        if seconds > slowest:
            slowest, name = seconds, path.with_suffix(".name").read_text()
    return {"files": sum(counts.values()), **counts, "slowest ms": round(slowest * 1000), "slowest file": name}


def answer(content: bytes) -> str:
    """What came of it; an error that no sender can be told is a crash."""
    try:
        imaging.sanitise(content)
    except InvalidInput:
        return "refused"
    except Unavailable:
        return "busy"
    except Exception:
        return "crashed"
    return "pictures"


def cpu_seconds() -> float:
    """Of this process and its living decoders."""
    ticks = 0
    for decoder in list(imaging._pool._slots.queue):
        if decoder:
            fields = Path(f"/proc/{decoder._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def status(pid: str) -> str:
    """What the kernel says of a process."""
    return Path(f"/proc/{pid}/status").read_text()


def table(families: dict[str, dict[str, Any]]) -> Table:
    """One row a family."""
    columns = ["family", "files", "pictures", "refused", "busy", "crashed", "slowest ms", "slowest file"]
    drawn = Table(*columns)
    for name, family in families.items():
        drawn.add_row(name, *(str(family[column]) for column in columns[1:]))
    return drawn


if __name__ == "__main__":
    main()
