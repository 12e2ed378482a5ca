from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from portcullis.v1 import checks_pb2 as pb
from services.core.clearance import ClearanceSigner, create_keys
from services.core.errors import Unavailable
from services.core.policy.source import ActivePolicy
from services.core.rpc.judge import Judge
from services.core.signals import Measurement


def test_what_was_not_measured_is_not_let_through(tmp_path: Path) -> None:
    create_keys(tmp_path)
    signer = ClearanceSigner.load(tmp_path, "prompt_filter", timedelta(minutes=1))
    judge = Judge(cast(ActivePolicy, None), signer)

    with pytest.raises(Unavailable, match="not measured"):
        judge.judge(pb.Subject(tenant="acme", account="user-1"), "prompt", {}, Measurement((), ()))
