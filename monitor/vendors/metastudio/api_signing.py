"""How a request to MetaStudio's API is signed with an access key (SDK-HMAC-SHA256).

What is signed is a canonical form of the request: method, path, sorted query, headers and a hash of the
body. The path and the query that are sent must be the ones that `canonical_path` and `canonical_query`
write, or the vendor computes another signature.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from pydantic import SecretStr

ALGORITHM = "SDK-HMAC-SHA256"

DATE_HEADER = "X-Sdk-Date"
AUTHORIZATION_HEADER = "Authorization"

Query = Iterable[tuple[str, str]]
"""Keys and values as they are meant, not quoted; a key may come more than once."""


def canonical_path(path: str) -> str:
    """Return a path as it is signed: each segment quoted anew, and a slash at the end.

    Args:
        path: begins with a slash; may be quoted already.
    """
    quoted = "/".join(map(_quote, unquote(path).split("/")))
    return quoted if quoted.endswith("/") else f"{quoted}/"


def canonical_query(query: Query) -> str:
    """Return a query as it is signed and sent: by key, then by value, both quoted; empty if there is none."""
    return "&".join(f"{_quote(key)}={_quote(value)}" for key, value in sorted(query))


def sdk_date(now: float) -> str:
    """Return a time (Unix seconds) as the date header spells it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def signature_header(
    method: str,
    path: str,
    query: Query,
    headers: Mapping[str, str],
    body: bytes,
    access_key: str,
    secret_key: SecretStr,
) -> str:
    """Return the value of the Authorization header.

    Args:
        method: of the request.
        path: without the query.
        query: not quoted.
        headers: all that are to be signed; the date header, as `sdk_date` writes it, among them.
        body: as it is sent; empty for none.
        access_key: names whose key it is.
        secret_key: what signs.

    Raises:
        KeyError: the date header is missing.
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    names = ";".join(sorted(lowered))
    canonical = "\n".join(
        (
            method.upper(),
            canonical_path(path),
            canonical_query(query),
            *(f"{name}:{lowered[name]}" for name in sorted(lowered)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{lowered[DATE_HEADER.lower()]}\n{digest}"
    signature = hmac.new(secret_key.get_secret_value().encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}"


def _quote(text: str) -> str:
    return quote(text, safe="~")
