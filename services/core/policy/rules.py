"""Rules of a policy: CEL expressions that are checked when the policy is loaded and run on every request.

A rule sees `stage`, `tier`, `capabilities` (list of missing abilities) and `scores` (highest score by name). Two ways
to read a score: `scores["x"]`, which must have been measured, and `score("x", d)`, which is d where it was not.

Three-valued: an unmeasured `scores["x"]` is *unknown*. CEL itself settles `unknown && false` (false) and
`unknown || true` (true). A rule whose value stays unknown fires, because unknown is not safe. Any other error in a rule
blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import product
from typing import Any

import cel

from services.core.policy.categories import STAGES, Stage
from services.core.policy.concepts import RULE_NAMES, is_rule_name
from services.core.policy.fields import unknown
from services.core.policy.limits import TIERS
from services.core.policy.schema import Rule
from services.core.verdicts import Tier

VARIABLES = frozenset({"stage", "tier", "capabilities", "scores"})
FUNCTIONS = frozenset({"score", "size", "startsWith", "endsWith", "contains", "double", "int"})

_LITERAL = r"\s*(?:\"([^\"\\]*)\"|'([^'\\]*)')\s*"
_STRINGS = re.compile(r"\"[^\"\\]*\"|'[^'\\]*'")
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_READ = re.compile(rf"\bscore\s*\({_LITERAL},|\bscores\s*\[{_LITERAL}\]|{_LITERAL}in\s+scores\b")
_MENTION = re.compile(r"\bscores?\b")
_COMPARED = re.compile(rf"\b(stage|tier)\s*[=!]={_LITERAL}")


class Outcome(Enum):
    """What a rule says of a request."""

    FIRED = "fired"
    PASSED = "passed"
    UNKNOWN = "unknown"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its program and the names whose scores it reads, in the order of the text."""

    rule: Rule
    program: cel.Program
    reads: tuple[str, ...]

    def run(self, context: cel.Context) -> Outcome:
        """Evaluate once. Never raises: an expression that fails is an outcome, and not a harmless one."""
        try:
            value = self.program.execute(context)
        except KeyError:
            return Outcome.UNKNOWN
        except Exception:  # the library raises many types; each of them closes the gate
            return Outcome.ERROR
        if value is True:
            return Outcome.FIRED
        return Outcome.PASSED if value is False else Outcome.ERROR


def context_for(stage: Stage, tier: Tier, scores: Mapping[str, float], capabilities: tuple[str, ...]) -> cel.Context:
    """What the rules of one request see; made once, shared by all of them."""

    def score(name: str, otherwise: float) -> float:
        return scores.get(name, otherwise)

    variables = {"stage": stage, "tier": tier, "scores": dict(scores), "capabilities": list(capabilities)}
    return cel.Context(variables=variables, functions={"score": score})


def reads_of(expression: str) -> tuple[str, ...]:
    """The names of all scores that the expression reads."""
    found = (next(group for group in match.groups() if group is not None) for match in _READ.finditer(expression))
    return tuple(dict.fromkeys(found))


def compile_rule(rule: Rule) -> tuple[CompiledRule | None, list[str]]:
    """Compile and check one rule: the compiled rule, or None and what is wrong with it."""
    try:
        program = cel.compile(rule.when)
    except ValueError as error:
        return None, [_syntax(str(error))]
    mistakes = [*_unknown_names(rule.when, program), *_bad_values(rule.when)]
    if not mistakes:
        mistakes = _trial(program)
    return (None, mistakes) if mistakes else (CompiledRule(rule, program, reads_of(rule.when)), [])


def _syntax(text: str) -> str:
    """`line:column: what` of the library's message, without its drawing."""
    match = re.search(r"ERROR: <input>:(\d+):(\d+): (.*)", text)
    return f"not valid CEL, line {match[1]} column {match[2]} of the expression: {match[3]}" if match else text


def _unknown_names(expression: str, program: cel.Program) -> Iterator[str]:
    if _LOOP.search(_STRINGS.sub("''", expression)):
        yield "loops (all, exists, map, filter) are not allowed: write the names out with || or &&"
        return
    references = program.references()
    for name in references["variables"]:
        if name not in VARIABLES:
            yield unknown("variable", name, VARIABLES)
    for name in references["functions"]:
        if name.isidentifier() and not name.startswith("_") and name not in FUNCTIONS:
            yield unknown("function", name, FUNCTIONS)


def _bad_values(expression: str) -> Iterator[str]:
    for name in reads_of(expression):
        if not is_rule_name(name):
            yield unknown("score", name, RULE_NAMES)
    if len(_MENTION.findall(_STRINGS.sub("''", expression))) != len(_READ.findall(expression)):
        yield 'scores are read by literal name: score("sexual", 0.0), scores["sexual"] or "sexual" in scores'
    known: dict[str, tuple[str, ...]] = {"stage": STAGES, "tier": TIERS}
    for variable, first, second in _COMPARED.findall(expression):
        if (first or second) not in known[variable]:
            yield unknown(variable, first or second, known[variable])


def _trial(program: cel.Program) -> list[str]:
    """Run on typical requests: what fails on one of them would fail in front of a user."""
    for context in _typical():
        try:
            value: Any = program.execute(context)
        except KeyError:
            continue
        except Exception as error:  # of whatever type: a rule that fails here is refused
            return [f"fails on a typical request: {error}"]
        if not isinstance(value, bool):
            return [f"must be true or false, not {type(value).__name__}"]
    return []


@cache
def _typical() -> tuple[cel.Context, ...]:
    """Requests of every stage and tier: nothing measured, nothing found, everything a little, and more."""
    samples: list[dict[str, float]] = [{}, *(dict.fromkeys(RULE_NAMES, value) for value in (0.0, 0.25, 0.5, 1.0))]
    return tuple(context_for(*typical, ()) for typical in product(STAGES, TIERS, samples))
