"""Where a webhook may go: https, a listed port, and a name whose every address belongs to the public internet.

The name is resolved here and the connection made to the very address that was judged, so that a name which changes its
address in between (DNS rebinding) leads nowhere else. Address blocks: IANA's special-purpose registries (RFC 6890) as
the ipaddress module has them, and those that hide another address inside.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpx

from services.core.errors import ConfigurationError, PortcullisError

LONGEST_URL = 2048
UNICAST = IPv6Network("2000::/3")
# 6to4 and Teredo carry an IPv4 address inside; NAT64, mapped and compatible addresses lie outside of UNICAST.
CARRIERS = (IPv6Network("2002::/16"), IPv6Network("2001::/32"), IPv4Network("192.88.99.0/24"))

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Refused(PortcullisError):
    """This address is not one that we post to; the message says why."""

    code = "INVALID_ARGUMENT"


@dataclass(frozen=True, slots=True)
class Rules:
    """What is allowed: ports, plain http (for tests), and what of the inside was listed, by name or by network."""

    ports: frozenset[int] = frozenset({443})
    insecure: bool = False
    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = field(default=())

    @classmethod
    def of(cls, ports: Sequence[int], insecure: bool, inside: Sequence[str]) -> Rules:
        """Rules from settings; `inside` holds names ("hooks.internal") and networks ("10.1.0.0/16")."""
        hosts: set[str] = set()
        networks: list[Network] = []
        for entry in inside:
            try:
                networks.append(ipaddress.ip_network(entry))
            except ValueError:
                if "/" in entry:
                    raise ConfigurationError(
                        f"PORTCULLIS_REVIEW_WEBHOOK_INSIDE: {entry} is neither a network nor a name",
                        reason="BAD_SETTING",
                    ) from None
                hosts.add(entry.lower())
        return cls(frozenset(ports), insecure, frozenset(hosts), tuple(networks))


def parse(text: str, rules: Rules) -> httpx.URL:
    """The URL, if its form is allowed; raises Refused. Whether its addresses are is for `resolve` to say, each time."""
    if len(text) > LONGEST_URL:
        raise Refused(f"a URL has at most {LONGEST_URL} characters", reason="BAD_URL")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise Refused("this is not a URL", reason="BAD_URL") from None
    if url.scheme != "https" and not (rules.insecure and url.scheme == "http"):
        raise Refused("only https is allowed", reason="BAD_URL")
    if url.userinfo:
        raise Refused("no user name or password may be in it", reason="BAD_URL")
    if not url.host or url.fragment:
        raise Refused("it needs a host, and no fragment", reason="BAD_URL")
    if port_of(url) not in rules.ports:
        ports = ", ".join(map(str, sorted(rules.ports)))
        raise Refused(f"port {port_of(url)} is not allowed; {ports} is", reason="BAD_URL")
    return url


def port_of(url: httpx.URL) -> int:
    """The port that a URL means."""
    return url.port or {"https": 443, "http": 80}[url.scheme]


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet's, and carries no other inside."""
    if isinstance(address, IPv6Address) and address not in UNICAST:
        return False
    if any(address.version == network.version and address in network for network in CARRIERS):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


async def resolve(url: httpx.URL, rules: Rules, executor: Executor | None = None) -> list[str]:
    """The addresses of a URL's host, in the system's order, every one of them allowed.

    Raises Refused where one is not: a name that has both kinds is a trick or a mistake.
    """
    host = url.raw_host.decode("ascii")
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(executor, socket.getaddrinfo, host, port_of(url), 0, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused("the name does not resolve", reason="NAME_UNKNOWN") from None
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    if not addresses:
        raise Refused("the name does not resolve", reason="NAME_UNKNOWN")
    if url.host.lower() not in rules.hosts:
        for address in map(ipaddress.ip_address, addresses):
            listed = any(address.version == net.version and address in net for net in rules.networks)
            if not (listed or is_public(address)):
                raise Refused("the name leads to an address that is not public", reason="ADDRESS_NOT_PUBLIC")
    return addresses
