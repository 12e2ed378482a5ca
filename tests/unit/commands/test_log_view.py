"""Logs for people."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from services.commands.log_view import render


def test_a_json_line_shows_time_event_and_fields():
    line = json.dumps(
        {
            "service": "gateway",
            "level": "info",
            "timestamp": "2026-01-02T03:04:05.6Z",
            "event": "listening",
            "port": 7400,
        }
    )
    assert render(line).plain == "03:04:05 listening  port=7400"


def test_other_lines_are_shown_as_they_are():
    assert render("Traceback (most recent call last):").plain == "Traceback (most recent call last):"


@given(st.text())
def test_no_line_breaks_it(line):
    assert render(line) is not None


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_no_json_breaks_it(entry):
    assert render(json.dumps(entry)) is not None
