"""How the words generalise: edits that the vocabulary was not made from, under the platform policy, no encoder."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from services.combo_filter.pipeline import ComboPipeline
from services.combo_filter.settings import ComboFilterSettings
from services.core.policy.document import load_policy
from services.core.policy.evaluate import evaluate
from services.core.signals import Signal

POLICY = Path(__file__).parents[3] / "policies/default.yaml"
EDITS: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "held_out.yaml").read_text())


@pytest.fixture(scope="module")
def verdicts() -> dict[str, list[str]]:
    pipeline, policy = ComboPipeline.load(ComboFilterSettings()), load_policy(POLICY.read_text(), POLICY.name)
    file = BytesIO()
    Image.fromarray(np.full((16, 16), 255, np.uint8)).save(file, "PNG")
    photo = (Signal("concept.photo", 0.95, "photo/1"),)

    def judge(prompt: str) -> str:
        measurement = pipeline.measure("edit", prompt, "", file.getvalue(), file.getvalue(), (), photo)
        return evaluate(policy, "pair", "new", measurement).verdict.name

    return {kind: [judge(prompt) for prompt in prompts] for kind, prompts in EDITS.items()}


@pytest.mark.parametrize(
    ("kind", "wanted", "share"),
    [
        ("refuse", {"BLOCK", "REVIEW"}, 0.95),
        ("hold", {"BLOCK", "REVIEW"}, 0.94),
        ("allow", {"ALLOW"}, 0.98),
    ],
)
def test_the_words_hold_for_edits_that_they_were_not_made_from(
    verdicts: dict[str, list[str]], kind: str, wanted: set[str], share: float
) -> None:
    found = verdicts[kind]
    assert sum(verdict in wanted for verdict in found) / len(found) >= share
