"""Manifests: what we sign reads as ours, and nothing else does."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import c2pa
import numpy as np
import pytest
from numpy.typing import NDArray

from services.core.errors import ConfigurationError, Unavailable
from services.core.imaging import OutputFormat, encode
from services.core.signals import Lineage, ModelVersion
from services.provenance.authority import make_chain
from services.provenance.embedding import embed
from services.provenance.manifest import ManifestSigner, Release, Signed
from services.provenance.manifest_reader import ManifestFinding, ManifestReader
from services.provenance.signing_key import sign_with_key

RELEASE = Release(
    image_id="6b1c0a52-0f5c-4f0e-9f4d-3f2d6a0f7a11",
    payload_id="00112233aabbccdd",
    operation="create",
    lineage=Lineage(1, ()),
    model=ModelVersion("scenes", "1", "ab" * 32),
    policy="cd" * 32,
    clearance_id="a clearance",
    seed=7,
    parameters={"steps": 8, "guidance": 2.0, "size": 256, "scheduler": "DDIMScheduler"},
)
KINDS: tuple[OutputFormat, ...] = ("PNG", "JPEG", "WEBP")
NOW = datetime.now(UTC)
NAMES = "Portcullis development"
AUTHORITY, CHAIN, KEY = make_chain(NAMES, NOW)


def pixels(shade: int = 90) -> NDArray[np.uint8]:
    return np.random.default_rng(shade).integers(0, 255, (64, 64, 3)).astype(np.uint8)


def picture(shade: int = 90) -> bytes:
    return encode(pixels(shade))


@pytest.fixture(scope="module")
def signer() -> ManifestSigner:
    return ManifestSigner(CHAIN, sign_with_key(KEY))


@pytest.fixture(scope="module")
def signed(signer: ManifestSigner) -> Signed:
    return signer.sign(picture(), "PNG", RELEASE, None)


@pytest.fixture(scope="module")
def reader() -> Iterator[ManifestReader]:
    reader = ManifestReader(AUTHORITY)
    yield reader
    reader.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_we_sign_is_trusted(signer: ManifestSigner, reader: ManifestReader, kind: OutputFormat) -> None:
    signed = signer.sign(encode(pixels(), kind), kind, RELEASE, None)

    assert reader.read(signed.image, kind) == ManifestFinding("trusted", RELEASE.image_id, RELEASE.payload_id)


def test_an_edit_with_its_parent_is_trusted(signer: ManifestSigner, reader: ManifestReader) -> None:
    edit = Release(**{name: getattr(RELEASE, name) for name in Release.__slots__} | {"operation": "edit"})

    signed = signer.sign(picture(), "PNG", edit, picture(7))

    assert reader.read(signed.image, "PNG").state == "trusted"


def test_a_picture_without_a_manifest(reader: ManifestReader) -> None:
    assert reader.read(picture(), "PNG") == ManifestFinding("absent")


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_seen(signer: ManifestSigner, reader: ManifestReader, kind: OutputFormat) -> None:
    signed = signer.sign(encode(pixels(), kind), kind, RELEASE, None)
    spoilt = bytearray(signed.image)
    spoilt[-30 if kind != "WEBP" else 200] ^= 1  # a WebP ends with its manifest

    assert reader.read(bytes(spoilt), kind) == ManifestFinding("changed", RELEASE.image_id, RELEASE.payload_id)


@pytest.mark.parametrize("kind", KINDS)
def test_appended_bytes_are_seen(signer: ManifestSigner, reader: ManifestReader, kind: OutputFormat) -> None:
    signed = signer.sign(encode(pixels(), kind), kind, RELEASE, None)

    assert reader.read(signed.image + b"more", kind).state == "changed"


@pytest.mark.parametrize("kind", KINDS)
def test_a_transplanted_manifest_is_seen(signer: ManifestSigner, reader: ManifestReader, kind: OutputFormat) -> None:
    """Our manifest in another picture of the same size, in the place where it stood."""
    signed = signer.sign(encode(pixels(), kind), kind, RELEASE, None)
    other = encode(pixels(8), kind)
    places = {"PNG": 33, "JPEG": 20, "WEBP": len(other)}

    moved = embed(other, kind, signed.sidecar, places[kind])

    assert reader.read(moved, kind).state == "changed"


def test_a_forged_manifest_is_not_ours(signed: Signed, reader: ManifestReader) -> None:
    spoilt = signed.image.replace(RELEASE.payload_id.encode(), b"f" * 16)

    assert reader.read(spoilt, "PNG") == ManifestFinding("foreign")


def test_a_strangers_chain_with_our_names_is_not_ours(reader: ManifestReader) -> None:
    _, chain, key = make_chain(NAMES, NOW)

    signed = ManifestSigner(chain, sign_with_key(key)).sign(picture(), "PNG", RELEASE, None)

    assert reader.read(signed.image, "PNG") == ManifestFinding("foreign")


def test_an_expired_certificate_signs_nothing() -> None:
    _, chain, key = make_chain(NAMES, NOW - timedelta(days=500))

    with pytest.raises(Unavailable):
        ManifestSigner(chain, sign_with_key(key)).sign(picture(), "PNG", RELEASE, None)


@pytest.mark.parametrize("data", [b"", b"nonsense" * 99, picture()[:60]], ids=["empty", "nonsense", "truncated"])
def test_nonsense_is_no_manifest_of_ours(reader: ManifestReader, data: bytes) -> None:
    assert reader.read(data, "PNG").state in {"absent", "unreadable"}


def test_a_helper_that_dies_is_replaced(signed: Signed) -> None:
    reader = ManifestReader(AUTHORITY)
    reader.read(signed.image, "PNG")
    assert reader._helper is not None
    reader._helper._process.kill()
    reader._helper._process.wait()

    states = [reader.read(signed.image, "PNG").state for _ in range(2)]

    reader.close()
    assert states == ["unreadable", "trusted"]


def test_the_manifest_says_what_it_must_and_shows_nothing(signed: Signed) -> None:
    with c2pa.Reader("image/png", io.BytesIO(signed.image)) as store:
        manifest = store.get_active_manifest()
    assertions = {entry["label"]: entry["data"] for entry in manifest["assertions"]}
    created = assertions["c2pa.actions.v2"]["actions"][0]

    assert created["action"] == "c2pa.created"
    assert created["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert assertions["c2pa.soft-binding"]["blocks"][0]["value"] == RELEASE.payload_id
    assert assertions["org.portcullis.release"]["policy"] == RELEASE.policy
    assert assertions["org.portcullis.release"]["seed"] == RELEASE.seed
    assert assertions["org.portcullis.release"]["parameters"] == RELEASE.parameters
    assert "thumbnail" not in json.dumps(manifest)
    assert len(signed.sidecar) < 15_000


def test_the_manifest_says_where_to_ask() -> None:
    signer = ManifestSigner(CHAIN, sign_with_key(KEY), detector_url="https://example.com/ours")

    signed = signer.sign(picture(), "PNG", RELEASE, None)

    with c2pa.Reader("image/png", io.BytesIO(signed.image)) as store:
        assertions = {entry["label"]: entry["data"] for entry in store.get_active_manifest()["assertions"]}
    assert assertions["org.portcullis.release"]["detector"] == "https://example.com/ours"


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        sign_with_key(b"no key")
