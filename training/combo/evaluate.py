"""Judges the hand-written pairs, given what is true of each picture: `python -m training.combo.evaluate [--show RULE]`.

Pictures are not drawn: what a perfect image filter and a perfect joint encoder would say of them is. Words, mask, rules
and policy are the service's own.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from services.combo_filter.pipeline import ComboPipeline
from services.combo_filter.settings import ComboFilterSettings
from services.combo_filter.words import Words
from services.core.imaging import Rgb
from services.core.policy.concepts import CONCEPTS
from services.core.policy.document import Policy, load_policy
from services.core.policy.evaluate import evaluate
from services.core.signals import Box, ModelVersion, Signal
from services.core.verdicts import Verdict
from training.combo.cases import Case, MaskIdea, Picture, cases, read_groups

SIDE = 64
PERSON, FACE, TEXT = Box(20, 8, 24, 56), Box(26, 8, 12, 14), Box(4, 44, 30, 10)
MASKS: dict[MaskIdea, Box] = {
    "person": PERSON,
    "clothes": Box(20, 24, 24, 40),
    "head": Box(24, 4, 16, 20),
    "text": TEXT,
    "thing": Box(46, 40, 14, 14),
    "place": Box(46, 0, 18, 64),
    "all": Box(0, 0, SIDE, SIDE),
}
SURE = 0.95
BOXED = {"person": PERSON, "face": FACE, "document": TEXT}


class Told:
    """A joint encoder that is told what the picture shows."""

    model = ModelVersion("told", "1", "")

    def __init__(self) -> None:
        self.shows: frozenset[str] = frozenset()

    def measure(self, rgb: Rgb, prompt: str) -> tuple[Signal, ...]:  # noqa: ARG002 - the protocol's
        """What is true of the picture, as far as the policy has a name for it."""
        named = [name for name in CONCEPTS if name.removeprefix("concept.") in self.shows]
        return tuple(Signal(name, SURE, "told/1") for name in named)


def judge(case: Case, policy: Policy, *, sight: bool) -> Verdict:
    """The policy's verdict, with or without an encoder."""
    told = Told()
    told.shows = frozenset(case.picture.shows)
    pipeline = ComboPipeline(_words(), told if sight else None)
    upload = tuple(_seen(case.picture))
    measured = pipeline.measure("edit", case.prompt, "", _plain(), _mask(case.mask), (), upload)
    return evaluate(policy, "pair", "new", measured).verdict


def _seen(picture: Picture) -> Iterator[Signal]:
    """What the image filter would say of it."""
    yield Signal("concept.photo", SURE if "photo" in picture.shows else 1 - SURE, "told/1")
    for name, box in BOXED.items():
        score = SURE if name in picture.shows else 0.0
        yield Signal(
            "concept.text" if name == "document" else f"concept.{name}", score, "told/1", box if score else None
        )


@cache
def _words() -> Words:
    return Words.load(ComboFilterSettings())


@cache
def _plain() -> bytes:
    return _png(np.full((SIDE, SIDE, 3), 128, np.uint8))


@cache
def _mask(idea: MaskIdea) -> bytes:
    box, pixels = MASKS[idea], np.zeros((SIDE, SIDE), np.uint8)
    pixels[box.y : box.y + box.h, box.x : box.x + box.w] = 255
    return _png(pixels)


def _png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def main() -> None:
    """Prints a table by rule; with `--show`, the cases of a rule that are judged wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", type=Path, default=Path("policies/default.yaml"))
    parser.add_argument("--show", help="a rule whose wrongly judged cases are printed")
    arguments = parser.parse_args()
    policy = load_policy(arguments.policy.read_text(encoding="utf-8"), arguments.policy.name)
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for groups in read_groups().values():
        for case in (case for group in groups for case in cases(group)):
            for sight in (False, True):
                verdict = judge(case, policy, sight=sight)
                good = verdict is not Verdict.ALLOW if case.kind == "violation" else verdict is not Verdict.BLOCK
                for rule in (case.rule, "all"):
                    right[rule, f"{case.kind}{', seen' if sight else ''}"].append(good)
                if arguments.show == case.rule and not good:
                    print(f"{case.kind:14}{verdict.name:7}{'seen  ' if sight else '      '}{case.prompt!r}: "
                          f"{case.picture.description} {list(case.picture.shows)}, mask {case.mask}")  # fmt: skip
    _print(right)


def _print(right: dict[tuple[str, str], list[bool]]) -> None:
    columns = list(dict.fromkeys(column for _rule, column in right))
    table = Table("rule", "groups", *columns, title="violations not allowed, confounders not blocked")
    for rule in dict.fromkeys(rule for rule, _column in right):
        shares = [f"{np.mean(right[rule, column]):.0%}" for column in columns]
        table.add_row(rule, str(len(right[rule, columns[0]])), *shares)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
