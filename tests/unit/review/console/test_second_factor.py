"""Codes of the second factor, and its secrets at rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import ConfigurationError, Unavailable
from services.review.console import second_factor
from services.review.console.second_factor import StaffKey, create_staff_key, matching_step, plain_recovery_code

# RFC 6238's secret; its test vectors for SHA-1, cut to six digits.
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@pytest.fixture
def key(tmp_path):
    create_staff_key(tmp_path / "keys" / "staff.key")
    return StaffKey(tmp_path / "keys" / "staff.key")


@pytest.mark.parametrize(
    ("now", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_the_standards_own_codes_match(now, code):
    assert matching_step(SECRET, code, now) == now // 30


@pytest.mark.parametrize(("late", "matches"), [(-60, False), (-30, True), (30, True), (60, False)])
def test_a_clock_may_be_one_step_off(late, matches):
    assert (matching_step(SECRET, "081804", 1111111109 + late) is not None) is matches


@given(st.text().filter(lambda typed: not typed.replace(" ", "").isdigit()))
def test_anything_else_is_no_code(typed):
    assert matching_step(SECRET, typed, 59) is None


def test_what_was_sealed_opens_for_its_purpose_alone(key):
    sealed = key.seal("secret", "totp/alice")
    assert key.open(sealed, "totp/alice") == "secret"
    with pytest.raises(Unavailable):
        key.open(sealed, "totp/bob")


def test_what_was_changed_does_not_open(key):
    sealed = key.seal("secret", "x")
    with pytest.raises(Unavailable):
        key.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "x")


def test_a_house_without_the_key_does_not_start(tmp_path):
    with pytest.raises(ConfigurationError, match="portcullis up"):
        StaffKey(tmp_path / "staff.key")


def test_recovery_codes_are_ten_and_all_different():
    codes = second_factor.new_recovery_codes()
    assert len(set(codes)) == 10
    assert all(plain_recovery_code(f" {c[:4]}-{c[4:8]}-{c[8:].upper()} ") == c for c in codes)
