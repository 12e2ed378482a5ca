"""Rebuilds models/prompt: `python -m training.prompt_filter.train` (one core, 6 GB; about an hour and a half).

Three phases of fine-tuning, each from where the one before ended: the public texts; our own contrast pairs and texts
with a replay of the public ones; at last the sources that were held out until then. The figures of unseen sources are
those of the second phase, all others those of the model that ships. Seeded; an interrupted run goes on where its last
checkpoint stands. bfloat16 rounds differently from CPU to CPU, so the weights are alike, not the same.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
import torch

from services.core.artifacts import MODELS
from training.manifest import record
from training.prompt_filter import assemble, card, data, network
from training.prompt_filter.finetune import Phase, Texts, finetune

SEED = 7
# Tweets and captions are many and alike; no source may outweigh the prompts.
CAPS = {
    "edos": 3_000,
    "davidson": 3_000,
    "coco": 3_000,
    "covid": 1_000,
    "hatemoji": 2_500,
    "vicomtech": 2_500,
    "diffdb": 4_500,
    "long": 3_000,
    "madlibs": 1_000,
    "jigsawbias": 800,
}
REPLAY = CAPS | {"copro": 8_000, "edos": 1_500, "davidson": 1_500, "hatemoji": 1_500, "vicomtech": 1_500, "covid": 500}
# Few and precious.
REPEATS = {"own-long": 3, "own-prompts": 2, "nib": 2}
PUBLIC = Phase("public", passes=5, rate=1e-4, caps=CAPS, marks=True)
OWN = Phase("own", passes=2, rate=8e-5, caps=REPLAY | {"contrast": 25_000}, repeats=REPEATS)
LAST = Phase("last", passes=1, rate=3e-5, caps={source: cap // 2 for source, cap in OWN.caps.items()}, repeats=REPEATS)
CAPTIONS = ("coco", "t2icomp")


def main() -> None:
    """Trains, measures, writes the model, its figures and the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets/text"), help="folder of train.parquet")
    parser.add_argument("--work", type=Path, default=Path("build/prompt_filter"), help="folder of the checkpoints")
    parser.add_argument("--out", type=Path, default=MODELS / "prompt", help="folder to write into")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    work, out = arguments.work, arguments.out
    for folder in (work / "measured", out):
        folder.mkdir(parents=True, exist_ok=True)
    tokenizer = work / "tokenizer.json"
    model = network.start(tokenizer, len(data.HEADS))
    rows = data.gather(arguments.data, SEED)
    rows["part"] = data.split(rows)
    public = rows[~rows["src"].str.startswith(("contrast", "own-")) & rows["part"].eq("train")]
    _finetune(model, tokenizer, public, PUBLIC, work)
    _finetune(model, tokenizer, rows[rows["part"].eq("train")], OWN, work)
    figures = {"unseen": assemble.build(model, tokenizer, rows, ["train"], work / "measured")}
    _finetune(model, tokenizer, rows[rows["part"].isin(["train", "unseen"])], LAST, work)
    figures |= assemble.build(model, tokenizer, rows, ["train", "unseen"], out)
    figures |= {"fairness": assemble.identities(rows, arguments.data, out)}
    (out / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (out / "README.md").write_text(card.render(figures), encoding="utf-8")
    if out == MODELS / "prompt":
        record(*(out / name for name in assemble.FILES))


def _finetune(model: network.Network, tokenizer: Path, rows: pd.DataFrame, phase: Phase, work: Path) -> None:
    """One phase on `rows`; where its checkpoint says that it is done, only the weights are read."""
    rows = rows.reset_index(drop=True)
    captions = rows["text"][rows["src"].isin(CAPTIONS)].tolist()
    texts = Texts(rows, data.labels(rows), data.weights(rows), captions)
    finetune(model, tokenizer, texts, phase, SEED, work / f"{phase.name}.pt")


if __name__ == "__main__":
    main()
