"""Per-job RTC tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from monitor.receiver.tokens import is_token_valid, make_token

KEY = SecretStr("a-long-random-token-of-a-source")
NOW = 1_700_000_000.0
LATER = 1_700_086_400


def test_a_token_is_valid_for_its_source_and_job_until_it_expires() -> None:
    token = make_token(KEY, "prod", "job-1", LATER)

    assert is_token_valid(KEY, token, "prod", "job-1", NOW)
    assert is_token_valid(KEY, token, "prod", "job-1", LATER - 0.001)
    assert not is_token_valid(KEY, token, "prod", "job-1", LATER)


def test_a_token_is_worth_nothing_for_another_job_source_or_key() -> None:
    token = make_token(KEY, "prod", "job-1", LATER)

    assert not is_token_valid(KEY, token, "prod", "job-2", NOW)
    assert not is_token_valid(KEY, token, "test", "job-1", NOW)
    assert not is_token_valid(SecretStr("another"), token, "prod", "job-1", NOW)


def test_a_later_expiry_can_not_be_written_into_a_token() -> None:
    _, _, signature = make_token(KEY, "prod", "job-1", LATER).partition(".")

    assert not is_token_valid(KEY, f"{LATER + 1}.{signature}", "prod", "job-1", NOW)
    assert not is_token_valid(KEY, f"0{LATER}.{signature}", "prod", "job-1", LATER + 1.0)


def test_the_boundary_between_source_and_job_can_not_be_moved() -> None:
    token = make_token(KEY, "prod", "a/b", LATER)

    assert not is_token_valid(KEY, token, "prod/a", "b", NOW)
    assert not is_token_valid(KEY, token, "proda", "/b", NOW)


def test_both_spellings_of_a_uuid_name_the_same_job() -> None:
    token = make_token(KEY, "prod", "26F06524-4F75-4B3A-A853-B649A21AAE66", LATER)

    assert is_token_valid(KEY, token, "prod", "26f065244f754b3aa853b649a21aae66", NOW)


def test_the_source_s_own_token_is_valid_for_every_job() -> None:
    assert is_token_valid(KEY, KEY.get_secret_value(), "prod", "any", NOW)


def test_a_token_can_stand_in_a_url_as_it_is() -> None:
    token = make_token(KEY, "prod", "job-1", LATER)

    assert token.replace(".", "").replace("-", "").replace("_", "").isalnum()
    assert token.isascii()


@pytest.mark.parametrize(
    "token", ["", ".", "1700000000", "\N{ARABIC-INDIC DIGIT NINE}." + "A" * 43, "1_7." + "A" * 43, "é"]
)
def test_text_that_is_no_token_is_refused(token: str) -> None:
    assert not is_token_valid(KEY, token, "prod", "job-1", 0.0)


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_no_other_pair_of_source_and_job_has_the_same_token(
    source: str, job: str, other_source: str, other_job: str
) -> None:
    token = make_token(KEY, source, job, LATER)

    same = (source, job) == (other_source, other_job)
    assert is_token_valid(KEY, token, source, job, NOW)
    assert same or not is_token_valid(KEY, token, other_source, other_job, NOW)
