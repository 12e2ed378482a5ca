"""Concept banks of an operator's own, and the world of models/scenes-clip seen through one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from services.combo_filter import concept_bank
from services.combo_filter.concept_bank import Bank, follow_bank, parse_bank, read_bank
from services.combo_filter.pipeline import ComboPipeline
from services.combo_filter.settings import ComboFilterSettings
from services.core.errors import ConfigurationError
from services.core.imaging import encode
from services.core.policy.document import load_policy
from services.core.policy.evaluate import evaluate
from services.core.signals import Signal
from services.core.verdicts import Verdict
from services.generator.pixels import to_bytes
from training.generator.grounds import COLOURS, GROUNDS, fits
from training.generator.render import render
from training.generator.scenes import Item, Scene
from training.generator.shapes import SHAPES

BANK = """
concept.own.fish:
  "yes": [a red fish on a white background]
  "no": [a red house on a white background]
"""
POLICY = """
name: aquarium
defaults: {review: 0.5, block: 0.8}
rules:
  - name: no-fish-in-the-desert
    stages: [pair]
    category: manipulation
    verdict: BLOCK
    message: Fish do not belong into a desert.
    when: score("concept.own.fish", 0.0) >= 0.5 && score("concept.own.desert", 0.0) >= 0.5
"""
PLACES = {"desert": "in the desert", "sea": "at sea", "meadow": "in a meadow", "sky": "in the sky", "night": "at night"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("concept.fish: {'yes': [a], 'no': [b]}", "bank:1:1: concept.fish: .*unknown concept 'concept.fish'"),
        ("concept.own.fish:\n  'yes': []\n  'no': [b]", "bank:2:10: .*at least 1 item"),
        ("concept.own.fish:\n  'yes': [a]", "bank:2:3: .*Field required"),
        ("concept.own.fish: [", "bank:1:20: not valid YAML"),
        ("- concept.own.fish", "a concept bank is a mapping of concepts"),
    ],
)
def test_a_mistake_is_named_at_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_bank(text, "bank")


async def test_a_changed_bank_is_read_again_and_a_broken_one_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concept_bank, "LOOK_SECONDS", 0.02)
    path, used, came = tmp_path / "bank.yaml", list[Bank](), asyncio.Event()

    def use(bank: Bank) -> None:
        used.append(bank)
        loop.call_soon_threadsafe(came.set)

    loop = asyncio.get_running_loop()
    path.write_text(BANK)
    following = asyncio.create_task(follow_bank(path, use))
    await asyncio.sleep(0.2)
    path.write_text("concept.own.fish: [")
    await asyncio.sleep(0.2)
    broken = list(used)
    path.write_text(BANK.replace("red", "blue"))
    await asyncio.wait_for(came.wait(), 10)
    following.cancel()

    assert broken == []
    assert used[-1] == parse_bank(BANK.replace("red", "blue"), "bank")


def test_a_rule_may_ask_for_a_concept_of_an_operators_own_and_for_no_slip_of_the_pen() -> None:
    assert load_policy(POLICY, "policy").document.name == "aquarium"
    with pytest.raises(Exception, match=r"unknown score 'concept\.fish'"):
        load_policy(POLICY.replace("concept.own.fish", "concept.fish"), "policy")


@pytest.fixture(scope="module")
def aquarium(tmp_path_factory: pytest.TempPathFactory) -> ComboPipeline:
    """The house's own pipeline, its encoder models/scenes-clip, its bank a fish and a desert."""
    path = tmp_path_factory.mktemp("bank") / "bank.yaml"
    path.write_text(yaml.safe_dump({"concept.own.fish": _shape("fish"), "concept.own.desert": _place("desert")}))
    folder = "models/scenes-clip"
    settings = ComboFilterSettings.model_validate(
        {
            "joint_encoder": f"{folder}/open_clip_model.safetensors",
            "joint_encoder_config": f"{folder}/open_clip_config.json",
            "joint_encoder_tokenizer": f"{folder}/tokenizer.json",
            "concepts": path,
        }
    )
    return ComboPipeline.load(settings)


def _shape(wanted: str) -> dict[str, list[str]]:
    return {
        "yes": [_said(colour, wanted, place) for place in PLACES for colour in COLOURS],
        "no": [
            _said(colour, shape, place) for place in PLACES for colour in COLOURS for shape in SHAPES if shape != wanted
        ],
    }


def _place(wanted: str) -> dict[str, list[str]]:
    words = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    return {
        "yes": [_said(*each, wanted) for each in words],
        "no": [_said(*each, place) for each in words for place in PLACES if place != wanted],
    }


def _said(colour: str, shape: str, place: str) -> str:
    return f"{'an' if colour == 'orange' else 'a'} {colour} {shape} {PLACES[place]}"


@pytest.mark.parametrize(
    ("shape", "place", "verdict"),
    [("fish", "desert", Verdict.BLOCK), ("fish", "sea", Verdict.ALLOW), ("house", "desert", Verdict.ALLOW)],
)
@pytest.mark.parametrize("colour", [colour for colour in COLOURS if all(fits(colour, "", place) for place in PLACES)])
def test_a_rule_on_two_concepts_fires_where_both_are_seen(
    aquarium: ComboPipeline, shape: str, place: str, verdict: Verdict, colour: str
) -> None:
    scene = Scene((Item(colour, shape, 0.5, 0.5, 0.22),), "", place)
    png = encode(to_bytes(render([scene], 256)[0])[0].numpy())

    measured = aquarium.measure("variation", "", "", png, None, (), (Signal("concept.photo", 0.0, "test/1"),))

    assert evaluate(load_policy(POLICY, "policy"), "pair", "new", measured).verdict is verdict


def test_a_bank_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"bank\.yaml cannot be read"):
        read_bank(tmp_path / "bank.yaml")


def test_the_rooms_own_bank_is_read_without_a_file() -> None:
    assert "concept.bathroom" in read_bank(None)
    assert set(PLACES) <= set(GROUNDS)
