"""Whom a request comes from, by its connection and by what proxies say of it."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.receiver.clients import client_of

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8:1::/48"))


def request(peer: str | None, *forwarded: str) -> dict[str, object]:
    """Return a request's scope. forwarded: the values of its X-Forwarded-For, in order."""
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {"client": None if peer is None else (peer, 40000), "headers": [(b"host", b"x"), *headers]}


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.7", (), "192.0.2.7"),
        ("192.0.2.7", ("198.51.100.1",), "192.0.2.7"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("::ffff:10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("192.0.2.66, 198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("192.0.2.66", "198.51.100.1"), "198.51.100.1"),
        ("10.0.0.1", ("192.0.2.66, 198.51.100.1, 10.2.3.4",), "198.51.100.1"),
        ("2001:db8:1::1", ("198.51.100.1,10.0.0.9",), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1:52000",), "198.51.100.1"),
        ("10.0.0.1", ("[2001:db8::7]:52000",), "2001:db8::7"),
        ("10.0.0.1", ("2001:db8::7",), "2001:db8::7"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("10.2.3.4, 10.0.0.9",), "10.2.3.4"),
    ],
)
def test_a_client_is_the_last_that_a_trusted_proxy_names_and_that_is_none_itself(
    peer: str, forwarded: tuple[str, ...], client: str
) -> None:
    assert client_of(request(peer, *forwarded), PROXIES) == ipaddress.ip_address(client)


@pytest.mark.parametrize("forwarded", ["", "unknown", "198.51.100.1, ", "198.51.100.1, _hidden", "::1]"])
def test_what_a_trusted_proxy_names_in_no_address_comes_from_nobody_known(forwarded: str) -> None:
    assert client_of(request("10.0.0.1", forwarded), PROXIES) is None


def test_a_request_without_an_address_comes_from_nobody_known() -> None:
    assert client_of(request(None, "198.51.100.1"), PROXIES) is None


@given(st.lists(st.text(st.characters(codec="latin-1")), max_size=4))
def test_whoever_is_no_proxy_can_claim_nothing(forwarded: list[str]) -> None:
    assert client_of(request("192.0.2.7", *forwarded), PROXIES) == ipaddress.ip_address("192.0.2.7")


@given(st.lists(st.text(st.characters(codec="latin-1")), max_size=4))
def test_whatever_a_client_claims_its_proxy_has_the_last_word(claimed: list[str]) -> None:
    scope = request("10.0.0.1", *claimed, "192.0.2.7")

    assert client_of(scope, PROXIES) == ipaddress.ip_address("192.0.2.7")
