"""`portcullis provenance`: chains that hold, keys of several epochs, and nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from cryptography import x509
from skimage.data import astronaut
from typer.testing import CliRunner

from portcullis.errors import PortcullisError as ClientError
from services.commands.provenance import app
from services.provenance.authority import create_watermark_key
from services.provenance.manifest import ManifestSigner
from services.provenance.manifest_reader import ManifestReader
from services.provenance.marking import load_codec
from services.provenance.signing_key import sign_with_key
from tests.unit.provenance.test_manifest import RELEASE, picture

PAYLOAD = [0, 1] * 32


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PORTCULLIS_HOME", str(tmp_path))
    return tmp_path / "keys" / "c2pa"


def ca(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["ca", *map(str, arguments)])


def done(*arguments: object) -> str:
    result = ca(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def signed(folder: Path) -> bytes:
    signer = ManifestSigner((folder / "chain.pem").read_bytes(), sign_with_key((folder / "key.pem").read_bytes()))
    return signer.sign(picture(), "PNG", RELEASE, None).image


def states(folder: Path, *images: bytes) -> list[str]:
    reader = ManifestReader.load(folder)
    try:
        return [reader.read(image, "PNG").state for image in images]
    finally:
        reader.close()


def test_a_chain_that_init_makes_signs(folder: Path) -> None:
    shown = done("init", "--organisation", "Example Ltd", "--algorithm", "ed25519")

    assert "Example Ltd" in shown
    assert "ed25519" in shown
    assert states(folder, signed(folder)) == ["trusted"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_init_overwrites_nothing(folder: Path) -> None:
    done("init")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    result = ca("init")

    assert isinstance(result.exception, ClientError)
    assert "rotate" in str(result.exception)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_was_signed_before_a_rotation_stays_trusted(folder: Path) -> None:
    done("init", "--organisation", "Example Ltd")
    before = signed(folder)

    shown = done("rotate")

    assert shown.count("Example Ltd") == 3
    assert states(folder, before, signed(folder)) == ["trusted", "trusted"]


def test_a_new_leaf_under_the_same_ca(folder: Path, tmp_path: Path) -> None:
    done("init", "--ca-key", tmp_path / "ca.key")
    authority, before = (folder / "ca.pem").read_bytes(), signed(folder)

    done("rotate", "--ca-key", tmp_path / "ca.key")

    assert (folder / "ca.pem").read_bytes() == authority
    assert states(folder, before, signed(folder)) == ["trusted", "trusted"]
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600


def test_the_key_of_another_ca_issues_nothing(folder: Path, tmp_path: Path) -> None:
    done("init")
    done("init", "--folder", tmp_path / "other", "--ca-key", tmp_path / "ca.key")

    result = ca("rotate", "--ca-key", tmp_path / "ca.key")

    assert "none of the trusted CAs" in str(result.exception)


@pytest.mark.parametrize("command", ["rotate", "show"])
def test_without_a_chain_the_way_is_told(folder: Path, command: str) -> None:
    assert "provenance ca init" in str(ca(command).exception)


def test_the_leaf_follows_the_recipe(folder: Path) -> None:
    done("init")
    leaf = x509.load_pem_x509_certificates((folder / "chain.pem").read_bytes())[0]

    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert "1.3.6.1.4.1.62558.2.1" in {purpose.dotted_string for purpose in purposes}


def test_a_new_epoch_keeps_the_key_of_the_old(folder: Path) -> None:
    keys = folder.parent
    keys.mkdir()
    create_watermark_key(keys / "watermark.key")
    before = (keys / "watermark.key").read_bytes()
    ours = load_codec(keys).embed(astronaut(), PAYLOAD)

    result = CliRunner().invoke(app, ["key", "rotate"])

    (earlier,) = keys.glob("watermark-*.key")
    assert earlier.name in result.output.replace("\n", "")
    assert earlier.read_bytes() == before != (keys / "watermark.key").read_bytes()
    assert (keys / "watermark.key").stat().st_mode & 0o777 == 0o600
    assert load_codec(keys).detect(ours)["bits"].tolist() == PAYLOAD


def test_without_a_key_there_is_no_epoch_to_end(folder: Path) -> None:
    result = CliRunner().invoke(app, ["key", "rotate"])

    assert "no watermark key" in str(result.exception)
