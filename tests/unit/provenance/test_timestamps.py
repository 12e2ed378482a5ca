"""Timestamps of manifests, from a real RFC 3161 authority on a socket; sidecars of stripped files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from services.core.errors import FailedPrecondition, Unavailable
from services.core.imaging import OutputFormat, encode, sanitise
from services.provenance.authority import make_chain
from services.provenance.manifest import ManifestSigner, Signed
from services.provenance.manifest_reader import ManifestReader
from services.provenance.signing_key import sign_with_key
from services.provenance.timestamp import TimestampAuthority, stamp
from tests import tsa
from tests.tsa import TimeStamps
from tests.unit.provenance.test_manifest import RELEASE, picture

LEAF_LIFE = timedelta(days=397)
PIXELS = np.random.default_rng(3).integers(0, 255, (65, 63, 3)).astype(np.uint8)
CA, CHAIN, KEY = make_chain("Portcullis development", datetime.now(UTC))
READER = ManifestReader(CA)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeStamps]:
    with tsa.running(tmp_path_factory.mktemp("tsa")) as clock:
        yield clock


@pytest.fixture
def authority(clock: TimeStamps) -> Iterator[TimestampAuthority]:
    authority = TimestampAuthority(clock.url, clock.root)
    yield authority
    authority.close()
    clock.up, clock.delay = True, 0.0


def signed_by(chain: bytes, key: bytes, authority: TimestampAuthority | None = None, **kinds: OutputFormat) -> Signed:
    kind = kinds.get("kind", "PNG")
    return ManifestSigner(chain, sign_with_key(key), authority).sign(encode(PIXELS, kind), kind, RELEASE, None)


@pytest.fixture(scope="module", autouse=True)
def _end_reader() -> Iterator[None]:
    yield
    READER.close()


def state(image: bytes, trusted: bytes, time_roots: bytes = b"", kind: str = "PNG", sidecar: bytes = b"") -> str:
    READER.trust(trusted, time_roots)
    return READER.read(image, kind, sidecar).state


class Expired:
    """Pictures of a chain that has expired since: with a timestamp, without, and with one that followed."""

    def __init__(self, authority: TimestampAuthority) -> None:
        born = datetime.now(UTC) - LEAF_LIFE + timedelta(seconds=2)
        self.ca, chain, key = make_chain("Portcullis development", born)
        self.stamped = signed_by(chain, key, authority)
        self.bare = signed_by(chain, key)
        self.followed = stamp(self.bare.sidecar, authority.token)
        time.sleep(max(0.0, (born + LEAF_LIFE - datetime.now(UTC)).total_seconds()) + 1.1)


@pytest.fixture(scope="module")
def expired(clock: TimeStamps) -> Expired:
    authority = TimestampAuthority(clock.url, clock.root)
    try:
        return Expired(authority)
    finally:
        authority.close()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_stamped_picture_is_trusted_and_opens(
    clock: TimeStamps, authority: TimestampAuthority, kind: OutputFormat
) -> None:
    signed = signed_by(CHAIN, KEY, authority, kind=kind)

    assert signed.timestamped
    assert state(signed.image, CA, clock.root, kind) == "trusted"
    assert sanitise(signed.image).rgb.shape == PIXELS.shape


def test_a_stamped_manifest_has_at_most_15_kb(authority: TimestampAuthority) -> None:
    edit = type(RELEASE)(**{name: getattr(RELEASE, name) for name in RELEASE.__slots__} | {"operation": "edit"})
    signer = ManifestSigner(CHAIN, sign_with_key(KEY), authority)

    signed = signer.sign(picture(), "PNG", edit, picture(7))

    assert signed.timestamped
    assert len(signed.sidecar) <= 15_000
    assert len(signed.image) - len(picture()) <= 15_000


def test_an_expired_certificate_with_a_timestamp_is_trusted(expired: Expired, clock: TimeStamps) -> None:
    assert state(expired.stamped.image, expired.ca, clock.root) == "trusted"


def test_an_expired_certificate_without_a_timestamp_is_not(expired: Expired, clock: TimeStamps) -> None:
    assert state(expired.bare.image, expired.ca, clock.root) == "foreign"


def test_a_timestamp_of_an_authority_that_nobody_trusts_saves_nothing(expired: Expired, tmp_path: Path) -> None:
    with tsa.running(tmp_path) as other:
        assert state(expired.stamped.image, expired.ca, other.root) == "foreign"


def test_a_trusted_clock_may_not_sign_for_us() -> None:
    """The library takes the roots of clocks for signers too; a claim under one of them must stay foreign."""
    clock_root, chain, key = make_chain("Test time", datetime.now(UTC))

    assert state(signed_by(chain, key).image, CA, clock_root) == "foreign"


def test_a_timestamp_that_follows_validates_beside_the_released_file(expired: Expired, clock: TimeStamps) -> None:
    assert len(expired.followed) == len(expired.bare.sidecar)
    assert state(expired.bare.image, expired.ca, clock.root, sidecar=expired.followed) == "trusted"


def test_a_timestamp_comes_too_late_after_the_certificates_end(expired: Expired, authority: TimestampAuthority) -> None:
    with pytest.raises(FailedPrecondition, match="expired"):
        stamp(expired.bare.sidecar, authority.token)


def test_an_outage_does_not_stop_signing(clock: TimeStamps, authority: TimestampAuthority) -> None:
    clock.up = False

    signed = signed_by(CHAIN, KEY, authority)

    assert not signed.timestamped
    assert state(signed.image, CA, clock.root) == "trusted"


def test_a_failing_authority_is_not_asked_for_every_picture(clock: TimeStamps, authority: TimestampAuthority) -> None:
    clock.up, before = False, clock.asked

    for _ in range(3):
        signed_by(CHAIN, KEY, authority)

    assert clock.asked - before == 1
    assert authority.rests


def test_an_authority_that_hangs_costs_seconds_once(clock: TimeStamps, authority: TimestampAuthority) -> None:
    clock.delay, begun = 5.0, time.monotonic()

    stamped = [signed_by(CHAIN, KEY, authority).timestamped for _ in range(2)]

    assert stamped == [False, False]
    assert time.monotonic() - begun < 3.0


def test_a_timestamp_for_something_else_is_refused(clock: TimeStamps, authority: TimestampAuthority) -> None:
    replay = TimeStamps.answer
    first: list[bytes] = []

    def same_again(query: bytes) -> bytes:
        first.append(replay(clock, query))
        return first[0]

    clock.answer = same_again  # type: ignore[method-assign]
    try:
        authority.token(b"one")
        with pytest.raises(Unavailable):
            authority.token(b"another")
    finally:
        del clock.answer


def test_an_authority_under_another_root_is_refused(clock: TimeStamps) -> None:
    authority = TimestampAuthority(clock.url, CA)

    with pytest.raises(Unavailable):
        authority.token(b"one")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_stripped_file_validates_with_its_sidecar(kind: OutputFormat) -> None:
    stripped, sidecar = encode(PIXELS, kind), signed_by(CHAIN, KEY, kind=kind).sidecar

    assert state(stripped, CA, kind=kind) == "absent"
    assert state(stripped, CA, kind=kind, sidecar=sidecar) == "trusted"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_sidecar_does_not_validate_another_file(kind: OutputFormat) -> None:
    sidecar = signed_by(CHAIN, KEY, kind=kind).sidecar

    assert state(encode(255 - PIXELS, kind), CA, kind=kind, sidecar=sidecar) == "changed"
    assert state(encode(PIXELS, kind) + b"more", CA, kind=kind, sidecar=sidecar) == "changed"
