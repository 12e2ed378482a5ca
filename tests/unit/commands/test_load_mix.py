"""What a load asks."""

from __future__ import annotations

import json
from collections import Counter
from io import BytesIO
from itertools import islice
from random import Random

import pytest
from PIL import Image

from services.commands.load_mix import WITH_PICTURE, WITH_WORDS, Mix, asks
from services.commands.load_record import read
from services.core.errors import InvalidInput
from services.core.imaging import sanitise


def some(number: int, mix: Mix | None = None, seed: int = 3):
    return list(islice(asks(mix or Mix(), 50, Random(seed)), number))


def test_the_default_mix_has_the_shares_it_promises():
    made = some(8_000)
    kinds = Counter("check" if ask.kind.startswith("check") else ask.kind for ask in made)
    flavours = Counter(ask.flavour for ask in made)
    assert {kind: round(count / 8_000, 1) for kind, count in kinds.items()} == {
        "create": 0.7,
        "edit": 0.1,
        "variation": 0.1,
        "check": 0.1,
    }
    assert flavours["hostile"] / 8_000 == pytest.approx(0.01, abs=0.005)
    assert flavours["violating"] / 8_000 == pytest.approx(0.04, abs=0.01)


def test_a_request_has_what_its_call_needs():
    for ask in some(400):
        assert bool(ask.prompt) == (ask.kind in WITH_WORDS)
        assert bool(ask.image) == (ask.kind in WITH_PICTURE)
        assert bool(ask.mask) == (ask.kind in ("edit", "check_pair"))


def test_an_honest_picture_is_one_and_its_mask_fits():
    ask = next(ask for ask in some(400) if ask.kind == "edit" and ask.flavour == "plain")
    sizes = [Image.open(BytesIO(data)).size for data in (ask.image, ask.mask)]
    assert sizes == [(512, 512), (512, 512)]


def test_no_hostile_picture_is_accepted():
    hostile = some(60, Mix({"check_upload": 1}, 0.0, 1.0))
    for image in {ask.image for ask in hostile}:
        with pytest.raises(InvalidInput):
            sanitise(image)


def test_the_same_seed_asks_the_same():
    assert some(100) == some(100)


@pytest.mark.parametrize("shares", [{}, {"create": -1}, {"create": 0.0}, {"paint": 1.0}])
def test_shares_that_make_no_mix_are_refused(shares):
    with pytest.raises(ValueError, match=r"shares|call"):
        Mix(shares)


def test_a_recording_is_read_with_its_times_and_pictures(tmp_path):
    picture = next(ask.image for ask in some(100) if ask.image)
    (tmp_path / "scene.png").write_bytes(picture)
    rows = [
        {"at": 5.0, "kind": "create", "prompt": "a red circle", "account": "user-1"},
        {"at": 6.5, "kind": "variation", "image": "scene.png"},
    ]
    (tmp_path / "day.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recording = read(tmp_path / "day.jsonl", Random(1))
    assert recording.times == (5.0, 6.5)
    assert [ask.account for ask in recording.asks] == ["user-1", "load-recorded"]
    assert recording.asks[1].image == picture


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"kind": "create", "prompt": "a"}\n{"kind": "paint"}', "day.jsonl:2"),
        ('{"kind": "create"}', "needs a prompt"),
        ('{"kind": "create", "prompt": "a", "at": 1}\n{"kind": "create", "prompt": "a"}', "all must, or none"),
        ('{"kind": "create", "prompt": "a", "at": 2}\n{"kind": "create", "prompt": "a", "at": 1}', "go back"),
        ('{"kind": "variation", "image": "gone.png"}', "gone.png"),
        ("", "no request"),
    ],
)
def test_a_recording_that_is_wrong_names_its_line(tmp_path, text, told):
    (tmp_path / "day.jsonl").write_text(text)
    with pytest.raises(InvalidInput, match=told):
        read(tmp_path / "day.jsonl", Random(1))
