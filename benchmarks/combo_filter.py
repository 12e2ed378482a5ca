"""The combo filter: hand-written pairs, edits by another hand, the world of models/scenes-clip, and what a check costs.

Run by `make bench-combo`; prints a table and writes benchmarks/results/combo_filter.json. An open_clip ViT-S-32 is
timed with random weights, on which its speed does not depend: as it is, and in int8.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from skimage import data

from benchmarks.report.table import Figure, record, table
from services.combo_filter.concept_bank import Bank, Sentences
from services.combo_filter.edits import ALTERS, EditIntent
from services.combo_filter.encoder import OpenClipEncoder, load_encoder
from services.combo_filter.pipeline import ComboPipeline
from services.combo_filter.settings import ComboFilterSettings
from services.combo_filter.words import Words
from services.commands.default_policy import DEFAULT_POLICY
from services.core.artifacts import file_sha256
from services.core.imaging import encode
from services.core.policy.document import Policy, load_policy
from services.core.policy.evaluate import evaluate
from services.core.policy.rules import context_for
from services.core.signals import Measurement, Signal
from services.core.torch_compat import guard_torchvision
from services.core.verdicts import Verdict
from services.generator.pixels import to_bytes
from training.combo.cases import cases, read_groups
from training.combo.evaluate import judge
from training.combo.export import export
from training.generator.captions import plain_caption
from training.generator.grounds import COLOURS, GROUNDS, fits
from training.generator.render import render
from training.generator.scenes import Item, Scene, draw_held_out
from training.generator.shapes import SHAPES

RESULTS = Path(__file__).parent / "results" / "combo_filter.json"
HELD_OUT = Path(__file__).parents[1] / "tests/unit/combo_filter/edits_held_out.tsv"
SCENES, RUNS, RULES = 300, 60, 500
PROMPT = "replace the sofa by the window with a green armchair, and let the morning light fall on it"
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 384,
        "vision_cfg": {"image_size": 224, "layers": 12, "width": 384, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 384, "heads": 6, "layers": 12},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


def main() -> None:
    """Measures, prints and writes."""
    policy = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), DEFAULT_POLICY.name)
    figures = [*pairs(policy), *edits(), *scenes(), *speed(), *rules(policy)]
    Console(width=130).print(table("the combo filter", figures, {}))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record(figures), indent=2) + "\n")


def pairs(policy: Policy) -> Iterator[Figure]:
    """The hand-written pairs, given what is true of each picture, with and without an encoder."""
    all_ = [case for groups in read_groups().values() for group in groups for case in cases(group)]
    for sight, name in ((False, "no encoder"), (True, "an encoder")):
        verdicts = [(case.kind, judge(case, policy, sight=sight)) for case in track(all_, name, transient=True)]
        wrong = [verdict is not Verdict.ALLOW for kind, verdict in verdicts if kind == "violation"]
        harmless = [verdict for kind, verdict in verdicts if kind != "violation"]
        not_blocked = [verdict is not Verdict.BLOCK for verdict in harmless]
        allowed = [verdict is Verdict.ALLOW for verdict in harmless]
        yield Figure(f"violating pairs not allowed, {name}", len(wrong), float(np.mean(wrong)), 0.95)
        yield Figure(f"harmless pairs not refused, {name}", len(harmless), float(np.mean(not_blocked)), 0.9)
        yield Figure(f"harmless pairs allowed, {name}", len(harmless), float(np.mean(allowed)))


def edits() -> Iterator[Figure]:
    """What the trained encoder says of texts by another hand: nothing but the words."""
    intent = EditIntent.load(ComboFilterSettings())
    lines = [line.split("\t") for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]

    def alters(text: str) -> bool:
        return any(signal.category == ALTERS and signal.score >= 0.5 for signal in intent.measure(text))

    harmful = [alters(text) for label, text in lines if not label.startswith("harmless")]
    harmless = [not alters(text) for label, text in lines if label.startswith("harmless")]
    yield Figure("edits by another hand: harmful found", len(harmful), float(np.mean(harmful)), 0.95)
    yield Figure("edits by another hand: harmless let be", len(harmless), float(np.mean(harmless)), 0.9)


def scenes() -> Iterator[Figure]:
    """Zero-shot concepts on held-out combinations of the small world: what is in the picture, and what is not."""
    folder = "models/scenes-clip"
    encoder = load_encoder(
        ComboFilterSettings.model_validate(
            {
                "joint_encoder": f"{folder}/open_clip_model.safetensors",
                "joint_encoder_config": f"{folder}/open_clip_config.json",
                "joint_encoder_tokenizer": f"{folder}/tokenizer.json",
            }
        )
    )
    assert encoder is not None, "one is configured"
    encoder.use(_world())
    rng = np.random.default_rng(5)
    drawn = [draw_held_out(rng, 1) for _ in range(SCENES)]
    found: dict[str, list[tuple[bool, bool]]] = {"shape": [], "colour": [], "ground": []}
    for scene in track(drawn, "scenes", transient=True):
        picture = to_bytes(render([scene], 256)[0])[0].numpy()
        (item,) = scene.items
        true = {("shape", item.shape), ("colour", item.colour), ("ground", scene.ground)}
        for signal in encoder.measure(picture):
            kind, value = signal.category.removeprefix("concept.own.").split("_", 1)
            found[kind].append(((kind, value) in true, signal.score >= 0.5))
    for kind, told in (*found.items(), ("all", [one for each in found.values() for one in each])):
        recall = np.mean([said for is_there, said in told if is_there])
        precision = np.mean([is_there for is_there, said in told if said])
        goal = 0.95 if kind == "all" else None
        yield Figure(f"scenes world, {kind} concepts: recall", SCENES, float(recall), goal)
        yield Figure(f"scenes world, {kind} concepts: precision", SCENES, float(precision), goal)


def _world() -> Bank:
    """A concept for each shape, colour and ground: what says it is every caption with it, and no is every other."""
    texts = {
        (shape, colour, ground): plain_caption(Scene((Item(colour, shape, 0.5, 0.5, 0.2),), "", ground))
        for ground in GROUNDS
        for colour in COLOURS
        if fits(colour, "", ground)
        for shape in SHAPES
    }
    bank: Bank = {}
    for at, (kind, values) in enumerate((("shape", SHAPES), ("colour", COLOURS), ("ground", GROUNDS))):
        for value in values:
            yes = [text for key, text in texts.items() if key[at] == value]
            no = [text for key, text in texts.items() if key[at] != value]
            bank[f"concept.own.{kind}_{value}"] = Sentences(yes=yes, no=no)
    return bank


def speed() -> Iterator[Figure]:
    """A pair check when both halves are cleared, in milliseconds: median of many."""
    words = Words.load(ComboFilterSettings())
    yield _cost("pair check, no encoder", ComboPipeline(words, None), 15)
    with TemporaryDirectory() as work:
        whole, small = _vit(Path(work))
        yield _cost("pair check, ViT-S-32 float32", ComboPipeline(words, whole), None)
        yield _cost("pair check, ViT-S-32 int8", ComboPipeline(words, small), 80)


def _cost(what: str, pipeline: ComboPipeline, goal: float | None) -> Figure:
    photo = data.chelsea()[:, :, :3]
    png, mask = encode(photo), encode(np.full(photo.shape, 255, np.uint8))
    upload = (Signal("concept.photo", 0.97, "photo/1"),)
    cost = _median(lambda: pipeline.measure("edit", PROMPT, "", png, mask, (), upload))
    return Figure(what, RUNS, cost, goal, at_most=True, form="{:.1f} ms")


def _median(work: Callable[[], object]) -> float:
    work()
    costs = []
    for _ in range(RUNS):
        begun = perf_counter()
        work()
        costs.append((perf_counter() - begun) * 1000)
    return median(costs)


def _vit(work: Path) -> Sequence[OpenClipEncoder]:
    """A ViT-S-32 with random weights, as it is and in int8."""
    guard_torchvision()
    import open_clip
    from safetensors.torch import save_file

    config, weights = work / "open_clip_config.json", work / "open_clip_model.safetensors"
    config.write_text(json.dumps(CONFIG))
    save_file(open_clip.create_model(f"local-dir:{work}", load_weights=False).state_dict(), weights)
    image, text = export(weights, config, work / "onnx")

    def load(**files: Path) -> OpenClipEncoder:
        named = {name: str(path) for name, path in files.items()}
        digests = {f"{name}_sha256": file_sha256(path) for name, path in files.items()}
        encoder = load_encoder(ComboFilterSettings.model_validate({**named, **digests}))
        assert encoder is not None, "one is configured"
        return encoder

    same = {"joint_encoder_config": config}
    return load(joint_encoder=weights, **same), load(joint_encoder=image, joint_encoder_text=text, **same)


def rules(policy: Policy) -> Iterator[Figure]:
    """What a pair's rules cost, in milliseconds: the slowest of one, and a policy with 500 of them."""
    own = [compiled for compiled in policy.rules if compiled.rule.stages == ["pair"]]
    many = replace(policy, rules=tuple(own[at % len(own)] for at in range(RULES)))
    signals = tuple(Signal(name, 0.4, "t") for compiled in own for name in compiled.reads)
    context = context_for("pair", "new", {signal.category: signal.score for signal in signals}, ())
    slowest = max(_median(partial(compiled.run, context)) for compiled in own)
    yield Figure("one rule, the slowest", len(own), slowest, 2, at_most=True, form="{:.3f} ms")
    whole = _median(partial(evaluate, many, "pair", "new", Measurement(signals, (), {})))
    yield Figure("a policy of so many rules", RULES, whole, at_most=True, form="{:.1f} ms")


if __name__ == "__main__":
    main()
