import hashlib
import hmac
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.config import AuthType
from monitor.errors import AuthenticationError
from monitor.vendors.metastudio.signature import FULL_URL, STRIPPED, sign, verifier
from monitor.vendors.protocol import Request, Verified, Verifier
from tests.vendors.building import KEY, OTHER_KEY, metastudio

TIME = 0x66DF9308
WORKED_URL = "https://api.example.com/v1/products?live_id=111&limit=10&offset=0"
WORKED_SECRET = "5e7fe8869a12a87ea966d9edbc02e38cd4ce62c73b8b05c638f15835e78902d7"

SIGNING = st.sampled_from([AuthType.MSS_A, AuthType.MSS_A_HEAD])
FORMS = st.sampled_from([STRIPPED, FULL_URL])
KEYS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=32)
TIMES = st.integers(0, 2**32 - 1)
WORDS = st.text(max_size=6).map(quote)
URLS = st.builds(
    lambda path, query: "https://hooks.example.com:8443/" + "/".join(path) + ("?" + query if query else ""),
    st.lists(WORDS, max_size=3),
    st.lists(st.tuples(WORDS, WORDS).map("=".join), max_size=4).map("&".join),
)


def request_to(url: str, auth_type: AuthType, key: str, signed: int, form: str = STRIPPED) -> Request:
    """Return the request as the vendor sends it."""
    parts = sign(url, auth_type, key, signed, form)
    query = "&".join(part for part in (url.partition("?")[2], parts.query) if part)
    return Request(query, parts.headers, b"")


def outcome(verify: Verifier, request: Request) -> Verified | str:
    """Return what was verified, or the reason of the refusal."""
    try:
        return verify(request)
    except AuthenticationError as error:
        return error.reason


def refusal(source_of: AuthType, request: Request, url: str = WORKED_URL) -> str:
    with pytest.raises(AuthenticationError) as caught:
        verifier(metastudio(source_of, public_url=url))(request)
    return caught.value.reason


def test_the_sdks_worked_example_verifies() -> None:
    request = Request(
        f"live_id=111&limit=10&offset=0&hwSecret={WORKED_SECRET}&hwTime=66df9308", {}, b"anything"
    )

    verified = verifier(metastudio(AuthType.MSS_A, public_url=WORKED_URL))(request)

    assert verified == Verified(TIME, "stripped")


def test_the_sdks_worked_example_is_what_we_sign() -> None:
    assert sign(WORKED_URL, AuthType.MSS_A_HEAD, KEY, TIME).headers == {
        "x-hw-mss-secret": WORKED_SECRET,
        "x-hw-mss-time": "66df9308",
    }


def test_the_whole_url_is_the_text_of_the_other_form() -> None:
    expected = hmac.new(KEY.encode(), f"{WORKED_URL}66df9308".encode(), hashlib.sha256).hexdigest()

    signed = sign(WORKED_URL, AuthType.MSS_A, KEY, TIME, FULL_URL)

    assert signed.query == f"hwSecret={expected}&hwTime=66df9308"


def test_an_unsigned_callback_adds_nothing_and_proves_no_time() -> None:
    url = "https://hooks.example.com/x"

    assert sign(url, AuthType.NONE, KEY, TIME) == ("", {})
    assert verifier(metastudio(public_url=url))(Request("", {}, b"")) == Verified(None, "none")


def test_the_order_of_the_query_is_of_no_matter_where_it_is_sorted() -> None:
    parts = sign(WORKED_URL, AuthType.MSS_A, KEY, TIME)
    request = Request(f"{parts.query}&offset=0&limit=10&live_id=111", {}, b"")

    assert verifier(metastudio(AuthType.MSS_A, public_url=WORKED_URL))(request).form == STRIPPED


def test_the_query_is_sorted_by_its_names_and_not_by_what_stands_behind_them() -> None:
    # A digit goes before `=`, so sorting whole parameters would put id2 first.
    text = "hooks.example.com/x?id=1&id2=2" + "66df9308"
    expected = hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()

    parts = sign("https://hooks.example.com/x?id2=2&id=1", AuthType.MSS_A_HEAD, KEY, TIME)

    assert parts.headers["x-hw-mss-secret"] == expected


@pytest.mark.parametrize("form", [STRIPPED, FULL_URL])
def test_a_query_that_the_configuration_leaves_out_is_taken_from_the_request(form: str) -> None:
    request = request_to(WORKED_URL, AuthType.MSS_A_HEAD, KEY, TIME, form)
    source = metastudio(AuthType.MSS_A_HEAD, public_url=WORKED_URL.partition("?")[0])

    assert verifier(source)(request) == Verified(TIME, form)


@pytest.mark.parametrize("auth_type", [AuthType.MSS_A, AuthType.MSS_A_HEAD])
@pytest.mark.parametrize("added", ["", "&extra=1"])
def test_what_a_proxy_adds_to_the_query_does_no_harm(auth_type: AuthType, added: str) -> None:
    request = request_to(WORKED_URL, auth_type, KEY, TIME)
    source = metastudio(auth_type, public_url=WORKED_URL)

    assert verifier(source)(request._replace(query=request.query + added)) == Verified(TIME, STRIPPED)


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-hw-mss-secret": WORKED_SECRET}, {"x-hw-mss-time": "66df9308"}],
)
def test_half_a_signature_is_a_missing_one(headers: dict[str, str]) -> None:
    assert refusal(AuthType.MSS_A_HEAD, Request("", headers, b"")) == "missing"


@pytest.mark.parametrize(
    "time",
    [
        "",
        "66DF9308",
        "066df9308",
        "0x66df93",
        " 66df930",
        "66df_930",
        "-66df930",
        "٦٦",
        "166df9308",
        "zz",
        "\ud800",
    ],
)
def test_a_time_that_is_not_lower_case_hex_is_refused_however_well_it_is_signed(time: str) -> None:
    text = f"api.example.com/v1/products?limit=10&live_id=111&offset=0{time}".encode("utf-8", "replace")
    secret = hmac.new(KEY.encode(), text, hashlib.sha256).hexdigest()

    headers = {"x-hw-mss-secret": secret, "x-hw-mss-time": time}

    assert refusal(AuthType.MSS_A_HEAD, Request("", headers, b"")) == "signature"


@pytest.mark.parametrize("secret", ["", "é" * 64, "\ud800", WORKED_SECRET.upper(), WORKED_SECRET[:-1]])
def test_a_secret_that_is_no_such_digest_is_refused(secret: str) -> None:
    headers = {"x-hw-mss-secret": secret, "x-hw-mss-time": "66df9308"}

    assert refusal(AuthType.MSS_A_HEAD, Request("", headers, b"")) == "signature"


def test_digits_of_the_query_cannot_become_digits_of_the_time() -> None:
    url = "https://hooks.example.com/x?page=5"
    parts = sign(url, AuthType.MSS_A, KEY, TIME)
    secret = parts.query.partition("&")[0]
    verify = verifier(metastudio(AuthType.MSS_A, public_url=url))

    longer = outcome(verify, Request(f"page=&{secret}&hwTime=566df9308", {}, b""))
    shorter = outcome(verify, Request(f"page=56&{secret}&hwTime=6df9308", {}, b""))

    assert longer == "signature"
    # It verifies, but as a time of 1973, which no window lets in.
    assert shorter == Verified(0x6DF9308, STRIPPED)


def test_a_signature_is_looked_for_only_where_it_was_agreed() -> None:
    in_headers = request_to(WORKED_URL, AuthType.MSS_A_HEAD, KEY, TIME)
    in_query = request_to(WORKED_URL, AuthType.MSS_A, KEY, TIME)

    assert refusal(AuthType.MSS_A, in_headers) == "missing"
    assert refusal(AuthType.MSS_A_HEAD, in_query) == "missing"


def test_no_key_means_that_nothing_verifies() -> None:
    source = metastudio(AuthType.MSS_A_HEAD, keys=(), public_url=WORKED_URL)

    with pytest.raises(AuthenticationError):
        verifier(source)(request_to(WORKED_URL, AuthType.MSS_A_HEAD, "", TIME))


@pytest.mark.parametrize(
    ("query", "reason"),
    [("", "missing"), ("other=1", "missing"), ("token=b&x=", "signature"), ("token=a", "signature")],
)
def test_what_stands_in_the_url_authenticates_where_nothing_is_signed(query: str, reason: str) -> None:
    url = "https://hooks.example.com/x?token=a&x="

    assert refusal(AuthType.NONE, Request(query, {}, b""), url) == reason


@pytest.mark.parametrize("query", ["token=a&x=", "x=&token=%61&more=1"])
def test_the_urls_own_query_is_let_in_however_it_is_written(query: str) -> None:
    source = metastudio(public_url="https://hooks.example.com/x?token=a&x=")

    assert verifier(source)(Request(query, {}, b"")) == Verified(None, "none")


@given(URLS, SIGNING, FORMS, st.lists(KEYS, min_size=1, max_size=3, unique=True), TIMES, st.data())
def test_what_is_signed_verifies_with_any_of_the_keys(
    url: str, auth_type: AuthType, form: str, keys: list[str], signed: int, data: st.DataObject
) -> None:
    request = request_to(url, auth_type, data.draw(st.sampled_from(keys)), signed, form)

    verified = verifier(metastudio(auth_type, tuple(keys), url))(request)

    assert verified == Verified(signed, form)


@given(URLS, SIGNING, FORMS, KEYS, TIMES)
def test_another_key_never_verifies(url: str, auth_type: AuthType, form: str, key: str, signed: int) -> None:
    request = request_to(url, auth_type, key, signed, form)

    assume(key != KEY)

    assert refusal(auth_type, request, url) == "signature"


@given(URLS, SIGNING, FORMS, TIMES, TIMES)
def test_another_time_never_verifies(
    url: str, auth_type: AuthType, form: str, signed: int, claimed: int
) -> None:
    request = request_to(url, auth_type, OTHER_KEY, signed, form)
    moved = Request(
        request.query.replace(f"hwTime={signed:x}", f"hwTime={claimed:x}"),
        {**request.headers, "x-hw-mss-time": format(claimed, "x")} if request.headers else {},
        b"",
    )
    verify = verifier(metastudio(auth_type, (OTHER_KEY,), url))

    assert outcome(verify, moved) == (Verified(signed, form) if claimed == signed else "signature")
