"""A red-team run counts what gets through, by attack and category, and is the same for the same seed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commands import redteam_run, redteam_wordings
from services.commands.redteam_run import Attempt, Tally
from services.core.errors import InvalidInput
from services.core.verdicts import Judgement, Reason, Verdict

WORDINGS = redteam_wordings.load()


def judge(text: str) -> Judgement:
    """Stops what names blood, and nothing else."""
    if "blood" not in text:
        return Judgement(Verdict.ALLOW, ())
    return Judgement(Verdict.BLOCK, (Reason("violence.graphic", "blood", 0.9, 0.8, Verdict.BLOCK),))


def run(text: str, **attacks: redteam_wordings.Attack) -> tuple[list[Attempt], Tally]:
    tally = Tally()
    return list(redteam_run.attempts(text, judge, attacks, 1, tally)), tally


def test_what_gets_through_is_counted_under_the_plain_prompts_category() -> None:
    found, tally = run(
        "a pool of blood", reword=lambda text, _: text.replace("blood", "syrup"), shout=lambda t, _: f"{t}!"
    )
    assert [attempt.bypassed for attempt in found] == [True, False]
    assert (tally.rate("reword"), tally.rate("shout", "violence.graphic")) == (1.0, 0.0)


def test_a_prompt_that_is_allowed_plain_is_not_attacked() -> None:
    found, tally = run("a pool of water", shout=lambda text, _: f"{text}!")
    assert (found, tally.allowed_plain) == ([], 1)


def test_an_attack_that_changes_nothing_does_not_count() -> None:
    _, tally = run("a pool of blood", nothing=lambda text, _: text, none=lambda _text, _random: None)
    assert tally.rate("nothing") is None
    assert tally.rate("none") is None


def test_a_disguise_that_is_no_prompt_any_more_did_not_get_through() -> None:
    def strict(text: str) -> Judgement:
        if "!" in text:
            raise InvalidInput("prompt", "is too long")
        return judge(text)

    tally = Tally()
    (attempt,) = redteam_run.attempts("blood", strict, {"shout": lambda text, _: f"{text}!"}, 1, tally)
    assert not attempt.bypassed


def test_the_same_seed_makes_the_same_attempts() -> None:
    first, second = (run("a dead man in a pool of blood", **WORDINGS)[0] for _ in range(2))
    assert [attempt.text for attempt in first] == [attempt.text for attempt in second]


@pytest.mark.parametrize("attack", WORDINGS)
def test_every_wording_changes_a_violation(attack: str) -> None:
    text = "a naked man killed in a pool of blood"
    assert WORDINGS[attack](text, Random(3)) not in (None, text)


@pytest.mark.parametrize("attack", ["synonym", "visual synonym", "translated word"])
def test_words_that_the_tables_do_not_know_stay(attack: str) -> None:
    assert WORDINGS[attack]("a lighthouse at dawn", Random(3)) is None


@given(st.text(max_size=60), st.integers())
def test_no_text_breaks_an_attack(text: str, seed: int) -> None:
    for attack in WORDINGS.values():
        changed = attack(text, Random(seed))
        assert changed is None or isinstance(changed, str)
