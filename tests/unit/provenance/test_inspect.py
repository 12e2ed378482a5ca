"""The verdict over all layers, sign by sign."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.signals import ModelVersion
from services.core.store.images import RegisteredImage
from services.provenance.fingerprint import Likeness
from services.provenance.inspect import Naming, Origin, Signs, conclude
from services.provenance.manifest_reader import ManifestFinding


def image(number: int) -> RegisteredImage:
    return RegisteredImage(
        image_id=UUID(int=number),
        tenant="demo",
        decision_id=UUID(int=99),
        payload_id=bytes([number] * 8),
        sha256=bytes(32),
        pdq=bytes(32),
        pdq_quality=100,
        phash=bytes(8),
        sketch=bytes(3072),
        width=256,
        height=256,
        format="PNG",
        operation="create",
        parents=(),
        depth=1,
        model=ModelVersion("scenes", "1"),
        policy="",
        request_digest="ab" * 32,
        manifest=b"",
    )


OURS, OTHERS = image(1), image(2)
SAME, PART, DIFFERENT = Likeness.SAME, Likeness.PART, Likeness.DIFFERENT
NOTHING = Signs(None, ManifestFinding("absent"), False, None, None, 1.0, False, None, signature=False)


GONE = replace(OURS, withdrawn_at=datetime(2026, 1, 1, tzinfo=UTC))


def naming(named: RegisteredImage | None, likeness: Likeness) -> Naming:
    return Naming("01" * 8 if named is None else named.payload_id.hex(), named, likeness)


def manifest(state: str, named: RegisteredImage | None, likeness: Likeness) -> Signs:
    finding = ManifestFinding(state, "an id", "01" * 8)
    return replace(NOTHING, manifest=finding, manifest_naming=naming(named, likeness))


def mark(named: RegisteredImage | None, likeness: Likeness) -> Signs:
    return replace(NOTHING, mark_naming=naming(named, likeness), mark_false_positive=1e-12)


TABLE: dict[str, tuple[Signs, Origin]] = {
    "nothing": (NOTHING, Origin.NOT_FOUND),
    "the signature alone": (replace(NOTHING, signature=True), Origin.NOT_FOUND),
    "a stranger's manifest": (replace(NOTHING, manifest=ManifestFinding("foreign")), Origin.NOT_FOUND),
    "a manifest that cannot be read": (replace(NOTHING, manifest=ManifestFinding("unreadable")), Origin.NOT_FOUND),
    "the very file": (replace(NOTHING, exact=OURS), Origin.OURS_INTACT),
    "our manifest on its content": (manifest("trusted", OURS, SAME), Origin.OURS_INTACT),
    "our manifest, not registered": (manifest("trusted", None, DIFFERENT), Origin.CONFLICT),
    "our manifest, content changed": (manifest("changed", OURS, SAME), Origin.OURS_ALTERED),
    "our manifest on another picture": (manifest("changed", OURS, DIFFERENT), Origin.CONFLICT),
    "a mark": (mark(OURS, SAME), Origin.OURS_ALTERED),
    "a mark on a part": (mark(OURS, PART), Origin.OURS_DERIVED),
    "a mark on another picture": (mark(OURS, DIFFERENT), Origin.CONFLICT),
    "a mark that is not registered": (mark(None, DIFFERENT), Origin.CONFLICT),
    "a look-alike": (replace(NOTHING, near=OURS), Origin.OURS_ALTERED),
    "a mark of one, a look-alike of another": (replace(mark(OURS, DIFFERENT), near=OTHERS), Origin.CONFLICT),
    "mark and manifest agree": (
        replace(manifest("changed", OURS, SAME), mark_naming=naming(OURS, PART)),
        Origin.OURS_DERIVED,
    ),
    "mark and manifest name two": (
        replace(manifest("trusted", OURS, SAME), mark_naming=naming(OTHERS, SAME)),
        Origin.CONFLICT,
    ),
}


@pytest.mark.parametrize(("signs", "origin"), TABLE.values(), ids=TABLE)
def test_the_table(signs: Signs, origin: Origin) -> None:
    assert conclude(signs).origin is origin


namings = st.none() | st.builds(naming, st.sampled_from([None, OURS, OTHERS]), st.sampled_from(Likeness))
any_signs = st.builds(
    Signs,
    exact=st.none(),
    manifest=st.builds(ManifestFinding, st.sampled_from(["absent", "unreadable", "foreign", "changed", "trusted"])),
    manifest_naming=namings,
    mark_naming=namings,
    mark_false_positive=st.floats(0, 1),
    mark_faint=st.booleans(),
    near=st.sampled_from([None, OURS, OTHERS]),
    signature=st.booleans(),
)


@given(any_signs)
def test_the_visible_signature_never_moves_the_verdict(signs: Signs) -> None:
    flipped = replace(signs, signature=not signs.signature)

    assert conclude(flipped).origin is conclude(signs).origin


@given(any_signs)
def test_a_registered_file_is_intact_whatever_else_it_carries(signs: Signs) -> None:
    assert conclude(replace(signs, exact=OURS)).origin is Origin.OURS_INTACT


@given(any_signs)
def test_a_picture_is_told_only_where_the_verdict_rests_on_one(signs: Signs) -> None:
    conclusion = conclude(signs)

    assert (conclusion.image is None) == (conclusion.origin in {Origin.CONFLICT, Origin.NOT_FOUND})


@given(any_signs)
def test_a_sign_that_disagrees_with_the_registry_is_always_a_conflict(signs: Signs) -> None:
    conclusion = conclude(replace(signs, mark_naming=naming(OURS, DIFFERENT)))

    assert conclusion.origin is Origin.CONFLICT


@given(any_signs)
def test_every_layer_speaks_once_with_a_probability(signs: Signs) -> None:
    findings = conclude(signs).findings

    assert sorted(finding.layer for finding in findings) == ["manifest", "registry", "signature", "watermark"]
    assert all(0.0 <= finding.false_positive <= 1.0 for finding in findings)


@pytest.mark.parametrize(
    ("signs", "withdrawn"),
    [
        pytest.param(replace(NOTHING, exact=GONE), True, id="the very file"),
        pytest.param(mark(GONE, SAME), True, id="a copy"),
        pytest.param(mark(GONE, PART), True, id="a part"),
        pytest.param(replace(NOTHING, near=GONE), True, id="a look-alike"),
        pytest.param(replace(mark(OTHERS, DIFFERENT), near=GONE), True, id="a look-alike under another's mark"),
        pytest.param(mark(GONE, DIFFERENT), False, id="another picture under its mark"),
        pytest.param(replace(NOTHING, exact=OURS, near=GONE), False, id="another of ours that looks like it"),
        pytest.param(NOTHING, False, id="nothing"),
    ],
)
def test_a_withdrawn_picture_and_what_shows_it_is_withdrawn(signs: Signs, withdrawn: bool) -> None:
    assert conclude(signs).withdrawn == withdrawn


def test_a_stripped_file_is_intact_and_its_kept_manifest_says_so() -> None:
    conclusion = conclude(replace(NOTHING, exact=OURS, restored=True))

    assert conclusion.origin is Origin.OURS_INTACT
    assert {finding.layer for finding in conclusion.findings if finding.found} == {"registry", "manifest"}


@pytest.mark.parametrize(
    ("signs", "most"),
    [
        pytest.param(NOTHING, 1.0, id="nothing claims nothing"),
        pytest.param(replace(NOTHING, exact=OURS), 1e-30, id="a digest"),
        pytest.param(mark(OURS, SAME), 1e-12, id="a mark"),
        pytest.param(replace(mark(OURS, SAME), near=OURS, signature=True), 1e-12, id="the surest of several"),
    ],
)
def test_a_verdict_is_as_sure_as_the_surest_of_its_layers(signs: Signs, most: float) -> None:
    assert 0.0 < conclude(signs).false_positive <= most


def test_the_visible_signature_makes_no_verdict_surer() -> None:
    near = replace(NOTHING, near=OURS)

    assert conclude(near).false_positive == conclude(replace(near, signature=True)).false_positive
