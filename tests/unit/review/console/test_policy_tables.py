"""A policy as tables, and the difference of two."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.categories import CATEGORIES
from services.core.policy.document import load_policy
from services.core.policy.review_rules import Queue, ReviewRules, Route
from services.core.policy.schema import NEVER
from services.core.policy.standing_rules import Cooling, Ladder, StandingRules
from services.review.console.policy_tables import difference, shadowed, tables_of, thresholds, words

LINES = st.lists(st.sampled_from(["a", "b: 1", "-- ", "++ ", "@@", ""]), max_size=12)


def test_entries_that_are_alike_are_the_rows_of_one_table():
    rules = ReviewRules(queues={"posters": Queue(due_hours=2.5)}, routes=[Route(queue="posters", kinds=["report"])])

    tables = {table.path: table for table in tables_of(rules, "review")}

    assert ("posters", "2.5", "4", "analyst, senior, lead", "0.05", "0") in tables["review.queues"].rows
    assert tables["review.routes"].columns == ("", "queue", "priority", "kinds")


def test_the_ladder_is_one_table_and_what_stands_alone_another():
    tables = {table.path: table for table in tables_of(StandingRules(), "standing")}

    assert [row[0] for row in tables["standing.ladder"].rows] == ["warned", "cooling", "held", "suspended", "banned"]
    assert ("half_life_days", "30") in tables["standing"].rows


def test_each_row_is_as_long_as_its_header():
    document = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), "test").document

    for name in ("review", "limits", "standing", "anomalies"):
        for table in tables_of(getattr(document, name), name):
            assert {len(row) for row in table.rows} == {len(table.columns)}


def test_what_is_in_shadow_is_named_by_its_path():
    rules = StandingRules(ladder=Ladder(cooling=Cooling(mode="shadow")))

    assert list(shadowed(rules, "standing")) == ["standing.ladder.cooling"]


def test_every_category_has_its_thresholds():
    policy = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), "test")

    table = thresholds(policy, "new")

    assert [row[0] for row in table.rows] == list(CATEGORIES)
    assert dict(zip(table.columns, next(row for row in table.rows if row[0] == "spam"), strict=True))["prompt"] == (
        "0.6 / 0.95, released"
    )


def test_values_are_written_as_in_a_policy():
    assert [words(value) for value in (None, True, 0.5, NEVER, ["a", "b"], {"a": 1.0})] == [
        "",
        "yes",
        "0.5",
        "never",
        "a, b",
        "a: 1",
    ]


@given(LINES, LINES)
def test_a_difference_leads_from_one_text_to_the_other(before, after):
    lines = difference("\n".join(before), "\n".join(after))

    changed = ([line.text[1:] for line in lines if line.kind == kind] for kind in ("removed", "added"))
    kept = [line.text[1:] for line in lines if line.kind == "same"]
    removed, added = changed
    assert len(lines_of(before)) - len(removed) == len(lines_of(after)) - len(added)
    assert all(text in before for text in (*removed, *kept))
    assert all(text in after for text in (*added, *kept))


def lines_of(lines):
    return "\n".join(lines).splitlines()


@given(LINES)
def test_a_text_does_not_differ_from_itself(lines):
    assert difference("\n".join(lines), "\n".join(lines)) == []
