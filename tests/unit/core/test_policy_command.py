from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.commands.policy import app

DEFAULT = Path(__file__).parents[3] / "policies/default.yaml"


def test_a_valid_policy_is_named_with_its_id() -> None:
    result = CliRunner().invoke(app, ["validate", str(DEFAULT)])
    assert result.exit_code == 0
    assert result.output.startswith("valid default ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            b"name: x\ndefaults: {review: 0.5, block: 0.8}\ncategories:\n  hatte: {}\n",
            ":4:3: categories.hatte: unknown category",
        ),
        (b"name: \xff\n", ":1:1: not UTF-8"),
        (b"", ":1:1: a policy is a mapping"),
    ],
)
def test_a_mistake_ends_with_its_place_and_exit_code_1(tmp_path: Path, text: bytes, expected: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(text)
    result = CliRunner().invoke(app, ["validate", str(path)])
    assert result.exit_code == 1
    assert expected in result.output


def test_a_policy_is_shown_with_floors_and_rules_applied() -> None:
    result = CliRunner().invoke(app, ["show", str(DEFAULT), "--tier", "trusted"], terminal_width=200)
    assert result.exit_code == 0
    assert "undress-person pair → BLOCK manipulation" in result.output


def test_an_unknown_tier_is_wrong_usage() -> None:
    assert CliRunner().invoke(app, ["show", str(DEFAULT), "--tier", "old"]).exit_code == 2
