"""The generator: what sharing steps brings, how soon it lets go, what the engine adds, and a storm of 1,000 requests.

Run by `make bench-generator`; prints a table and writes benchmarks/results/generator.json. On a small machine the
figures move with whatever else it does: every ratio is of runs that follow one another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import structlog
import torch
from rich.console import Console

from benchmarks.rendering import probes, speed
from benchmarks.rendering.storm import Outcome, storm
from benchmarks.report.table import Figure, record, table
from services.generator.checkpoint import load_checkpoint
from services.generator.engine import Engine
from services.generator.families import build_family
from services.generator.pace import warm_up

RESULTS = Path(__file__).parent / "results"
MODEL = "models/scenes"


def main() -> None:
    """Measures the model that ships with the house, on the CPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=60, help="requests of each Poisson stream")
    parser.add_argument("--storm", type=int, default=1000, help="requests of the storm")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    torch.set_num_threads(1)
    engine = Engine(build_family(load_checkpoint(MODEL, "", torch.device("cpu"))))
    figures = [
        *measure(engine, arguments.requests),
        *weathered(asyncio.run(storm(engine, arguments.storm)), arguments.storm),
    ]
    Console().print(table("the generator", figures, {}))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "generator.json").write_text(json.dumps(record(figures), indent=2) + "\n")


def measure(engine: Engine, requests: int) -> list[Figure]:
    """Everything but the storm."""
    card = engine.family.card
    paces = warm_up(engine, card.all_sizes[:1])
    (pace,) = paces.values()
    rows = engine.size_up(speed.job(engine, 0))[1]
    full = max(1, pace.best_cap // rows)
    figures = [Figure("rows that share a pass (90% of the best throughput)", 1, pace.best_cap, form="{:.0f}")]
    quick = speed.staggered(engine, paces)
    figures += [
        Figure("12 staggered requests: throughput over one at a time", speed.ROUNDS, quick.ratio, 2.5, form="{:.2f}×"),
        Figure("… and grey levels by which any pixel differs", 12, quick.difference, 1, at_most=True, form="{:.0f}"),
    ]
    for share, ratio in speed.against_batches_of_requests(engine, paces, (0.7, 1.0), requests).items():
        what = f"Poisson load, {share:.1f} of capacity: mean latency over dynamic batching's"
        figures.append(Figure(what, requests, ratio, 0.7, at_most=True, form="{:.2f}×"))
    cancelled = probes.steps_after_cancel(engine, paces, 20)
    figures.append(Figure("steps run after a cancel, the most", 20, cancelled, 1, at_most=True, form="{:.0f}"))
    for pictures in (1, full):
        added = probes.overhead(engine, paces, pictures, 20)
        what = f"a step of {pictures} pictures: time beyond the model's own pass"
        figures.append(Figure(what, 19, added, 0.1, at_most=True))
    return figures + beside(probes.beside_diffusers(engine, MODEL, 5))


def beside(peer: probes.Peer) -> list[Figure]:
    """Diffusers' own pipeline on the same checkpoint."""
    return [
        Figure("one request alone, seconds", 5, peer.ours, form="{:.2f}"),
        Figure("… in diffusers' own pipeline, seconds", 5, peer.theirs, form="{:.2f}"),
        Figure(
            "… and the most by which a value differs (0 … 1)", 5, peer.difference, 1e-4, at_most=True, form="{:.0e}"
        ),
    ]


def weathered(outcome: Outcome, asked: int) -> Sequence[Figure]:
    """What became of a storm of so many requests."""
    return [
        Figure("storm: requests answered", asked, sum(outcome.answers.values()) / asked, 1.0),
        *(Figure(f"… {code}", number, number / asked) for code, number in sorted(outcome.answers.items())),
        Figure("… wrong pictures", outcome.answers.get("OK", 0), outcome.wrong, 0, at_most=True, form="{:.0f}"),
        Figure("… places that stayed taken", asked, outcome.places_left, 0, at_most=True, form="{:.0f}"),
        Figure("… megabytes that stayed taken", asked, outcome.leaked_megabytes, 64, at_most=True, form="{:.0f}"),
    ]


if __name__ == "__main__":
    main()
