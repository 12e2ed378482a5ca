from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.core.policy.anomaly_rules import AnomalyRules
from services.core.policy.document import PolicyError, load_policy

POLICIES = sorted((Path(__file__).parents[3] / "policies").glob("*.yaml"))
HEAD = "name: test\ndefaults:\n  review: 0.5\n  block: 0.8\n"
RULE = "rules:\n  - name: one\n    category: violence\n    verdict: BLOCK\n    message: No.\n    when: {when}\n"


def mistakes(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(PolicyError) as caught:
        load_policy(text, "policy.yaml")
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def only_mistake(text: str) -> tuple[int, int, str]:
    found = mistakes(text)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_every_policy_that_ships_is_valid(path: Path) -> None:
    assert load_policy(path.read_text(), path.name).document.name == path.stem


@pytest.mark.parametrize(
    ("body", "line", "column", "message"),
    [
        ("categories:\n  viloence:\n    block: 0.7\n", 6, 3, "unknown category 'viloence': did you mean 'violence'"),
        ("categories:\n  hate:\n    blok: 0.7\n", 7, 5, "unknown key 'blok'"),
        ("categories:\n  hate:\n    block: 1.5\n", 7, 12, "threshold 1.5 is out of range"),
        ("categories:\n  hate:\n    block: 1\n", 7, 12, "threshold 1 is out of range"),
        ("categories:\n  hate:\n    review: 0\n", 7, 13, "threshold 0 is out of range"),
        ("categories:\n  hate:\n    block: {new: 0.7, trusted: -1}\n", 7, 32, "threshold -1 is out of range"),
        ("categories:\n  hate:\n    review: .nan\n", 7, 13, "finite"),
        ("categories:\n  hate:\n    block: .inf\n", 7, 12, "out of range"),
        ("categories:\n  hate:\n    block: .nan\n", 7, 12, "out of range"),
        ("categories:\n  hate:\n    review: 0.9\n", 7, 13, "review 0.9 is above block 0.8"),
        ("categories:\n  hate:\n    block: 0.4\n", 7, 12, "review 0.5 is above block 0.4"),
        ("categories:\n  hate:\n    block: never\n    action: release\n", 7, 12, "never needs action: hold"),
        ("categories:\n  hate:\n    review: never\n", 7, 13, "valid number"),
        ("categories:\n  hate:\n    review: true\n", 7, 13, "valid number"),
        ("categories:\n  hate: {action: relase}\n", 6, 18, "'hold' or 'release'"),
        ("categories:\n  hate: {stages: {promt: {block: 0.9}}}\n", 6, 19, "'prompt', 'upload'"),
        ("categories:\n  language: {stages: {upload: {block: 0.9}}}\n", 6, 31, "cannot arise at stage upload"),
        ("categories:\n  sexual.minors: {block: 0.5, review: 0.1}\n", 6, 26, "floor"),
        ("categories:\n  sexual.minors: {block: never, review: 0.1}\n", 6, 26, "floor"),
        ("categories:\n  hate: {}\n  hate: {}\n", 7, 3, "twice"),
        ("categories:\n  hate: &h {block: 0.9}\n  spam: *h\n", 7, 9, "alias"),
        ("categories:\n  hate: [\n", 7, 1, "not valid YAML"),
        ("rules: 3\n", 5, 8, "valid list"),
    ],
)
def test_a_mistake_is_named_at_its_line_and_column(body: str, line: int, column: int, message: str) -> None:
    found = only_mistake(HEAD + body)
    assert found[:2] == (line, column), found
    assert message in found[2]


def test_the_error_reads_like_a_compilers() -> None:
    with pytest.raises(PolicyError, match=r"mine\.yaml:6:3: categories\.hat: unknown category 'hat'"):
        load_policy(HEAD + "categories:\n  hat: {}\n", "mine.yaml")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    found = mistakes(HEAD + "categories:\n  hat: {}\n  spam: {block: 7}\n  illegal: {blok: 1}\n")
    assert [line for line, _, _ in found] == [6, 7, 8]


@pytest.mark.parametrize(
    "text", ["", "- 1\n", "3", "name: x\n", "a: b: c", "\x00", "name: x\ndefaults: {review: 0.5}\n"]
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    assert mistakes(text)


def test_a_tier_map_needs_the_new_accounts() -> None:
    assert any(
        "'new' is missing" in message
        for _, _, message in mistakes(HEAD + "categories:\n  hate: {block: {trusted: 0.9}}\n")
    )


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ('score("violence", 0.0) >', "not valid CEL, line 1 column"),
        ('scor("violence", 0.0) > 0.5', "unknown function 'scor': did you mean 'score'"),
        ("photo > 0.5", "unknown variable 'photo'"),
        ("false && photo > 0.5", "unknown variable 'photo'"),
        ('score("viloence", 0.0) > 0.5', "unknown score 'viloence': did you mean 'violence'"),
        ('scores["concept.phto"] > 0.5', "unknown score 'concept.phto': did you mean 'concept.photo'"),
        ('"concept.phto" in scores', "unknown score 'concept.phto'"),
        ("score(tier, 0.0) > 0.5", "literal name"),
        ("scores.violence > 0.5", "literal name"),
        ('["a"].exists(k, k == tier)', "loops"),
        ("1 / 0 == 1", "division by zero"),
        ('1 / int(score("violence", 0.0)) == 1', "division by zero"),
        ('score("violence", 0.0)', "must be true or false, not float"),
        ("tier + 1 == 2", "Unsupported operation"),
        ('stage == "promt"', "unknown stage 'promt': did you mean 'prompt'"),
        ('tier != "old"', "unknown tier 'old'"),
    ],
)
def test_a_bad_rule_is_refused_when_the_policy_is_loaded(when: str, message: str) -> None:
    line, _, found = only_mistake(HEAD + RULE.format(when=f"'{when}'"))
    assert line == 10
    assert message in found


def test_two_rules_of_one_name_are_refused() -> None:
    twice = RULE.format(when="'true'") + RULE.format(when="'true'").removeprefix("rules:\n")
    assert only_mistake(HEAD + twice) == (11, 11, "rule 'one' is here twice: names are unique")


def test_a_rule_about_minors_must_block() -> None:
    text = RULE.format(when="'true'").replace("violence", "sexual.minors").replace("BLOCK", "REVIEW")
    assert only_mistake(HEAD + text)[2] == "rules of sexual.minors must BLOCK"


@pytest.mark.parametrize(
    "when", ['score("concept.picture_opinion", 0.0) > 0.9', 'scores["concept.picture_opinion"] > 0.9']
)
def test_a_second_opinion_on_a_picture_can_only_call_a_person(when: str) -> None:
    _, _, message = only_mistake(HEAD + RULE.format(when=f"'{when}'"))
    assert message == "rules that read concept.picture_opinion may only REVIEW"


def test_a_rule_cannot_allow() -> None:
    assert "'REVIEW' or 'BLOCK'" in only_mistake(HEAD + RULE.format(when="'true'").replace("BLOCK", "ALLOW"))[2]


def test_the_id_does_not_know_order_comments_or_shorthand() -> None:
    one = load_policy(HEAD + "categories:\n  hate: {block: 0.9}\n  spam: {review: 0.6}\n", "one")
    two = load_policy(
        "# a comment\ncategories:\n  spam: {review: {trusted: 0.6, new: 0.60}}\n"
        "  hate:\n    block: {new: 0.9, trusted: 0.9, red_team: 0.9}\n"
        "defaults: {block: 0.8, review: 0.5, action: hold}\nname: test\n",
        "two",
    )
    assert one.id == two.id


def test_keys_that_came_later_leave_the_ids_of_older_policies_alone() -> None:
    assert load_policy(HEAD, "old").id == "2b953bd6b70f29fb3d161550e9b02d1954398f8a75ccb0039b5979ffe69c35ef"
    assert load_policy(HEAD + "learning: false\n", "said").id == load_policy(HEAD, "old").id
    assert load_policy(HEAD + "learning: true\n", "other").id != load_policy(HEAD, "old").id


@given(first=st.floats(0.51, 0.98), second=st.floats(0.51, 0.98))
def test_policies_that_differ_have_other_ids(first: float, second: float) -> None:
    text = HEAD + "categories:\n  hate: {{block: {!r}}}\n"
    same = load_policy(text.format(first), "a").id == load_policy(text.format(second), "b").id
    assert same == (first == second)


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_a_policy_error(text: str) -> None:
    with pytest.raises(PolicyError):
        load_policy(text, "fuzz")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "defaults", "review", "block", "categories", "hate", "rules", "stages"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_tree_is_a_policy_or_a_policy_error(tree: object) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(yaml.safe_dump(tree), "fuzz")
    assert all(problem.line >= 1 and problem.column >= 1 for problem in caught.value.problems)


def test_the_examples_of_the_documentation_are_valid() -> None:
    text = (POLICIES[0].parents[1] / "docs/policy.md").read_text()
    whole, *sections = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert load_policy(whole, "docs/policy.md").document.name == "gallery"
    for section in sections:
        assert load_policy(HEAD + section, "docs/policy.md").document.name == "test"


def test_the_documentation_has_a_row_for_every_bound_of_every_anomaly() -> None:
    text = (POLICIES[0].parents[1] / "docs/policy.md").read_text()
    _, _, after = text.partition("\n## Anomalies\n")
    table = "".join(re.findall(r"^\| (.*?) \|", after.partition("\n## ")[0], re.MULTILINE))
    for name, rule in AnomalyRules():
        for bound in type(rule).model_fields:
            assert f"`{name}.{bound}`" in table or f"`….{bound}`" in table, f"{name}.{bound}"
