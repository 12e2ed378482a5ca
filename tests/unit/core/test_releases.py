"""What people released of a held request: nothing undecided, nothing upheld, nothing that must always be refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.core.errors import FailedPrecondition
from services.core.policy.categories import Stage
from services.core.releases import released
from services.core.store.review_items import Resolution, ReviewItem
from services.core.store.stops import Stop
from services.core.verdicts import Reason, Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DECISION = UUID(int=1)


def stop(stage: Stage = "prompt", output: int = 0, category: str = "political", decision: UUID = DECISION) -> Stop:
    reason = Reason(category, "says why", 0.7, 0.5, Verdict.REVIEW)
    return Stop(
        decision_id=decision,
        place=output,
        tenant="acme",
        account="user-1",
        stage=stage,
        output=output,
        verdict=Verdict.REVIEW,
        held=True,
        reasons=(reason,),
        signals=(),
        models=(),
        policy="ab" * 32,
        digests={"prompt": "00" * 32},
        sketch=b"",
        prompt=uuid4(),
        image=uuid4() if stage == "output" else None,
    )


def case(about: Stop, resolution: Resolution | None = "release", *, settled: bool = True) -> ReviewItem:
    return ReviewItem(
        item_id=uuid4(),
        decision_id=about.decision_id,
        tenant=about.tenant,
        account=about.account,
        stage=about.stage,
        verdict=about.verdict,
        reasons=about.reasons,
        held=True,
        sealed=False,
        prompt=about.prompt,
        negative_prompt=about.negative_prompt,
        image=about.image,
        mask=about.mask,
        state="decided" if resolution else "queued",
        queue="default",
        priority=3,
        created_at=NOW,
        due_at=NOW,
        claimed_by=None,
        claim_expires_at=None,
        resolution=resolution,
        decided_by="analyst/alice" if resolution else None,
        decided_at=NOW if resolution else None,
        turn_at=NOW,
        settled_at=NOW if resolution and settled else None,
    )


def reason_of(stops: list[Stop], items: list[ReviewItem]) -> str:
    with pytest.raises(FailedPrecondition) as caught:
        released(stops, items, NOW)
    return caught.value.reason


def test_what_was_released_and_settled_goes_on() -> None:
    held = stop()
    assert [one.stop for one in released([held], [case(held)], NOW)] == [held]


def test_nothing_goes_on_before_a_person_decided() -> None:
    held = stop()
    assert reason_of([held], [case(held, None)]) == "NOT_RELEASED"


def test_a_stop_without_a_case_was_released_by_nobody() -> None:
    assert reason_of([stop()], []) == "NOT_RELEASED"


def test_a_case_about_other_content_releases_nothing() -> None:
    assert reason_of([stop()], [case(stop())]) == "NOT_RELEASED"


def test_nothing_goes_on_while_it_may_be_taken_back() -> None:
    held = stop()
    assert reason_of([held], [case(held, settled=False)]) == "NOT_SETTLED"


@pytest.mark.parametrize(("left", "told"), [(25.0, 25.0), (0.0, 1.0), (-5.0, 1.0)])
def test_how_long_it_may_still_be_taken_back_is_told(left: float, told: float) -> None:
    sooner, later = stop("prompt"), stop("upload")
    cases = [
        replace(case(about, settled=False), effective_at=NOW + timedelta(seconds=seconds))
        for about, seconds in ((sooner, left - 10), (later, left))
    ]

    with pytest.raises(FailedPrecondition) as caught:
        released([sooner, later], cases, NOW)

    assert caught.value.retry_after == told


def test_what_was_upheld_stays_refused() -> None:
    held = stop()
    assert reason_of([held], [case(held, "uphold")]) == "UPHELD"


def test_one_upheld_half_keeps_the_other_back() -> None:
    prompt, upload = stop("prompt"), stop("upload")
    assert reason_of([prompt, upload], [case(prompt), case(upload, "uphold")]) == "UPHELD"


def test_an_undecided_half_keeps_the_other_back() -> None:
    prompt, upload = stop("prompt"), stop("upload")
    assert reason_of([prompt, upload], [case(prompt), case(upload, None)]) == "NOT_RELEASED"


def test_an_upheld_output_stays_behind_alone() -> None:
    first, second = stop("output", 0), stop("output", 1)
    assert [one.stop for one in released([first, second], [case(first, "uphold"), case(second)], NOW)] == [second]


def test_outputs_wait_for_each_other() -> None:
    first, second = stop("output", 0), stop("output", 1)
    assert reason_of([first, second], [case(first), case(second, None)]) == "NOT_RELEASED"


def test_a_request_whose_outputs_were_all_upheld_is_not_drawn_anew() -> None:
    prompt, output = stop("prompt"), stop("output", decision=UUID(int=2))
    assert reason_of([prompt, output], [case(prompt), case(output, "uphold")]) == "UPHELD"


def test_what_was_refused_is_never_released() -> None:
    refused = replace(stop(), verdict=Verdict.BLOCK, held=False)
    assert reason_of([refused], [case(refused)]) == "NOT_HELD"


def test_a_row_that_calls_a_refusal_held_releases_nothing() -> None:
    odd = replace(stop(), reasons=(Reason("hate", "says why", 0.9, 0.8, Verdict.BLOCK),))
    assert reason_of([odd], [case(odd)]) == "NOT_HELD"


def test_sexual_minors_is_never_released_whatever_the_row_says() -> None:
    odd = stop(category="sexual.minors")
    assert reason_of([odd], [case(odd)]) == "NOT_HELD"


def test_a_sealed_output_neither_goes_on_nor_keeps_the_others_back() -> None:
    sealed, plain = stop("output", 0), stop("output", 1)
    cases = [replace(case(sealed, None), sealed=True), case(plain)]
    assert [one.stop for one in released([sealed, plain], cases, NOW)] == [plain]


@pytest.mark.parametrize("change", [{"kind": "report"}, {"golden": uuid4()}])
def test_only_the_case_that_the_stop_opened_counts(change: dict[str, object]) -> None:
    held = stop()
    assert reason_of([held], [replace(case(held), **change)]) == "NOT_RELEASED"
