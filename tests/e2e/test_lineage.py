"""A picture of ours comes back to be varied, and again, and again: how far that may go is the policy's to say."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from portcullis import Client
from portcullis.v1 import gateway_pb2 as api
from portcullis.v1.checks_pb2 import VERDICT_ALLOW, VERDICT_REVIEW

GENERATIONS = 4  # of the default policy: `lineage` is held from .4, a tenth for each generation


def released(events: Iterator[Message]) -> bytes:
    (picture,) = (event.data for event in events if isinstance(event, api.Image))
    return picture


def test_a_variation_of_a_variation_is_held_at_the_policys_depth(client: Client) -> None:
    picture = released(client.create_images("a red circle on a blue background", account="varies", count=1, seed=3))
    for _ in range(GENERATIONS - 1):
        assert client.check_upload(picture, account="varies").check.verdict == VERDICT_ALLOW
        picture = released(client.vary_images(picture, account="varies", count=1, seed=3))

    check = client.check_upload(picture, account="varies").check

    assert check.verdict == VERDICT_REVIEW
    assert [reason.category for reason in check.reasons] == ["lineage"]
    (lineage,) = [evidence.lineage for evidence in check.reasons[0].evidence]
    assert lineage.depth == GENERATIONS
    assert len(lineage.ancestors) == GENERATIONS - 1
