"""What the two ways to decide a case are called, and lead to, for each kind of case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import get_args

from services.core.policy.categories import Stage
from services.core.policy.review_rules import Kind
from services.core.store.review_items import Resolution


@dataclass(frozen=True, slots=True)
class Words:
    """`release` and `uphold` stand on the buttons, `released` and `upheld` say what was decided, `means` what for."""

    release: str
    uphold: str
    released: str
    upheld: str
    means: str

    def said(self, resolution: Resolution) -> str:
        """What was decided."""
        return self.released if resolution == "release" else self.upheld


WORDS: Mapping[Kind, Words] = {
    "content": Words(
        "Release",
        "Uphold",
        "Released",
        "Upheld",
        "Release: the content is fine. Uphold: it violates the policy.",
    ),
    "report": Words(
        "Keep picture",
        "Withdraw picture",
        "Picture kept",
        "Picture withdrawn",
        "Keep: the picture stays, and those who reported it are believed less. Withdraw: it is told as withdrawn to"
        " whoever asks and refused as an upload, its account gets a strike, and those who reported it are believed"
        " more. Pictures that were made from it stay.",
    ),
    "appeal": Words(
        "Grant appeal",
        "Deny",
        "Appeal granted",
        "Appeal denied",
        "Grant: the refusal was wrong; the user is told, strikes for it are taken back, and a suspension that was"
        " appealed ends. Deny: it stands, and there is no appeal of an appeal.",
    ),
    "suspension": Words(
        "Lift",
        "Confirm suspension",
        "Suspension lifted",
        "Suspension confirmed",
        "Lift: it ends now, strikes keep their weight. Confirm: it stands until its end, and the account may appeal;"
        " where its strikes weigh enough for a ban, this bans it.",
    ),
}

# What a case of kind "content" is about, by the stage where it was stopped.
CONTENT: Mapping[Stage, str] = {"prompt": "Prompt", "upload": "Picture", "pair": "Edit", "output": "Picture"}
SKIPPED, ESCALATED = "Case skipped", "Case escalated"


def decided(kind: Kind, stage: Stage, resolution: Resolution) -> str:
    """What was just decided: "Suspension lifted", "Prompt upheld"."""
    said = WORDS[kind].said(resolution)
    return f"{CONTENT[stage]} {said.lower()}" if kind == "content" else said


# All that the page after a step may say of it: an address that says anything else says nothing.
TOASTS = frozenset((SKIPPED, ESCALATED)) | {
    decided(*case) for case in product(get_args(Kind), get_args(Stage), get_args(Resolution))
}
