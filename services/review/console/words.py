"""What the two ways to decide a case are called, and lead to, for each kind of case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.core.policy.review_rules import Kind


@dataclass(frozen=True, slots=True)
class Words:
    """`release` and `uphold` stand on the buttons, `released` and `upheld` say what was decided, `means` what for."""

    release: str
    uphold: str
    released: str
    upheld: str
    means: str


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
