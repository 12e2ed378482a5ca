"""Which request ids reach the log."""

from __future__ import annotations

from uuid import UUID

import pytest

from portcullis.v1 import checks_pb2, gateway_pb2, prompt_filter_pb2
from services.core.rpc.door import _request_id

ID = str(UUID(int=7))


@pytest.mark.parametrize(
    "request_",
    [
        gateway_pb2.CheckPromptRequest(request_id=ID),
        prompt_filter_pb2.PromptFilterServiceCheckPromptRequest(subject=checks_pb2.Subject(request_id=ID)),
    ],
)
def test_the_request_is_named(request_):
    assert _request_id(request_) == ID


def test_words_in_place_of_an_id_stay_out():
    assert _request_id(gateway_pb2.CheckPromptRequest(request_id="what somebody wanted drawn")) == ""
