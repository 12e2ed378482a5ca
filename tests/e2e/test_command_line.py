"""The command line as a person uses it, on a running house."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from demo.inputs import ALLOWED, BLOCKED, DOUBTFUL, doubtful_photo, mask_of

PORTCULLIS = Path(sys.executable).with_name("portcullis")


def portcullis(house, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PORTCULLIS, *arguments], env=house.environment, capture_output=True, text=True, timeout=120)


def test_create_saves_pictures_that_inspect_knows(house, tmp_path):
    made = portcullis(house, "create", ALLOWED, "-o", str(tmp_path), "--count", "1", "--seed", "3")
    assert made.returncode == 0, made.stderr
    (picture,) = tmp_path.glob("*.png")
    seen = portcullis(house, "inspect", str(picture), "--json")
    assert json.loads(seen.stdout)["origin"] == "ORIGIN_OURS_INTACT"


def test_a_picture_can_be_varied_and_its_decision_read(house, tmp_path):
    made = portcullis(house, "create", ALLOWED, "-o", str(tmp_path), "--count", "1", "--seed", "3")
    (picture,) = tmp_path.glob("*.png")
    varied = portcullis(house, "vary", str(picture), "-o", str(tmp_path / "out"), "--count", "2", "--seed", "5")
    assert varied.returncode == 0, made.stderr + varied.stderr
    pictures = list((tmp_path / "out").glob("*.png"))
    inspections = [json.loads(portcullis(house, "inspect", str(path), "--json").stdout) for path in pictures]
    (decision_id,) = {inspection["decision_id"] for inspection in inspections}
    read = portcullis(house, "decision", decision_id, "--json")
    decision = json.loads(read.stdout)
    assert (decision["verdict"], decision["account"]) == ("VERDICT_ALLOW", "cli")
    assert {image["image_id"] for image in decision["images"]} == {
        inspection["provenance"]["image_id"] for inspection in inspections
    }


def test_an_unknown_decision_is_said_to_be_unknown(house):
    read = portcullis(house, "decision", "00000000-0000-4000-8000-000000000000")
    assert read.returncode == 1
    assert "NOT_FOUND" in read.stderr


def test_a_refusal_ends_with_3_and_reasons(house, tmp_path):
    refused = portcullis(house, "create", BLOCKED, "-o", str(tmp_path))
    assert refused.returncode == 3
    assert "REFUSED" in refused.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_second_house_on_the_same_home_says_so(house):
    second = portcullis(house, "up")
    assert second.returncode == 1
    assert f"process {house.process.pid}" in second.stderr.replace("\n", " ")


def test_the_doctor_finds_every_room_serving(house):
    told = portcullis(house, "doctor").stdout
    assert told.count("serves at") == 7


def test_the_review_queue_can_be_listed(house):
    listed = portcullis(house, "review", "list", "--state", "any")
    assert listed.returncode == 0, listed.stderr


def test_a_doubtful_edit_is_decided_at_the_desk(house, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    photo.write_bytes(doubtful_photo())
    mask.write_bytes(mask_of(doubtful_photo()))
    held = portcullis(house, "edit", DOUBTFUL, str(photo), "--mask", str(mask), "-o", str(tmp_path / "out"))
    assert held.returncode == 3
    item = re.search(r"for a person: (\S+)", " ".join(held.stdout.split()))[1]
    assert listed_in_time(house, item)
    claimed = portcullis(house, "review", "claim", item, "--save", str(tmp_path / "case"))
    assert DOUBTFUL in claimed.stdout
    assert len(list((tmp_path / "case").glob("*-image.png"))) == 1
    decided = portcullis(house, "review", "decide", item, "uphold", "--comment", "a test")
    assert decided.returncode == 0, decided.stderr
    again = portcullis(house, "review", "claim", item)
    assert again.returncode == 1
    assert "FAILED_PRECONDITION" in again.stderr


def listed_in_time(house, item: str) -> bool:
    for _ in range(40):
        if item in portcullis(house, "review", "list").stdout:
            return True
        time.sleep(0.2)
    return False
