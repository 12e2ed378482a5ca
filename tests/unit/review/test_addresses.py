"""No webhook leads inside: neither by its form, nor by what its name resolves to."""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.core.errors import ConfigurationError
from services.review.addresses import Refused, Rules, is_public, parse, resolve

RULES = Rules()


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2001:4860:4860::8888"])
def test_what_is_public_is_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
@example(IPv4Address("127.0.0.1"))
def test_no_ipv4_address_gets_in_inside_of_an_ipv6_one(inner: IPv4Address) -> None:
    number = int(inner)
    carriers = [
        IPv6Address(number),
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address(int(IPv6Address("2002::")) | number << 80),
    ]

    assert not any(map(is_public, carriers))


@given(st.ip_addresses())
def test_what_is_public_is_global_by_the_registries_too(address: IPv4Address | IPv6Address) -> None:
    assert address.is_global or not is_public(address)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example/", "https"),
        ("ftp://hooks.example/", "https"),
        ("file:///etc/passwd", "https"),
        ("//hooks.example/", "https"),
        ("https://user:word@hooks.example/", "password"),
        ("https://hooks.example@127.0.0.1/", "password"),
        ("https://hooks.example:8443/", "port 8443"),
        ("https://hooks.example:22/", "port 22"),
        ("https:///path", "host"),
        ("https://hooks.example/#part", "fragment"),
        ("https://hooks.example/" + 2048 * "a", "2048"),
        ("https://[::1", "URL"),
        ("https://hooks.example:port/", "URL"),
        ("https://hooks.example/\x00", "URL"),
        ("", "https"),
    ],
)
def test_a_form_that_is_not_allowed_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        parse(url, RULES)


@given(st.text(max_size=60))
@example("https://hooks.example/path?q=1")
def test_any_text_is_a_good_url_or_refused(text: str) -> None:
    try:
        url = parse(text, RULES)
    except Refused:
        return
    assert (url.scheme, url.userinfo, bool(url.host)) == ("https", b"", True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"]
)
async def test_no_spelling_of_this_machine_is_posted_to(host: str) -> None:
    with pytest.raises(Refused):
        await resolve(parse(f"https://{host}/", RULES), RULES)


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def resolved(_host: str, port: int, *_: object) -> list[tuple[object, ...]]:
        return [(None, None, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


async def test_one_address_of_the_inside_among_public_ones_spoils_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "93.184.216.34", "10.0.0.1")

    with pytest.raises(Refused, match="not public"):
        await resolve(httpx.URL("https://hooks.example/"), RULES)


async def test_public_addresses_are_given_in_order_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "2606:4700::1111", "93.184.216.34", "93.184.216.34")

    assert await resolve(httpx.URL("https://hooks.example/"), RULES) == ["2606:4700::1111", "93.184.216.34"]


@pytest.mark.parametrize("inside", ["hooks.internal", "10.0.0.0/8"])
async def test_what_is_listed_may_be_inside(monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    answers(monkeypatch, "10.0.0.1")

    assert await resolve(httpx.URL("https://hooks.internal/"), Rules.of([443], False, [inside])) == ["10.0.0.1"]


async def test_a_network_that_is_listed_opens_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "10.0.0.1", "127.0.0.1")

    with pytest.raises(Refused, match="not public"):
        await resolve(httpx.URL("https://hooks.internal/"), Rules.of([443], False, ["10.0.0.0/8"]))


def test_a_network_that_is_none_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.0/99"):
        Rules.of([443], False, ["10.0.0.0/99"])
