"""C2PA manifests: what signing, timestamping and reading cost, and how long a manifest is.

`python -m benchmarks.manifests` prints a table and writes benchmarks/results/manifests.json. The picture has
1,024 × 1,024 pixels of a gradient with noise: 2 MB as PNG. Medians; of signing the CPU time of its thread, of the rest
what one waits. The time-stamping authority is OpenSSL's on this machine: its figure is that of our part and a process
that starts, not of a network.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console

from benchmarks.report.table import Figure, record, table
from services.core.imaging import OutputFormat, encode
from services.core.signals import Lineage, ModelVersion
from services.provenance.authority import Algorithm, make_chain
from services.provenance.manifest import ManifestSigner, Operation, Release
from services.provenance.manifest_reader import ManifestReader
from services.provenance.signing_key import sign_with_key
from services.provenance.timestamp import TimestampAuthority
from tests import tsa

RESULTS = Path(__file__).parent / "results" / "manifests.json"
RUNS = 60
SIZE = 1024
SIGN_MS, LONGEST = 10.0, 15_000
MODEL = ModelVersion("scenes", "1", "ab" * 32)
FORM = "{:.1f} ms"


def main() -> None:
    """Measure and tell."""
    with TemporaryDirectory() as folder, tsa.running(Path(folder)) as clock:
        figures = list(measure(clock))
    Console(width=120).print(table("C2PA manifests", figures, {}))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record(figures), indent=2) + "\n")


def measure(clock: tsa.TimeStamps) -> Iterator[Figure]:
    """All figures."""
    kinds: tuple[OutputFormat, ...] = ("PNG", "JPEG", "WEBP")
    pictures = {kind: encode(_picture(), kind) for kind in kinds}
    algorithms: tuple[Algorithm, ...] = ("es256", "ed25519")
    for algorithm in algorithms:
        ca, chain, key = make_chain("Portcullis development", datetime.now(UTC), algorithm)
        signer = ManifestSigner(chain, sign_with_key(key))
        for kind, image in pictures.items():
            yield _sign(f"sign {kind}, {algorithm}", partial(signer.sign, image, kind, _release("create"), None))
    upload = pictures["PNG"]
    yield _sign("sign JPEG with the upload", partial(signer.sign, pictures["JPEG"], "JPEG", _release("edit"), upload))
    authority = TimestampAuthority(clock.url, clock.root)
    stamping = ManifestSigner(chain, sign_with_key(key), authority)
    stamped = partial(stamping.sign, upload, "PNG", _release("create"), None)
    yield Figure("sign PNG with a timestamp", RUNS, _median(stamped, time.perf_counter), form=FORM)
    for operation, parent in (("create", None), ("edit", upload)):
        for what, one in (("", signer), (" with a timestamp", stamping)):
            signed = one.sign(upload, "PNG", _release(operation), parent)
            length = float(len(signed.image) - len(upload))
            yield Figure(f"manifest, {operation}{what}", 1, length, LONGEST, at_most=True, form="{:,.0f} bytes")
    reader = ManifestReader(ca, clock.root)
    for what, read in (
        ("read PNG", partial(reader.read, signed.image, "PNG")),
        ("read a stripped PNG with its sidecar", partial(reader.read, upload, "PNG", signed.sidecar)),
    ):
        yield Figure(what, RUNS, _median(read, time.perf_counter), form=FORM)
    reader.close()
    authority.close()


def _sign(what: str, call: Callable[[], object]) -> Figure:
    return Figure(what, RUNS, _median(call, time.thread_time), SIGN_MS, at_most=True, form=FORM)


def _median(call: Callable[[], object], clock: Callable[[], float]) -> float:
    """Milliseconds."""
    call()
    times = []
    for _ in range(RUNS):
        begun = clock()
        call()
        times.append(1000 * (clock() - begun))
    return median(times)


def _release(operation: Operation) -> Release:
    parameters = {"steps": 8, "guidance": 2.0, "size": SIZE, "scheduler": "DDIMScheduler"}
    return Release(
        "6b1c0a52-0f5c-4f0e-9f4d-3f2d6a0f7a11",
        "00112233aabbccdd",
        operation,
        Lineage(1, ()),
        MODEL,
        "cd" * 32,
        "a clearance",
        7,
        parameters,
    )


def _picture() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    rng, ramp = np.random.default_rng(7), np.linspace(0, 200, SIZE)
    pixels = ramp[None, :, None] * np.linspace(0.4, 1, SIZE)[:, None, None] + rng.normal(20, 6, (SIZE, SIZE, 3))
    return pixels.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
