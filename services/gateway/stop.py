"""One check on the way of a request, and what it was of."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from portcullis.v1 import checks_pb2 as pb
from services.core.clearance import digest, prompt_digests
from services.core.verdicts import ACCOUNT_HELD


@dataclass(frozen=True, slots=True)
class Stop:
    """One check on the way, with the content that a person would need to judge it.

    `released`: a person let it through, and the clearance is the review service's. `model` drew an output.
    """

    stage: pb.Stage.ValueType
    check: pb.Check
    index: int = 0
    prompt: str = ""
    negative_prompt: str = ""
    image: bytes = b""
    mask: bytes = b""
    request_digest: str = ""
    model: str = ""
    released: bool = False

    @property
    def digests(self) -> dict[str, str]:
        """What a clearance of this check binds, sha256 each."""
        pictures = {"image": self.image, "mask": self.mask}
        bound = {name: digest(data) for name, data in pictures.items() if data}
        if self.stage == pb.STAGE_OUTPUT:
            return {**bound, "request": self.request_digest}
        return prompt_digests(self.prompt, self.negative_prompt) | bound

    @property
    def open(self) -> bool:
        """Whether the content may go on: only a check that gave a clearance opens the gate."""
        return bool(self.check.clearance) and self.check.verdict in (pb.VERDICT_ALLOW, pb.VERDICT_REVIEW)

    @property
    def names_nobody(self) -> bool:
        """Whether the filter let a prompt through without any doubt, and found no public figure in it."""
        named = (signal.score for signal in self.check.signals if signal.category.startswith("public_figure"))
        return self.open and self.check.verdict == pb.VERDICT_ALLOW and not any(named)

    @property
    def held(self) -> bool:
        """Whether a person may still let it through."""
        return not self.open and self.check.verdict == pb.VERDICT_REVIEW

    def touches(self, categories: Container[str]) -> bool:
        """Whether one of its reasons is of these categories."""
        return any(reason.category in categories for reason in self.check.reasons)

    @property
    def for_account(self) -> bool:
        """Whether it is held for its account's standing alone."""
        return any(reason.rule == ACCOUNT_HELD for reason in self.check.reasons)
