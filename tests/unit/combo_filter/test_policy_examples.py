"""Every rule on pairs does what its own examples say; `portcullis policy test` tells the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.combo_filter.settings import ComboFilterSettings
from services.combo_filter.words import Words
from services.commands.policy import app
from services.core.policy.document import load_policy
from services.core.policy.examples import Tried, try_examples

POLICIES = sorted((Path(__file__).parents[3] / "policies").glob("*.yaml"))
RULE = """
name: mine
defaults: {{review: 0.5, block: 0.8}}
rules:
  - name: no-smoke
    stages: [pair]
    category: manipulation
    verdict: BLOCK
    message: No smoke.
    when: score("concept.stage_event", 0.0) >= 0.5
    examples:
      fires: [{{prompt: "{fires}"}}]
      passes: [{{prompt: "a tree"}}]
"""


@cache
def words() -> Words:
    return Words.load(ComboFilterSettings())


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_every_rule_on_pairs_has_examples_and_does_what_they_say(path: Path) -> None:
    policy = load_policy(path.read_text(encoding="utf-8"), path.name)
    tried = list(try_examples(policy, words().measure))
    bare = [rule.name for rule in policy.document.rules if "pair" in rule.stages and not rule.examples]

    assert bare == []
    assert [one for one in tried if not one.right] == []


def test_an_example_that_is_wrong_is_told_with_its_words(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RULE.format(fires="a green chair"))
    result = CliRunner().invoke(app, ["test", str(path)])

    assert result.exit_code == 1
    assert "no-smoke should fire, passed: 'a green chair'" in result.output


def test_right_examples_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RULE.format(fires="smoke over the roof"))
    result = CliRunner().invoke(app, ["test", str(path)])

    assert result.exit_code == 0
    assert "1 of 1" in result.output


def test_examples_are_no_part_of_a_policys_id() -> None:
    ids = {load_policy(RULE.format(fires=fires), "mine").id for fires in ("smoke", "a big fire")}

    assert len(ids) == 1


def test_a_rule_that_is_unknown_or_fails_is_never_right() -> None:
    unknown = RULE.format(fires="smoke").replace('score("concept.stage_event", 0.0)', 'scores["concept.bathroom"]')
    tried: list[Tried] = list(try_examples(load_policy(unknown, "mine"), words().measure))

    assert [one.right for one in tried] == [False, False]
