"""Which processes run, and in which order they end."""

from __future__ import annotations

import pytest

from services.commands import parts
from services.commands.parts import ERRANDS, POSTGRES, Layer, parts_for, require_installed
from services.core.config import ROOMS
from services.core.errors import ConfigurationError


def test_all_rooms_run_with_their_errands():
    names = {part.name for part in parts_for(())}
    assert names == {*ROOMS, *(part.name for part in ERRANDS)}


def test_the_gateway_starts_last():
    assert parts_for(())[-1].name == "gateway"


def test_one_room_runs_alone():
    assert [part.name for part in parts_for(["prompt_filter"])] == ["prompt_filter"]


def test_review_brings_its_errands():
    assert [part.name for part in parts_for(["review"])] == [
        "review",
        "review_worker",
        "review_relay",
        "review_notifier",
        "review_console",
    ]


def test_an_unknown_room_is_named_with_those_that_exist():
    with pytest.raises(ConfigurationError, match=r"no room is called kitchen; there are gateway, prompt_filter"):
        parts_for(["kitchen"])


def test_the_door_ends_first_and_the_database_last():
    assert list(Layer) == [Layer.DOOR, Layer.ROOM, Layer.ERRAND, Layer.DATABASE]


def test_what_is_not_installed_is_told_with_one_command(monkeypatch):
    monkeypatch.setattr(parts, "missing", lambda extra: ["x"] if extra in ("embedded", "review") else [])
    with pytest.raises(ConfigurationError, match=r"pip install 'portcullis\[embedded,review\]'"):
        require_installed([POSTGRES, *parts_for(())])


def test_what_is_installed_may_start():
    require_installed([POSTGRES, *parts_for(())])
