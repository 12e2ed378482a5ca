"""Load a policy: YAML text → checked, content-addressed `Policy`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from services.core.policy.concepts import REVIEW_ONLY
from services.core.policy.fields import Mistake
from services.core.policy.floors import ALWAYS_BLOCK
from services.core.policy.limits import LimitTable, resolve
from services.core.policy.positions import Located, PolicyError, Problem, parse
from services.core.policy.review_rules import review_mistakes
from services.core.policy.rules import CompiledRule, compile_rule
from services.core.policy.schema import PolicyDocument, Rule

__all__ = ["Policy", "PolicyError", "Problem", "load_policy"]

# Sections that came later: left out where they say what holds without them, so that older policies keep their id.
_LATER = (
    "prompt_model",
    "learning",
    "review",
    "limits",
    "standing",
    "anomalies",
    "notices",
    "complaints",
    "diversity",
    "signature",
)


@dataclass(frozen=True, slots=True)
class Policy:
    """A valid policy. `id` is the sha256 of its canonical form in hex; `text` is the YAML it came from."""

    id: str
    document: PolicyDocument
    text: str
    limits: LimitTable
    rules: tuple[CompiledRule, ...]


def canonical(document: PolicyDocument) -> str:
    """Canonical JSON: sorted keys, rules by name, shorthand written out; comments and order leave no trace."""
    plain = document.model_dump(mode="json")
    for later in _LATER:
        if getattr(document, later) == PolicyDocument.model_fields[later].default:
            del plain[later]
    plain["rules"] = sorted(plain["rules"], key=lambda rule: str(rule["name"]))
    for rule in plain["rules"]:
        rule["stages"] = sorted(set(rule["stages"]))
        del rule["examples"]
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def load_policy(text: str, source_name: str) -> Policy:
    """Parse, check and compile a policy.

    Args:
        text: one YAML document of at most 262,144 characters.
        source_name: how messages call it, a file name or a policy id.

    Raises:
        PolicyError: with every mistake at its line and column.
    """
    located = parse(text, source_name)
    try:
        document = PolicyDocument.model_validate(located.data)
    except ValidationError as error:
        raise PolicyError(source_name, [_problem(located, details) for details in error.errors()]) from error
    limits, mistakes = resolve(document)
    compiled, rule_mistakes = _compile(document.rules)
    problems = [
        located.problem(path, message)
        for path, message in (*mistakes, *rule_mistakes, *review_mistakes(document.review))
    ]
    if problems:
        raise PolicyError(source_name, problems)
    digest = hashlib.sha256(canonical(document).encode()).hexdigest()
    return Policy(digest, document, text, limits, compiled)


def _problem(located: Located, details: ErrorDetails) -> Problem:
    """A pydantic error at its place in the text; keys that should not be there are pointed at themselves."""
    location = details["loc"]
    at_key = details["type"] == "extra_forbidden" or location[-1:] == ("[key]",)
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "missing":
        message = f"{location[-1]!r} is missing"
    elif details["type"] == "extra_forbidden":
        message = f"unknown key {location[-1]!r}"
    return located.problem(location, message, at_key=at_key)


def _compile(rules: list[Rule]) -> tuple[tuple[CompiledRule, ...], list[Mistake]]:
    compiled: list[CompiledRule] = []
    mistakes: list[Mistake] = []
    names: set[str] = set()
    for index, rule in enumerate(rules):
        done, wrong = compile_rule(rule)
        mistakes.extend((("rules", index, "when"), message) for message in wrong)
        if rule.name in names:
            mistakes.append((("rules", index, "name"), f"rule {rule.name!r} is here twice: names are unique"))
        if rule.category in ALWAYS_BLOCK and rule.verdict != "BLOCK":
            mistakes.append((("rules", index, "verdict"), f"rules of {rule.category} must BLOCK"))
        if done is not None and rule.verdict != "REVIEW" and (read := REVIEW_ONLY.intersection(done.reads)):
            mistakes.append((("rules", index, "verdict"), f"rules that read {min(read)} may only REVIEW"))
        names.add(rule.name)
        if done is not None:
            compiled.append(done)
    return tuple(compiled), mistakes
