"""Posts one message to an address that we do not trust: bounded in time, nothing of its answer read, no redirects."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from services.core.errors import ConfigurationError
from services.review.addresses import Refused, Rules, parse, port_of, resolve

SECONDS = 10.0  # for everything: name, connection, handshake, request, and the head of the answer
GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it, in our own words; `gone`: the receiver wants nothing more."""

    good: bool
    status: str
    gone: bool = False


class Poster:
    """Posts with a hard limit of `seconds`."""

    def __init__(self, rules: Rules, ca: Path | None = None, *, at_once: int = 16, seconds: float = SECONDS) -> None:
        """Trusts the public authorities and those in the PEM file `ca`; raises ConfigurationError if that is none."""
        self._rules = rules
        self._seconds = seconds
        self._names = ThreadPoolExecutor(2 * at_once, "names")  # a name server that hangs holds a thread for a while
        self._tls = httpx.create_ssl_context(trust_env=False)
        if ca is not None:
            try:
                self._tls.load_verify_locations(ca)
            except OSError as error:
                raise ConfigurationError(
                    f"PORTCULLIS_REVIEW_WEBHOOK_CA: {ca} holds no certificates that can be read", reason="BAD_CA"
                ) from error

    async def post(self, target: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Posts `body`, and says what became of it; never raises for anything that the receiver does."""
        try:
            async with asyncio.timeout(self._seconds):
                url = parse(target, self._rules)
                return await self._first_that_connects(url, await resolve(url, self._rules, self._names), body, headers)
        except Refused as refused:
            return Outcome(False, refused.message)
        except (TimeoutError, httpx.TimeoutException):
            return Outcome(False, f"no answer within {self._seconds:g} seconds")
        except httpx.ConnectError as error:
            return Outcome(False, _why_not_connected(error))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Outcome(False, f"the connection broke ({type(error).__name__})")

    def close(self) -> None:
        """Ends the threads that resolve names."""
        self._names.shutdown(wait=False, cancel_futures=True)

    async def _first_that_connects(
        self, url: httpx.URL, addresses: list[str], body: bytes, headers: Mapping[str, str]
    ) -> Outcome:
        for address in addresses[:-1]:
            try:
                return await self._post_to(url, address, body, headers)
            except httpx.ConnectError:
                continue
        return await self._post_to(url, addresses[-1], body, headers)

    async def _post_to(self, url: httpx.URL, address: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        # The address that was judged stands in the URL; the name is for Host, SNI and the certificate's check.
        request = httpx.Request(
            "POST",
            url.copy_with(host=address, port=port_of(url)),
            content=body,
            headers={**headers, "host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, retries=0)
        async with httpx.AsyncClient(transport=transport, timeout=self._seconds, trust_env=False) as client:
            response = await client.send(request, stream=True, follow_redirects=False)
            await response.aclose()  # unread, whatever it holds
        return _judge(response.status_code)


def _judge(code: int) -> Outcome:
    if 200 <= code < 300:
        return Outcome(True, f"HTTP {code}")
    if 300 <= code < 400:
        return Outcome(False, f"HTTP {code}: redirects are not followed; give the final address")
    return Outcome(False, f"HTTP {code}", gone=code == GONE)


def _why_not_connected(error: httpx.ConnectError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "the TLS handshake failed"
        cause = cause.__cause__ or cause.__context__
    return "it does not take connections"
