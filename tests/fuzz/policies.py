"""Any text as a policy, and as the CEL expression of one of its rules.

It is refused with PolicyError at places inside the text, or it is a policy that judges every stage and tier, refuses
what sexualises minors, and has the same id when it is read again. More than two seconds for one text is a finding.
"""

from __future__ import annotations

import json
import random
import time

from services.core.policy.categories import STAGES
from services.core.policy.concepts import RULE_NAMES
from services.core.policy.document import Policy, PolicyError, load_policy
from services.core.policy.evaluate import evaluate
from services.core.policy.limits import TIERS
from services.core.signals import Measurement, Signal
from services.core.verdicts import Verdict

WATCHED = ("services.core.policy", "yaml")
_SECONDS = 2.0
_RULE = "name: p\ndefaults: {review: 0.5, block: 0.8}\nrules:\n"
_EXPRESSIONS = (
    'score("violence", 0.0) > 0.5 && stage == "prompt"',
    'scores["sexual"] >= 0.25 || "hate" in scores',
    'tier != "trusted" && size(capabilities) > 0',
    '!(score("political", 1.0) < 0.3) ? true : false',
)


def taken(data: bytes) -> bool:
    """A document; or, after a first byte of `=`, the expression of a rule."""
    text = data.decode("utf-8", "replace")
    if text.startswith("="):
        rule = {"name": "r", "when": text[1:], "category": "violence", "verdict": "REVIEW", "message": "m"}
        text = _RULE + f"  - {json.dumps(rule)}\n"
    begin = time.process_time()
    try:
        policy = load_policy(text, "fuzz")
    except PolicyError as error:
        _check_places(error, text)
        return False
    finally:
        assert time.process_time() - begin < _SECONDS
    assert load_policy(text, "again").id == policy.id
    _judge(policy, random.Random(data))
    return True


def _check_places(error: PolicyError, text: str) -> None:
    """A PolicyError says at least one thing, inside the text."""
    lines = sum(map(text.count, "\n\r\x85\u2028\u2029")) + 1
    assert error.problems
    assert all(1 <= problem.line <= lines and problem.column >= 1 for problem in error.problems)


def _judge(policy: Policy, dice: random.Random) -> None:
    for stage in STAGES:
        for tier in TIERS:
            measured = {name: dice.random() for name in dice.sample(sorted(RULE_NAMES), 5)}
            signals = tuple(Signal(name, score, "fuzz") for name, score in measured.items())
            judged = evaluate(policy, stage, tier, Measurement(signals, ()))
            assert judged.verdict is max((reason.verdict for reason in judged.reasons), default=Verdict.ALLOW)
            certain = evaluate(policy, stage, tier, Measurement((Signal("sexual.minors", 1.0, "fuzz"),), ()))
            assert certain.verdict is Verdict.BLOCK


def seeds() -> dict[str, bytes]:
    """Small policies with every section, and expressions."""
    documents = (
        "name: p\ndefaults: {review: 0.5, block: 0.8}\n",
        "name: p\ndefaults:\n  review: 0.5\n  block: 0.8\ncategories:\n  violence: {review: 0.3, block: 0.9}\n",
        _RULE + "  - {name: r, when: 'true', category: spam, verdict: BLOCK, message: m, stages: [prompt]}\n",
        "name: p\ndefaults: {review: 0.5, block: 0.8}\nreview: {queues: {default: {second_review: 0.1}}}\n",
        "name: p\ndefaults: {review: 0.5, block: 0.8}\nlimits: {}\nstanding: {jitter: 0.2}\nnotices: {}\n",
    )
    return {
        **{f"document-{number}": text.encode() for number, text in enumerate(documents)},
        **{f"expression-{number}": f"={text}".encode() for number, text in enumerate(_EXPRESSIONS)},
    }
