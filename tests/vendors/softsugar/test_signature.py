import hashlib
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.errors import AuthenticationError
from monitor.vendors.protocol import Request, Verified
from monitor.vendors.softsugar.signature import sign, verifier
from tests.vendors.building import SOFTSUGAR_URL, softsugar

TIME = 1693206851
SIGNATURE = "863151b586912152aacee3124f81e301"

KEYS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=32)
TIMES = st.integers(10**9, 10**10 - 1)


def in_body(signature: object, timestamp: object) -> Request:
    body = {"timestamp": timestamp, "signature": signature, "sessionId": "s"}
    return Request("", {}, json.dumps(body).encode())


def refusal(request: Request, keys: tuple[str, ...] = ("abc123",)) -> str:
    with pytest.raises(AuthenticationError) as caught:
        verifier(softsugar(keys))(request)
    return caught.value.reason


def test_the_pages_example_is_what_we_sign() -> None:
    # The page cuts the signature off after these 17 characters.
    assert SIGNATURE.startswith("863151b586912152a")
    assert sign(SOFTSUGAR_URL, "abc123", TIME) == (TIME, SIGNATURE)


def test_the_pages_example_verifies_in_the_body_and_in_headers() -> None:
    verify = verifier(softsugar(("abc123",)))

    assert verify(in_body(SIGNATURE, TIME)) == Verified(TIME, "body")
    in_headers = Request("", {"timestamp": str(TIME), "signature": SIGNATURE}, b"no JSON")
    assert verify(in_headers) == Verified(TIME, "header")


def test_a_field_of_the_body_that_is_called_signature_does_not_hide_the_headers() -> None:
    request = in_body("something else", 5)._replace(headers={"timestamp": str(TIME), "signature": SIGNATURE})

    assert verifier(softsugar(("abc123",)))(request) == Verified(TIME, "header")


@pytest.mark.parametrize(
    "body",
    [
        b'{"sessionId": "s", "message": "said "so"", "timestamp": %d, "signature": "%s"}',
        b'\xef\xbb\xbf{"timestamp":"%d","signature":"%s","sessionId":"s"}',
        b'[{"sessionId": "s", "timestamp" : %d, "signature" : "%s"}]',
        b'{"timestamp": %d, "signature": "%s", "sessionId": ',
    ],
)
def test_a_body_that_is_no_json_object_is_known_by_the_signature_in_it(body: bytes) -> None:
    signed = Request("", {}, body % (TIME, SIGNATURE.encode()))
    forged = Request("", {}, body % (TIME + 1, SIGNATURE.encode()))

    assert verifier(softsugar(("abc123",)))(signed) == Verified(TIME, "body")
    assert refusal(forged) == "signature"


def test_without_a_key_nothing_is_checked_and_no_time_is_believed() -> None:
    assert verifier(softsugar())(in_body("wrong", TIME)) == Verified(None, "none")


@pytest.mark.parametrize("keys", [("Old1", "abc123"), ("abc123", "Old1")])
def test_old_and_new_key_both_count(keys: tuple[str, ...]) -> None:
    assert verifier(softsugar(keys))(in_body(SIGNATURE, TIME)).signed == TIME


@pytest.mark.parametrize(
    ("signature", "timestamp"),
    [(None, TIME), (SIGNATURE, None), (7, TIME), (SIGNATURE, [TIME]), (SIGNATURE, 1.5)],
)
def test_half_a_signature_is_a_missing_one(signature: object, timestamp: object) -> None:
    assert refusal(in_body(signature, timestamp)) == "missing"


@pytest.mark.parametrize(
    "timestamp",
    [169320685, 16932068510, -169320685, "169320685", "16932068510", "", " 693206851", "١٦٩٣٢٠٦٨٥١"],
)
def test_a_time_that_is_not_ten_digits_is_refused_however_well_it_is_signed(
    timestamp: int | str,
) -> None:
    signature = hashlib.md5(f"{SOFTSUGAR_URL}{timestamp}abc123".encode()).hexdigest()  # noqa: S324

    assert refusal(in_body(signature, timestamp)) == "signature"


@pytest.mark.parametrize("signature", ["", SIGNATURE.upper(), SIGNATURE[:17], "é" * 32])
def test_a_signature_that_is_no_such_digest_is_refused(signature: str) -> None:
    assert refusal(in_body(signature, TIME)) == "signature"


@given(KEYS, TIMES)
def test_what_is_signed_verifies(key: str, signed: int) -> None:
    timestamp, signature = sign(SOFTSUGAR_URL, key, signed)

    assert verifier(softsugar((key,)))(in_body(signature, timestamp)) == Verified(signed, "body")


@given(KEYS, KEYS, TIMES, TIMES)
def test_another_key_or_time_never_verifies(key: str, held: str, signed: int, claimed: int) -> None:
    assume((key, signed) != (held, claimed))
    signature = sign(SOFTSUGAR_URL, key, signed).signature

    assert refusal(in_body(signature, claimed), (held,)) == "signature"
