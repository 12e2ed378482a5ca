"""Prints docs/combo-rules.md: every rule on pairs with its reason and its examples. Run by `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from services.core.policy.document import load_policy
from services.core.policy.schema import Example, Rule

POLICY = Path(__file__).resolve().parents[1] / "policies/default.yaml"
HEADER = """# The rules on pairs

What the default policy says of a prompt and a picture together, written from `policies/default.yaml` by `make docs`.
`portcullis policy test policies/default.yaml` tries every example; a score that is not named counts as not measured,
and a picture that nobody could tell from a photograph counts as one. [How the scores come about](combo-filter.md).
"""


def main() -> None:
    """Prints the page."""
    policy = load_policy(POLICY.read_text(encoding="utf-8"), POLICY.name)
    sys.stdout.write(HEADER)
    for rule in policy.document.rules:
        if rule.stages == ["pair"]:
            sys.stdout.write("\n" + "\n".join(_section(rule)) + "\n")


def _section(rule: Rule) -> Iterator[str]:
    yield f"## {rule.name}\n"
    yield f"{rule.message} **{rule.verdict}**, filed under `{rule.category}`.\n"
    yield f"```cel\n{rule.when.strip()}\n```\n"
    if rule.examples:
        yield "| | words | beside |\n|---|---|---|"
        for kind, examples in (("fires", rule.examples.fires), ("passes", rule.examples.passes)):
            yield from (_row(kind, example) for example in examples)


def _row(kind: str, example: Example) -> str:
    beside = [f"`{name}` {score:g}" for name, score in example.scores.items()]
    beside += [f"`{capability}`" for capability in example.capabilities]
    return f"| {kind} | {example.prompt} | {', '.join(beside)} |"


if __name__ == "__main__":
    main()
