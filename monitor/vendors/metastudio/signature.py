"""How MetaStudio signs a callback: HMAC-SHA256 over the callback's URL and a time, not over the body.

The time is lower-case hex of Unix seconds. What is signed is told in two ways: the vendor's SDK
works an example without the scheme and with the query sorted (form `stripped`), its page says "URI +
hwTime" (form `full_url`). Both are accepted, and which one matched is counted.
"""

import hashlib
import hmac
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from monitor.config import AuthType, Source
from monitor.errors import AuthenticationError
from monitor.vendors.protocol import UNSIGNED, Request, Verified, Verifier

STRIPPED = "stripped"
FULL_URL = "full_url"

_SECRET_PARAMETER = "hwSecret"  # noqa: S105 - the parameter's name
_TIME_PARAMETER = "hwTime"
_SECRET_HEADER = "x-hw-mss-secret"  # noqa: S105 - the header's name
_TIME_HEADER = "x-hw-mss-time"


class SignatureParts(NamedTuple):
    """What a signature adds to a request. query: without `?` or `&` in front; empty if nothing."""

    query: str
    headers: dict[str, str]


class _Told(NamedTuple):
    """What a request says of its signature. query: the raw query without the signature itself."""

    secret: str | None
    time: str | None
    query: str


def sign(public_url: str, auth_type: AuthType, key: str, signed: int, form: str = STRIPPED) -> SignatureParts:
    """Sign a request as the vendor does.

    Args:
        public_url: the callback's URL as the vendor has it.
        auth_type: where the signature goes.
        key: one of the source's keys.
        signed: the time to sign, in Unix seconds.
        form: stripped or full_url.
    """
    if auth_type is AuthType.NONE:
        return SignatureParts("", {})
    time = format(signed, "x")
    text = dict(_signed_texts(public_url))[form]
    secret = hmac.new(key.encode(), text + time.encode(), hashlib.sha256).hexdigest()
    if auth_type is AuthType.MSS_A:
        return SignatureParts(f"{_SECRET_PARAMETER}={secret}&{_TIME_PARAMETER}={time}", {})
    return SignatureParts("", {_SECRET_HEADER: secret, _TIME_HEADER: time})


def verifier(source: Source) -> Verifier:
    """Prepare what checks this source's callbacks.

    The URL is hashed here, once for each key and form, so that a second costs its time's bytes only.
    """
    if source.auth_type is AuthType.NONE:
        return _url_verifier(source.public_url)
    keys = [key.get_secret_value().encode() for key in source.keys]
    address, _, configured_query = source.public_url.partition("?")
    begun = [
        (form, hmac.new(key, text, hashlib.sha256))
        for form, text in _signed_texts(source.public_url)
        for key in keys
    ]
    read = _from_query if source.auth_type is AuthType.MSS_A else _from_headers

    # The body isn't signed: all callbacks of a second have one signature.
    @lru_cache(maxsize=16)
    def expected(time: str) -> tuple[tuple[Verified, bytes], ...]:
        signed = _seconds(time)
        found = []
        for form, begun_hash in begun:
            whole = begun_hash.copy()
            whole.update(time.encode())
            found.append((Verified(signed, form), whole.hexdigest().encode()))
        return tuple(found)

    def verify(request: Request) -> Verified:
        told = read(request)
        if told.secret is None or told.time is None:
            raise AuthenticationError("missing", "The request carries no signature.")
        secret = told.secret.encode("utf-8", "replace")
        for verified, signature in expected(told.time):
            if hmac.compare_digest(signature, secret):
                return verified
        # The vendor signs the URL it was given. That is the configured one, or the configured one
        # with a query that the configuration leaves out. Taking the query from the request opens
        # nothing: whoever could sign another query could sign the right one. Nor can characters
        # wander between the query's end and the time, though nothing stands between them: a time
        # that is one digit shorter lies before 1980, a longer one is refused, a zero in front too.
        if told.query != configured_query:
            for form, text in _signed_texts(f"{address}?{told.query}" if told.query else address):
                for key in keys:
                    signature = hmac.new(key, text + told.time.encode(), hashlib.sha256).hexdigest().encode()
                    if hmac.compare_digest(signature, secret):
                        return Verified(_seconds(told.time), form)
        raise AuthenticationError("signature", "The signature doesn't match.")

    return verify


def _signed_texts(url: str) -> Iterator[tuple[str, bytes]]:
    """Yield each form's name and text, which the time follows.

    Host, port, path and percent-encoding are taken as the URL writes them, and a URL without a query
    has no question mark: nobody published what the vendor does there, and this is what leaving out
    the scheme and sorting the query amounts to.
    """
    address, _, query = url.partition("?")
    parameters = sorted(_without_signature(query)[2], key=lambda parameter: parameter.partition("=")[0])
    stripped = address.partition("://")[2] + ("?" + "&".join(parameters) if parameters else "")
    yield STRIPPED, stripped.encode("utf-8", "replace")
    yield FULL_URL, url.encode("utf-8", "replace")


def _without_signature(query: str) -> tuple[str | None, str | None, list[str]]:
    """Return the signature and time that a raw query carries, and its other parameters."""
    secret = time = None
    others = []
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        if name == _SECRET_PARAMETER:
            secret = value
        elif name == _TIME_PARAMETER:
            time = value
        elif parameter:
            others.append(parameter)
    return secret, time, others


def _from_query(request: Request) -> _Told:
    secret, time, others = _without_signature(request.query)
    return _Told(secret, time, "&".join(others))


def _from_headers(request: Request) -> _Told:
    return _Told(request.headers.get(_SECRET_HEADER), request.headers.get(_TIME_HEADER), request.query)


def _seconds(text: str) -> int:
    """Read a signed time. Only the one spelling of a number counts: see `verifier`."""
    try:
        seconds = int(text, 16) if len(text) <= 8 else -1
    except ValueError:
        seconds = -1
    if seconds < 0 or format(seconds, "x") != text:
        raise AuthenticationError("signature", "The signed time isn't lower-case hex of Unix seconds.")
    return seconds


def _url_verifier(public_url: str) -> Verifier:
    """Check callbacks that are not signed: what authenticates them is whatever stands in the URL."""
    expected = sorted(parse_qsl(public_url.partition("?")[2], keep_blank_values=True))
    if not expected:
        return lambda _request: UNSIGNED
    names = {name for name, _ in expected}
    expected_bytes = repr(expected).encode("utf-8", "replace")

    def verify(request: Request) -> Verified:
        given = sorted(pair for pair in parse_qsl(request.query, keep_blank_values=True) if pair[0] in names)
        if not given:
            raise AuthenticationError("missing", "The request lacks the query of the callback's URL.")
        if not hmac.compare_digest(repr(given).encode("utf-8", "replace"), expected_bytes):
            raise AuthenticationError("signature", "The query isn't the one of the callback's URL.")
        return UNSIGNED

    return verify
