"""`python -m tests.fuzz TARGET [libFuzzer's flags] CORPUS`: any bytes for one target, guided by coverage (atheris).

A target is a module here: `WATCHED` are the packages whose branches guide the search, `seeds` what the corpus begins
with, `taken` whether one input is let in. Any exception, a crash, a hang or a pile of memory is a finding.
"""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path

import atheris


def main() -> None:
    """Runs until libFuzzer's flags say enough."""
    name, corpus = sys.argv[1], Path(sys.argv[-1])
    with atheris.instrument_imports(include=watched(name)):
        target = import_module(f"tests.fuzz.{name}")
    corpus.mkdir(parents=True, exist_ok=True)
    for seed, data in target.seeds().items():
        (corpus / seed).write_bytes(data)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], lambda data: target.taken(data) and None)
    atheris.Fuzz()


def watched(name: str) -> list[str]:
    """`WATCHED` of a target, read without importing it: what it imports must be instrumented first."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text())
    values = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "WATCHED"
    )
    return list(ast.literal_eval(next(values)))


if __name__ == "__main__":
    main()
