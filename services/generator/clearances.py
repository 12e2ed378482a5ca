"""Which clearances each operation needs, and that they are there for these very bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.core.clearance import ClearanceVerifier
from services.core.errors import PermissionDenied
from services.core.policy.categories import Stage
from services.generator.job import Operation

TEXT = ("prompt", "negative_prompt")
# Operation → stage → the inputs that a clearance of this stage must bind, as far as they were given.
NEEDED: Mapping[Operation, Mapping[Stage, tuple[str, ...]]] = {
    "create": {"prompt": TEXT},
    "edit": {"prompt": TEXT, "upload": ("image", "mask"), "pair": (*TEXT, "image", "mask")},
    "variation": {"upload": ("image",)},
}


def verify_clearances(
    verifier: ClearanceVerifier,
    operation: Operation,
    digests: Mapping[str, str],
    tenant: str,
    account: str,
    tokens: Sequence[str],
) -> None:
    """Raises PermissionDenied unless `tokens` hold one clearance for each stage that `operation` needs."""
    for stage, inputs in NEEDED[operation].items():
        bound = {name: digests[name] for name in inputs if name in digests}
        _verify_stage(verifier, stage, bound, tenant, account, tokens)


def _verify_stage(
    verifier: ClearanceVerifier,
    stage: Stage,
    bound: Mapping[str, str],
    tenant: str,
    account: str,
    tokens: Sequence[str],
) -> None:
    """Passes if one token clears `bound`; else raises what was wrong with the token of this stage, if there is one."""
    refusal = PermissionDenied(f"a clearance of stage {stage} is needed", reason="CLEARANCE_MISSING")
    for token in tokens:
        try:
            verifier.verify(token, stage=stage, tenant=tenant, account=account, digests=bound)
        except PermissionDenied as error:
            if error.reason != "CLEARANCE_STAGE":
                refusal = error
        else:
            return
    raise refusal
