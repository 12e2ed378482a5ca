"""The threat model names, for every threat, tests that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NOT_PREVENTED = "not prevented"


def rows() -> Iterator[list[str]]:
    """The cells of every row of every table whose last column says what tests it."""
    tested = False
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            tested = False
        elif cells[-1] in ("tested in", "test"):
            tested = True
        elif tested and not set(cells[0]) <= {"-"}:
            yield cells


def named(cell: str) -> Iterator[str]:
    """The files of a cell, `…` written out as the folder of the one before; with `::test` where one is named."""
    folder = ""
    for name in re.findall(r"`([^`]+)`", cell):
        if not re.search(r"\.py|/$", name):
            continue
        path = name.replace("…", folder, 1) if name.startswith("…") else name
        folder = path.partition("::")[0].rpartition("/")[0]
        yield path


@cache
def functions_of(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: cells[0][:60])
def test_every_threat_names_tests_that_exist(cells: list[str]) -> None:
    if cells[-1] == NOT_PREVENTED:
        return
    paths = list(named(cells[-1]))
    assert paths, "a threat without a test"
    for path in paths:
        file, _, test = path.partition("::")
        assert (ROOT / file).exists(), f"{file} is not there"
        assert not test or test in functions_of(ROOT / file), f"{file} has no {test}"


def test_there_are_doors_and_threats() -> None:
    assert len(list(rows())) > 100
    assert TEXT.count("\n## ") >= 10
