"""What texts in pictures become: signals of the picture, with a box."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portcullis.v1.checks_pb2 import Subject
from services.commands.provision import make_keys
from services.core.config import HouseSettings
from services.core.errors import Unavailable
from services.core.signals import Box, Measurement, ModelVersion, Signal, TextSpan
from services.image_filter.text_judge import SPOKEN, TextJudge, sendable, with_texts
from services.image_filter.text_reader import PaintedText
from services.prompt_filter.painted import LABEL
from services.prompt_filter.validate import validate

EMPTY = Measurement((), (ModelVersion("nudenet", "3"),), {"nudenet": 1.0}, ("text-partly-read",))
HERE, THERE = Box(1, 2, 3, 4), Box(5, 6, 7, 8)
TEXTS = [PaintedText("one of these four", HERE, 0.9), PaintedText("two of these four", THERE, 0.8)]


def test_the_loudest_text_of_a_category_gives_its_signal_and_box() -> None:
    said = [[Signal("hate", 0.2, "prompt/1", TextSpan(0, 3))], [Signal("hate", 0.7, "prompt/1", TextSpan(0, 3))]]

    measured = with_texts(EMPTY, TEXTS, said, [ModelVersion("prompt", "1")])

    (hate,) = [signal for signal in measured.signals if signal.category == "hate"]
    assert (hate.source, hate.evidence) == ("text-in-picture/prompt/1", THERE)
    assert 0.45 < hate.score < 0.7
    assert [model.name for model in measured.models] == ["nudenet", "prompt"]
    assert measured.capabilities == EMPTY.capabilities


def test_what_only_prompts_can_be_blamed_for_is_left_out() -> None:
    said = [[Signal(name, 1.0, "prompt/1") for name in ("language", "evasion", "sexual.minors")], []]

    measured = with_texts(EMPTY, TEXTS, said, [])

    assert {signal.category for signal in measured.signals if signal.score} == {"sexual.minors", "concept.text"}


def test_what_was_sure_in_a_prompt_is_sure_in_a_picture_and_no_doubt_is_given_to_minors() -> None:
    said = [[Signal("hate", 1.0, "prompt/1"), Signal("sexual.minors", 0.3, "prompt/1")], []]

    scores = with_texts(EMPTY, TEXTS, said, []).scores()

    assert (scores["hate"], scores["sexual.minors"]) == (1.0, 0.3)


def test_names_count_on_a_line_and_not_across_lines() -> None:
    joined = PaintedText("one two", HERE, 0.8, joined=True)
    name = [Signal("public_figure", 1.0, "people-bank/2")]

    alone = with_texts(EMPTY, TEXTS, [name, []], [])
    across = with_texts(EMPTY, [joined], [name], [])

    assert (alone.scores()["public_figure"], across.scores()["public_figure"]) == (1.0, 0.0)


def test_a_label_that_was_measured_as_a_prompt_keeps_more_of_its_score() -> None:
    said = [Signal("hate", 0.6, "prompt-classifier/2"), Signal("sexual", 0.6, "term-bank/1")]

    label = with_texts(EMPTY, [PaintedText("one " * LABEL, HERE, 0.9)], [said], []).scores()
    sentence = with_texts(EMPTY, [PaintedText("one " * (LABEL + 1), HERE, 0.9)], [said], []).scores()

    assert 0.6 > label["hate"] > sentence["hate"] == label["sexual"] == sentence["sexual"]


def test_every_line_is_told_where_it_stands_the_largest_first() -> None:
    measured = with_texts(EMPTY, [*TEXTS, PaintedText("both", HERE, 0.8, joined=True)], [[], [], []], [])

    places = [signal for signal in measured.signals if signal.category == "concept.text"]
    assert [(place.score, place.evidence) for place in places] == [(0.8, THERE), (0.9, HERE)]


def test_without_texts_all_they_could_say_is_measured_as_nothing() -> None:
    measured = with_texts(EMPTY, [], [], [])

    assert measured.scores() == dict.fromkeys(SPOKEN, 0.0)


@given(st.lists(st.text(max_size=3000), max_size=80))
def test_what_is_sent_is_what_the_prompt_filter_takes(texts: list[str]) -> None:
    sent = sendable([PaintedText(text, HERE, 1.0) for text in texts])

    assert len(sent) <= 128
    for text in sent:
        assert len(text.text) <= 1000
        validate(text.text)


async def test_without_the_prompt_filter_text_fails_the_request_and_no_text_does_not(tmp_path: Path) -> None:
    make_keys(tmp_path)
    judge = TextJudge(HouseSettings(home=tmp_path, port_base=1100))

    with pytest.raises(Unavailable):
        await judge.judge(Subject(), EMPTY, TEXTS)
    with pytest.raises(Unavailable):
        await judge.ready()
    assert (await judge.judge(Subject(), EMPTY, [])).scores()["hate"] == 0.0
    await judge.close()
