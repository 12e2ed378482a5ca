"""Tries the rules of a policy on their own examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from services.core.policy.document import Policy
from services.core.policy.rules import CompiledRule, Outcome, context_for
from services.core.policy.schema import Example
from services.core.signals import Signal

Measure = Callable[[str], Iterable[Signal]]


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one example: whether the rule was to fire, and what it did."""

    rule: str
    example: Example
    wanted: bool
    outcome: Outcome

    @property
    def right(self) -> bool:
        """An outcome that is neither (an error, an unknown) is never right."""
        return self.outcome is (Outcome.FIRED if self.wanted else Outcome.PASSED)


def try_examples(policy: Policy, measure: Measure) -> Iterator[Tried]:
    """Every example of every rule, in the order of the document; `measure` says what an edit's words come to."""
    for compiled in policy.rules:
        if examples := compiled.rule.examples:
            for wanted, group in ((True, examples.fires), (False, examples.passes)):
                for example in group:
                    yield Tried(compiled.rule.name, example, wanted, _run(compiled, example, measure))


def _run(compiled: CompiledRule, example: Example, measure: Measure) -> Outcome:
    scores: dict[str, float] = {}
    for signal in measure(example.prompt) if example.prompt else ():
        scores[signal.category] = max(signal.score, scores.get(signal.category, 0.0))
    capabilities = tuple(example.capabilities)
    return compiled.run(context_for(compiled.rule.stages[0], "new", scores | example.scores, capabilities))
