"""How long a platform waits: every call through the front door of a whole house on this machine.

Run by `make bench`; prints a table and writes benchmarks/results/front_door.json.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from demo import inputs
from demo.running import running_house
from portcullis import Client

RESULTS = Path(__file__).parent / "results"
ACCOUNT = "bench"


def main() -> None:
    """Starts a house in a folder of its own, measures, ends it."""
    console = Console()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_house(Path(folder) / "home", console.print) as house,
        Client(house.profile) as client,
    ):
        figures = measure(client)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "front_door.json").write_text(json.dumps(figures, indent=2) + "\n")
    table = Table("call", "times", "median ms", "95% ms", title=f"through the front door, {os.cpu_count()} cores")
    for name, figure in figures.items():
        table.add_row(name, str(figure["times"]), f"{figure['median_ms']:.1f}", f"{figure['p95_ms']:.1f}")
    console.print(table)


def measure(client: Client) -> dict[str, dict[str, float]]:
    """Times of each call, one after the other, after one to warm up."""
    photo = inputs.harmless_photo()
    mask = inputs.mask_of(photo)
    drawn = next(
        e.data for e in client.create_images(inputs.ALLOWED, account=ACCOUNT, count=1, seed=3) if hasattr(e, "data")
    )
    return {
        "CheckPrompt": _time(100, lambda: client.check_prompt(inputs.ALLOWED, account=ACCOUNT)),
        "CheckUpload 640×427": _time(20, lambda: client.check_upload(photo, account=ACCOUNT)),
        "CheckPair 640×427": _time(20, lambda: client.check_pair(inputs.ALLOWED, photo, mask, account=ACCOUNT)),
        "CreateImages, 1 picture": _time(
            10, lambda: list(client.create_images(inputs.ALLOWED, account=ACCOUNT, count=1, seed=3))
        ),
        "CreateImages, 4 pictures": _time(5, lambda: list(client.create_images(inputs.ALLOWED, account=ACCOUNT))),
        "InspectImage": _time(10, lambda: client.inspect_image(drawn)),
    }


def _time(times: int, call: Callable[[], object]) -> dict[str, float]:
    call()
    taken: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1000)
    return {"times": times, "median_ms": median(taken), "p95_ms": quantiles(taken, n=20)[-1]}


if __name__ == "__main__":
    main()
