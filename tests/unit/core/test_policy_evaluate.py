from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.policy.categories import CATEGORIES, STAGES, Stage
from services.core.policy.document import Policy, load_policy
from services.core.policy.evaluate import evaluate
from services.core.policy.limits import TIERS
from services.core.signals import Box, Measurement, Signal, TextSpan
from services.core.verdicts import Judgement, Tier, Verdict

POLICIES = Path(__file__).parents[3] / "policies"
DEFAULT = load_policy((POLICIES / "default.yaml").read_text(), "default.yaml")
HEAD = "name: test\ndefaults:\n  review: {new: 0.5, trusted: 0.6}\n  block: 0.8\n"


def policy(body: str = "") -> Policy:
    return load_policy(HEAD + body, "policy.yaml")


def rule(when: str, extra: str = "", verdict: str = "BLOCK") -> Policy:
    return policy(
        f"rules:\n  - name: one\n    category: violence\n    verdict: {verdict}\n    message: No.\n"
        f"    when: '{when}'\n{extra}"
    )


def judge(
    chosen: Policy,
    scores: dict[str, float],
    stage: Stage = "prompt",
    tier: Tier = "new",
    capabilities: tuple[str, ...] = (),
) -> Judgement:
    signals = tuple(Signal(category, score, "test/1") for category, score in scores.items())
    return evaluate(chosen, stage, tier, Measurement(signals, (), capabilities=capabilities))


@pytest.mark.parametrize(
    ("score", "verdict"),
    [(0.0, Verdict.ALLOW), (0.49, Verdict.ALLOW), (0.5, Verdict.REVIEW), (0.79, Verdict.REVIEW), (0.8, Verdict.BLOCK)],
)
def test_a_score_that_reaches_a_threshold_fires(score: float, verdict: Verdict) -> None:
    assert judge(policy(), {"hate": score}).verdict is verdict


def test_no_signals_allow() -> None:
    assert judge(policy(), {}) == Judgement(Verdict.ALLOW)


def test_a_tier_has_its_own_threshold() -> None:
    assert judge(policy(), {"hate": 0.55}, tier="trusted").verdict is Verdict.ALLOW


def test_a_tier_that_is_not_named_gets_the_strictest() -> None:
    assert judge(policy(), {"hate": 0.55}, tier="red_team").verdict is Verdict.REVIEW


def test_a_child_inherits_from_its_parent_and_may_differ() -> None:
    chosen = policy("categories:\n  violence: {block: 0.7}\n  hate: {block: 0.7}\n  hate.symbols: {block: 0.9}\n")
    assert judge(chosen, {"violence.graphic": 0.75}).verdict is Verdict.BLOCK
    assert judge(chosen, {"hate.symbols": 0.75}).verdict is Verdict.REVIEW


def test_a_parents_exception_for_a_stage_holds_for_the_child() -> None:
    chosen = policy("categories:\n  violence: {stages: {output: {block: 0.6}}}\n")
    assert judge(chosen, {"violence.graphic": 0.7}, stage="output").verdict is Verdict.BLOCK
    assert judge(chosen, {"violence.graphic": 0.7}, stage="upload").verdict is Verdict.REVIEW


def test_never_leaves_the_highest_score_to_a_person() -> None:
    judgement = judge(policy("categories:\n  evasion: {block: never}\n"), {"evasion": 1.0})
    assert (judgement.verdict, judgement.held) == (Verdict.REVIEW, True)


def test_a_review_is_released_only_if_every_reason_says_so() -> None:
    chosen = policy("categories:\n  spam: {action: release}\n")
    assert not judge(chosen, {"spam": 0.6}).held
    assert judge(chosen, {"spam": 0.6, "hate": 0.6}).held


def test_all_reasons_are_listed_most_severe_first() -> None:
    judgement = judge(policy(), {"hate": 0.6, "violence": 0.9, "spam": 0.7, "illegal": 0.1})
    assert [reason.category for reason in judgement.reasons] == ["violence", "spam", "hate"]
    assert judgement.reasons[0].threshold == 0.8
    assert judgement.reasons[0].message == "The text shows or praises violence."


def test_evidence_comes_from_the_signals_that_reached_the_threshold() -> None:
    spans = [TextSpan(0, 1), TextSpan(1, 2), TextSpan(2, 3)]
    signals = tuple(Signal("hate", score, "t", span) for score, span in zip((0.6, 0.9, 0.2), spans, strict=True))
    (reason,) = evaluate(
        policy("categories:\n  hate: {block: 0.95}\n"), "prompt", "new", Measurement(signals, ())
    ).reasons
    assert reason.evidence == (spans[1], spans[0])


def test_evidence_is_not_shown_where_the_policy_hides_it() -> None:
    signals = (Signal("illegal", 0.9, "t", TextSpan(0, 4)), Signal("sexual.minors", 0.9, "t", Box(0, 0, 1, 1)))
    judgement = evaluate(policy("categories:\n  illegal: {show: false}\n"), "pair", "new", Measurement(signals, ()))
    assert [reason.evidence for reason in judgement.reasons] == [(), ()]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, -0.1, 1.1])
def test_a_score_that_is_no_probability_counts_as_one(score: float) -> None:
    judgement = judge(policy(), {"hate": score})
    assert (judgement.verdict, judgement.reasons[0].score) == (Verdict.BLOCK, 1.0)


def test_an_unknown_child_is_judged_as_its_parent() -> None:
    assert judge(policy(), {"violence.weapons": 0.6}).verdict is Verdict.REVIEW


def test_an_unknown_category_is_refused_whatever_its_score() -> None:
    assert judge(policy(), {"novelty": 0.01}).verdict is Verdict.BLOCK


def test_measurements_are_never_thresholded() -> None:
    assert judge(policy(), {"concept.photo": 1.0, "concept.whatever": 1.0}).verdict is Verdict.ALLOW


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("tier", TIERS)
def test_minors_are_refused_from_the_floor_on_under_any_policy(stage: Stage, tier: Tier) -> None:
    lax = load_policy(
        "name: lax\ndefaults: {review: 0.98, block: never}\ncategories: {sexual: {block: never}}\n", "lax"
    )
    for chosen in (lax, DEFAULT):
        assert judge(chosen, {"sexual.minors": 0.3}, stage, tier).verdict is Verdict.BLOCK


def test_a_rule_fires_with_its_name_message_and_evidence() -> None:
    chosen = rule('score("concept.photo", 1.0) >= 0.5 && score("hate", 0.0) >= 0.2')
    signals = (Signal("concept.photo", 0.9, "t"), Signal("hate", 0.3, "t", TextSpan(2, 5)))
    (reason,) = evaluate(chosen, "prompt", "new", Measurement(signals, ())).reasons
    assert (reason.rule, reason.message, reason.threshold) == ("one", "No.", 0.0)
    assert (reason.score, reason.evidence) == (0.9, (TextSpan(2, 5),))


def test_a_rule_holds_only_at_its_stages() -> None:
    chosen = rule("true", "    stages: [pair]\n")
    assert judge(chosen, {}, stage="prompt").verdict is Verdict.ALLOW
    assert judge(chosen, {}, stage="pair").verdict is Verdict.BLOCK


def test_a_rule_sees_stage_tier_and_capabilities() -> None:
    chosen = rule('stage == "output" && tier == "trusted" && "no-joint-encoder" in capabilities')
    assert judge(chosen, {}, "output", "trusted", ("no-joint-encoder",)).verdict is Verdict.BLOCK
    assert judge(chosen, {}, "output", "trusted").verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    ("when", "verdict"),
    [
        ('scores["hate"] >= 0.5', Verdict.REVIEW),  # unknown: fires
        ('scores["hate"] >= 0.5 && false', Verdict.ALLOW),  # unknown && false: false
        ('scores["hate"] >= 0.5 && tier == "trusted"', Verdict.ALLOW),
        ('!(scores["hate"] >= 0.5)', Verdict.REVIEW),  # not unknown: unknown
        ('scores["hate"] >= 0.5 || true', Verdict.REVIEW),
        ('"hate" in scores && scores["hate"] >= 0.5', Verdict.ALLOW),
        ('score("hate", 0.0) >= 0.5', Verdict.ALLOW),
        ('score("hate", 1.0) >= 0.5', Verdict.REVIEW),
    ],
)
def test_what_was_not_measured_is_unknown_and_unknown_is_not_safe(when: str, verdict: Verdict) -> None:
    assert judge(rule(when, verdict="REVIEW"), {}).verdict is verdict


def test_a_rule_that_fails_at_run_time_blocks_and_names_itself() -> None:
    # 1/0 lies behind a capability that no trial run has
    chosen = rule('"odd" in capabilities && 1 / int(score("hate", 0.0)) == 7', verdict="REVIEW")
    judgement = judge(chosen, {}, capabilities=("odd",))
    assert (judgement.verdict, judgement.reasons[0].rule) == (Verdict.BLOCK, "one")


scores = st.dictionaries(
    st.sampled_from([*CATEGORIES, "concept.photo", "concept.add_person", "concept.undress", "concept.stage_event"]),
    st.floats(0, 1),
    max_size=8,
)


@given(scores, st.sampled_from(STAGES), st.sampled_from(TIERS))
def test_the_same_in_gives_the_same_out(given_scores: dict[str, float], stage: Stage, tier: Tier) -> None:
    assert judge(DEFAULT, given_scores, stage, tier) == judge(
        DEFAULT, dict(reversed(given_scores.items())), stage, tier
    )


@given(scores, st.sampled_from(sorted(CATEGORIES)), st.sampled_from(STAGES), st.sampled_from(TIERS))
def test_a_higher_score_never_gets_a_milder_verdict(
    given_scores: dict[str, float], category: str, stage: Stage, tier: Tier
) -> None:
    higher = {**given_scores, category: min(1.0, given_scores.get(category, 0.0) + 0.3)}
    assert judge(DEFAULT, higher, stage, tier).verdict >= judge(DEFAULT, given_scores, stage, tier).verdict


@given(scores, st.sampled_from(STAGES))
def test_new_accounts_are_never_judged_more_mildly_by_the_default(given_scores: dict[str, float], stage: Stage) -> None:
    assert judge(DEFAULT, given_scores, stage, "new").verdict >= judge(DEFAULT, given_scores, stage, "trusted").verdict


@pytest.mark.parametrize("category", sorted(CATEGORIES))
@pytest.mark.parametrize("stage", STAGES)
def test_no_check_of_the_default_is_off(category: str, stage: Stage) -> None:
    judgement = judge(DEFAULT, {category: 1.0}, stage)
    assert judgement.verdict is Verdict.BLOCK or (judgement.verdict is Verdict.REVIEW and judgement.held)


def test_a_disguise_alone_is_looked_at_and_what_it_hides_refused() -> None:
    assert judge(DEFAULT, {"evasion": 0.9}).verdict is Verdict.REVIEW
    assert judge(DEFAULT, {"evasion": 0.9, "sexual": 0.35}).verdict is Verdict.BLOCK


@pytest.mark.parametrize("name", ["default", "strict", "education"])
@pytest.mark.parametrize("stage", ["upload", "output"])
def test_a_second_opinion_on_a_picture_holds_it_and_never_refuses(name: str, stage: Stage) -> None:
    """Given a guard that is sure and a detector that is not, when a policy judges, then a person looks."""
    document = load_policy((POLICIES / f"{name}.yaml").read_text(), name)
    signals = (Signal("sexual", 0.11, "nudenet/1"), Signal("concept.picture_opinion", 1.0, "opinion/1"))
    judged = evaluate(document, stage, "new", Measurement(signals, ()))
    assert (judged.verdict, judged.held) == (Verdict.REVIEW, True)
    assert [reason.rule for reason in judged.reasons] == ["second-opinion-on-picture"]
