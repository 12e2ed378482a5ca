"""What a policy says about reports and appeals: how many, how far they are believed, how long one may appeal."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.core.policy.fields import Section


class ComplaintRules(Section):
    """A report opens a case where its reporters together weigh `case_weight`; one who never reported weighs 0.5."""

    case_weight: Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)] = 0.25
    appeal_days: Annotated[float, Field(gt=0, le=365, allow_inf_nan=False)] = 30.0
