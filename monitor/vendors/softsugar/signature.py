"""How SoftSugar signs a callback: MD5 over the callback's URL, a time and the key, not over the body.

The time is 10 digits of Unix seconds. Both stand in the body, as the page's table has it (form
`body`), or in headers, as its text has it (form `header`). Without a key nothing is signed.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json

from monitor.config import Source
from monitor.errors import AuthenticationError
from monitor.vendors.json_body import whole_characters
from monitor.vendors.protocol import UNSIGNED, Request, Verified, Verifier

BODY = "body"
HEADER = "header"

# Ten digits always, so that none of them can be taken for the URL's end or the key's beginning.
_SECONDS = re.compile(r"[0-9]{10}")
_LAST_SECOND = 10**10 - 1
_NO_SECONDS = "not ten digits"

# A number or a text behind one of the two names, as JSON has them.
_WRITTEN = re.compile(rb'"(timestamp|signature)"\s*:\s*"?([0-9a-f]+)')


class SignatureFields(NamedTuple):
    """What a signature adds to a request: two fields of the body, or two headers of these names."""

    timestamp: int
    signature: str


class _Told(NamedTuple):
    form: str
    signature: str
    timestamp: str


def sign(public_url: str, key: str, signed: int) -> SignatureFields:
    """Sign a request as the vendor does.

    Args:
        public_url: the callback's URL as the vendor has it.
        key: the AuthKey.
        signed: the time to sign, in Unix seconds.
    """
    return SignatureFields(signed, _digest(_begun(public_url), f"{signed}".encode(), key.encode()))


def verifier(source: Source) -> Verifier:
    """Prepare what checks this source's callbacks."""
    keys = [key.get_secret_value().encode() for key in source.keys]
    if not keys:
        return lambda _request: UNSIGNED
    begun = _begun(source.public_url)

    def verify(request: Request) -> Verified:
        complete = False
        for told in _told(request):
            complete = True
            if not _SECONDS.fullmatch(told.timestamp):
                continue
            signature = told.signature.encode("utf-8", "replace")
            for key in keys:
                expected = _digest(begun, told.timestamp.encode(), key)
                if hmac.compare_digest(expected.encode(), signature):
                    return Verified(int(told.timestamp), told.form)
        if complete:
            raise AuthenticationError("signature", "The signature doesn't match.")
        raise AuthenticationError("missing", "The request carries no signature.")

    return verify


def _begun(public_url: str) -> "hashlib._Hash":
    return hashlib.md5(public_url.encode("utf-8", "replace"), usedforsecurity=False)


def _digest(begun: "hashlib._Hash", timestamp: bytes, key: bytes) -> str:
    whole = begun.copy()
    whole.update(timestamp + key)
    return whole.hexdigest()


def _told(request: Request) -> Iterator[_Told]:
    """Yield the signatures that a request carries: its body's, then its headers'."""
    in_body = _fields(request.body)
    in_headers = request.headers
    for form, first, second in ((BODY, in_body, in_headers), (HEADER, in_headers, in_body)):
        signature = first.get("signature")
        timestamp = first.get("timestamp", second.get("timestamp"))
        if isinstance(timestamp, int):
            timestamp = str(timestamp) if 0 <= timestamp <= _LAST_SECOND else _NO_SECONDS
        if isinstance(signature, str) and isinstance(timestamp, str):
            yield _Told(form, signature, timestamp)


def _fields(body: bytes) -> Mapping[str, Any]:
    """Return the fields of a body; of one that is no JSON object, those of a signature that stand in it.

    A signature doesn't cover the body, so it proves as much of a broken one: that is for the dead letters,
    while a refusal would lose it.
    """
    try:
        document = from_json(whole_characters(body))
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    return {name.decode(): value.decode() for name, value in _WRITTEN.findall(body)}
