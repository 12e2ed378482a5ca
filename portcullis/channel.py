"""How the clients connect: TLS always, bounded messages, the key as call credentials that only TLS channels carry."""

from __future__ import annotations

from pathlib import Path

import grpc

from portcullis.errors import PortcullisError
from portcullis.profile import Profile

MIB = 1024 * 1024
OPTIONS = [
    # An answer may carry a picture at full size; a request holds at most a picture of 16 MiB with its mask.
    ("grpc.max_receive_message_length", 64 * MIB),
    ("grpc.max_send_message_length", 20 * MIB),
]


def gateway_credentials(profile: Profile) -> grpc.ChannelCredentials:
    """TLS to the gateway, with the API key as a bearer token on every call."""
    tls = grpc.ssl_channel_credentials(root_certificates=_read(profile.ca) if profile.ca else None)
    return grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(profile.api_key))


def analyst_credentials(profile: Profile) -> grpc.ChannelCredentials:
    """TLS to the review service with the analyst's own certificate. Raises PortcullisError where there is none."""
    if not (profile.review_address and profile.analyst_cert and profile.analyst_key):
        raise PortcullisError(
            "reviewing needs an analyst's certificate: set PORTCULLIS_REVIEW_ADDRESS, PORTCULLIS_ANALYST_CERT and "
            "PORTCULLIS_ANALYST_KEY",
            code="FAILED_PRECONDITION",
            reason="NO_ANALYST",
        )
    return grpc.ssl_channel_credentials(
        root_certificates=_read(profile.ca) if profile.ca else None,
        private_key=_read(profile.analyst_key),
        certificate_chain=_read(profile.analyst_cert),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PortcullisError(
            f"cannot read {path}: {error.strerror}", code="FAILED_PRECONDITION", reason="CREDENTIALS_UNREADABLE"
        ) from error
