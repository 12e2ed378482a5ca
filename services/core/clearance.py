"""Clearances: signed, short-lived proof that these very bytes passed a check.

A clearance is a JWT (RFC 7519) signed with Ed25519 (RFC 8037), `typ: clearance+jwt`. Verifiers accept one algorithm,
keys of a JWKS file (RFC 7517) in which every key names the one issuer that may use it, and only the stages that this
issuer may speak for.
"""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from services.core.errors import ConfigurationError, PermissionDenied
from services.core.policy.categories import Stage
from services.core.secret_files import Followed, replace_secret, write_secret

ALGORITHM = "EdDSA"
JWT_TYP = "clearance+jwt"
REQUIRED_CLAIMS = ["iss", "aud", "jti", "iat", "exp", "tenant", "account", "stage", "digests", "policy"]
LEEWAY_SECONDS = 5
JWKS = "jwks.json"
RETIRED_KEPT = timedelta(hours=2)  # the longest life of a clearance is one

# Which stages an issuer may clear. The review service speaks for a person who released what was held.
ISSUERS: Mapping[str, frozenset[Stage]] = {
    "prompt_filter": frozenset({"prompt"}),
    "image_filter": frozenset({"upload", "output"}),
    "combo_filter": frozenset({"pair"}),
    "review": frozenset({"prompt", "upload", "pair", "output"}),
}
# Who may accept a clearance of a stage.
AUDIENCES: Mapping[Stage, tuple[str, ...]] = {
    "prompt": ("combo_filter", "generator"),
    "upload": ("combo_filter", "generator"),
    "pair": ("generator",),
    "output": ("provenance",),
}


Keys = Mapping[str, tuple[str, Ed25519PublicKey]]
"""Key id → issuer and public key."""


def digest(data: bytes) -> str:
    """sha256 as lower-case hex."""
    return sha256(data).hexdigest()


def prompt_digests(prompt: str, negative_prompt: str) -> dict[str, str]:
    """The digests that name a text request; without a negative prompt there is none of it to bind."""
    given = {"prompt": prompt, "negative_prompt": negative_prompt}
    return {name: digest(text.encode()) for name, text in given.items() if text}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a clearance says.

    `digests` names what is bound ("prompt", "negative_prompt", "image", "mask", "request"), each a sha256
    in hex; `signals` is the digest of the signals behind the verdict, so that a later check can trust them without
    measuring again.
    """

    tenant: str
    account: str
    stage: Stage
    digests: Mapping[str, str]
    policy: str
    models: tuple[str, ...] = ()
    signals: str = ""
    clearance_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def create_keys(folder: Path) -> None:
    """Makes one Ed25519 key per issuer and the JWKS of their public halves; keeps what exists."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for issuer in ISSUERS:
        path = folder / f"{issuer}.pem"
        if not path.exists():
            write_secret(path, _pem(Ed25519PrivateKey.generate()))
    current = [_entry(issuer, _load_private(folder / f"{issuer}.pem").public_key()) for issuer in ISSUERS]
    kept = {entry["kid"] for entry in current}
    _publish(folder, [*current, *(entry for entry in _retired(folder) if entry["kid"] not in kept)])


def rotate_keys(folder: Path, now: datetime, *, distrust: bool = False) -> None:
    """Gives every issuer a new key. The old ones go on verifying for two hours, longer than any clearance lives.

    With `distrust` they end at once, and with them every clearance that they signed. Running rooms take both: first
    the new public keys are told, then the private ones are put in their place.
    """
    fresh = {issuer: Ed25519PrivateKey.generate() for issuer in ISSUERS}
    told = [_entry(issuer, key.public_key()) for issuer, key in fresh.items()]
    ending = [{**entry, "retired": entry.get("retired", now.isoformat())} for entry in _published(folder)]
    _publish(folder, told if distrust else [*told, *(entry for entry in ending if not _over(entry, now))])
    for issuer, key in fresh.items():
        replace_secret(folder / f"{issuer}.pem", _pem(key))


def _entry(issuer: str, public: Ed25519PublicKey) -> dict[str, str]:
    entry: dict[str, str] = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(public))
    return {**entry, "kid": _key_id(public), "use": "sig", "alg": ALGORITHM, "iss": issuer}


def _published(folder: Path) -> list[dict[str, str]]:
    path = folder / JWKS
    keys: list[dict[str, str]] = json.loads(path.read_text())["keys"] if path.exists() else []
    return keys


def _retired(folder: Path) -> list[dict[str, str]]:
    now = datetime.now(UTC)
    return [entry for entry in _published(folder) if "retired" in entry and not _over(entry, now)]


def _over(entry: Mapping[str, str], now: datetime) -> bool:
    return datetime.fromisoformat(entry["retired"]) < now - RETIRED_KEPT


def _publish(folder: Path, keys: list[dict[str, str]]) -> None:
    """Puts the JWKS in place at once: nobody ever reads half of it."""
    draft = folder / f"{JWKS}.draft"
    draft.write_text(json.dumps({"keys": keys}, indent=2) + "\n")
    draft.rename(folder / JWKS)


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"no usable clearance key at {path}: start `portcullis up` once to make one"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"the clearance key at {path} is not an Ed25519 key")
    return key


def _key_id(key: Ed25519PublicKey) -> str:
    return sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


class ClearanceSigner:
    """Issues the clearances of one service."""

    def __init__(self, issuer: str, key: Callable[[], Ed25519PrivateKey], lifetime: timedelta) -> None:
        """`key` gives the key to sign with, each time anew."""
        self._issuer = issuer
        self._key = key
        self._lifetime = lifetime

    @classmethod
    def load(cls, folder: Path, issuer: str, lifetime: timedelta) -> ClearanceSigner:
        """Follows `<folder>/<issuer>.pem`; raises ConfigurationError where it cannot be read."""
        return cls(issuer, Followed(folder / f"{issuer}.pem", _load_private), lifetime)

    def issue(self, claim: Claim, now: datetime | None = None) -> str:
        """Signs `claim`; `now` is the time of issue (UTC)."""
        if claim.stage not in ISSUERS[self._issuer]:
            raise PermissionDenied(f"{self._issuer} may not clear stage {claim.stage}", reason="CLEARANCE_STAGE")
        issued = now or datetime.now(UTC)
        payload: dict[str, Any] = {
            "iss": self._issuer,
            "aud": list(AUDIENCES[claim.stage]),
            "jti": claim.clearance_id,
            "iat": issued,
            "exp": issued + self._lifetime,
            "tenant": claim.tenant,
            "account": claim.account,
            "stage": claim.stage,
            "digests": dict(claim.digests),
            "policy": claim.policy,
            "models": list(claim.models),
            "signals": claim.signals,
        }
        key = self._key()
        return jwt.encode(payload, key, ALGORITHM, headers={"kid": _key_id(key.public_key()), "typ": JWT_TYP})


class ClearanceVerifier:
    """Accepts clearances on behalf of one audience."""

    def __init__(self, keys: Callable[[], Keys], audience: str) -> None:
        """`keys` gives those that count, each time anew."""
        self._keys = keys
        self._audience = audience

    @classmethod
    def load(cls, jwks: Path, audience: str) -> ClearanceVerifier:
        """Follows a JWKS file; raises ConfigurationError where it cannot be read."""
        return cls(Followed(jwks, _read_jwks), audience)

    def verify(self, token: str, *, stage: Stage, tenant: str, account: str, digests: Mapping[str, str]) -> Claim:
        """Returns the claim if `token` clears exactly `digests` at `stage` for this account, else PermissionDenied.

        The error's `reason` is one of CLEARANCE_MISSING, _INVALID, _EXPIRED, _STAGE, _SUBJECT, _DIGEST.
        """
        if not token:
            raise PermissionDenied(f"a clearance of stage {stage} is needed", reason="CLEARANCE_MISSING")
        payload = self._decode(token)
        if payload["stage"] != stage or stage not in ISSUERS.get(payload["iss"], frozenset()):
            raise PermissionDenied(f"the clearance is not one of stage {stage}", reason="CLEARANCE_STAGE")
        if not _same({"tenant": tenant, "account": account}, {key: payload[key] for key in ("tenant", "account")}):
            raise PermissionDenied("the clearance was given to another account", reason="CLEARANCE_SUBJECT")
        if not _same(digests, payload["digests"]):
            raise PermissionDenied("the clearance was given for other content", reason="CLEARANCE_DIGEST")
        return Claim(
            tenant=tenant,
            account=account,
            stage=stage,
            digests=dict(digests),
            policy=payload["policy"],
            models=tuple(payload.get("models", ())),
            signals=payload.get("signals", ""),
            clearance_id=payload["jti"],
        )

    def _decode(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != JWT_TYP:
                raise jwt.InvalidTokenError("typ")
            issuer, key = self._keys()[header["kid"]]
            payload: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED_CLAIMS},
            )
        except jwt.ExpiredSignatureError as error:
            raise PermissionDenied("the clearance has expired", reason="CLEARANCE_EXPIRED") from error
        except (jwt.InvalidTokenError, KeyError, TypeError) as error:
            raise PermissionDenied("the clearance is not valid here", reason="CLEARANCE_INVALID") from error
        return payload


def _read_jwks(path: Path) -> Keys:
    try:
        entries: list[dict[str, str]] = json.loads(path.read_text())["keys"]
        return {entry["kid"]: (entry["iss"], _public_key(entry)) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, jwt.InvalidKeyError) as error:
        raise ConfigurationError(f"no usable clearance keys at {path}: start `portcullis up` once") from error


def _public_key(entry: dict[str, str]) -> Ed25519PublicKey:
    key = jwt.algorithms.OKPAlgorithm.from_jwk(json.dumps(entry))
    if not isinstance(key, Ed25519PublicKey):
        raise jwt.InvalidKeyError("not an Ed25519 public key")
    return key


def _same(expected: Mapping[str, str], actual: object) -> bool:
    """Compares the two mappings whole, in constant time for equal sizes."""
    mine = json.dumps(dict(expected), sort_keys=True).encode()
    theirs = json.dumps(actual, sort_keys=True).encode()
    return hmac.compare_digest(mine, theirs)
