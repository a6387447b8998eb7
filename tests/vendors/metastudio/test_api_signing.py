"""Signatures of requests, against Huawei's own implementation."""

from types import SimpleNamespace

import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from monitor.vendors.metastudio.api_signing import (
    AUTHORIZATION_HEADER,
    canonical_query,
    sdk_date,
    signature_header,
)
from tests.properties.examples import examples

# No lone surrogates: they have no UTF-8. No control characters in headers: HTTP has no place for them.
words = st.text(st.characters(codec="utf-8"), max_size=12)
segments = st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=12)
paths = st.lists(segments, max_size=6).map(lambda parts: "/" + "/".join(parts))
keys = st.one_of(st.sampled_from(["", "a", "A", "a b", "ä", "limit"]), words)
queries = st.lists(st.tuples(keys, words), max_size=6)
header_names = st.sampled_from(["X-Project-Id", "X-App-UserId", "Accept"])
header_values = st.sampled_from(["70b76", "application/json;charset=UTF-8", " padded ", ""])
content_types = st.sampled_from([{}, {"Content-Type": "application/json"}])
header_fields = st.builds(dict.__or__, st.dictionaries(header_names, header_values), content_types)
bodies = st.one_of(
    st.just(b""),
    st.binary(max_size=200),
    st.integers(1, 200_000).map(lambda size: b"large " * size),
)
methods = st.sampled_from(["GET", "POST", "PUT", "delete"])
secrets = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=40)


def vendors_signature(
    method: str,
    path: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    access_key: str,
    secret_key: str,
) -> SdkRequest:
    request = SdkRequest(
        method=method,
        schema="https",
        host=headers["Host"],
        resource_path=path,
        query_params=list(query),
        header_params=dict(headers),
        body=body,
    )
    return Signer(SimpleNamespace(ak=access_key, sk=secret_key)).sign(request)


@examples(1000)
@given(methods, paths, queries, header_fields, bodies, secrets, st.integers(0, 4_000_000_000))
@example("GET", "/", [], {}, b"", "sk", 0)
@example("GET", "/v1/a b/ü", [("k", "2"), ("k", "1"), ("", "")], {}, b"", "sk", 1)
@example("POST", "/v1/%E4%BD%A0%20x/~", [("b", ""), ("a b", "ä&=")], {}, b"{}", "sk", 2)
def test_a_signature_equals_the_one_of_the_vendors_own_library(
    method: str,
    path: str,
    query: list[tuple[str, str]],
    fields: dict[str, str],
    body: bytes,
    secret: str,
    now: int,
) -> None:
    headers = {"Host": "metastudio.example.com", "X-Sdk-Date": sdk_date(now), **fields}

    theirs = vendors_signature(method, path, query, headers, body, "AK", secret)

    ours = signature_header(method, path, query, headers, body, "AK", SecretStr(secret))
    assert theirs.header_params[AUTHORIZATION_HEADER] == ours
    assert theirs.uri == (f"{path}?{canonical_query(query)}" if query else path)


def test_a_date_is_written_in_utc_to_the_second() -> None:
    assert sdk_date(1_700_000_000.9) == "20231114T221320Z"


def test_no_signature_is_made_without_a_date() -> None:
    with pytest.raises(KeyError):
        signature_header("GET", "/", [], {"Host": "h"}, b"", "AK", SecretStr("sk"))
