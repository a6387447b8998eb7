import csv
from importlib.resources import files

import pytest

from monitor.vendors.softsugar.error_codes import ALERTING, ERROR_CODES, Category, lookup

LIVE_SESSION = [
    *range(83115920, 83115925),
    83115952,
    *range(84115915, 84115920),
    *range(84115921, 84115924),
    84115926,
    84115929,
    84115930,
    84115931,
    84115932,
    84115933,
    84115934,
    84115946,
    84115953,
]


def rows() -> list[dict[str, str]]:
    text = files("monitor.vendors.softsugar").joinpath("error_codes.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_the_table_has_every_published_code_once() -> None:
    codes = [row["code"] for row in rows()]

    assert len(codes) == 271
    assert len(set(codes)) == 271


def test_every_error_has_a_category_and_success_has_none() -> None:
    assert [row["code"] for row in rows() if not row["category"]] == ["0"]
    assert len(ERROR_CODES) == 270
    assert lookup(0) is None


def test_every_category_has_errors_and_every_error_a_message() -> None:
    assert {error.category for error in ERROR_CODES.values()} == set(Category)
    assert all(error.message for error in ERROR_CODES.values())


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (80115947, Category.CAPACITY),
        (80115962, Category.QUOTA),
        (80115963, Category.QUOTA),
        (80115964, Category.CAPACITY),
        (80115983, Category.QUOTA),
        (84115944, Category.QUOTA),
        (89999999, Category.QUOTA),
    ],
)
def test_what_an_on_call_person_must_see_alerts(code: int, category: Category) -> None:
    error = lookup(code)

    assert error is not None
    assert error.category is category
    assert code in ALERTING


@pytest.mark.parametrize("code", LIVE_SESSION)
def test_what_concerns_a_live_session_is_of_the_session(code: int) -> None:
    error = lookup(code)

    assert error is not None
    assert error.category is Category.SESSION


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (50102109, Category.ACCOUNT),
        (60102158, Category.ACCOUNT),
        (60112161, Category.ACCOUNT),
        (84115925, Category.PERMISSION),
        (99999990, Category.PERMISSION),
        (81117820, Category.INPUT),
        (84115927, Category.INPUT),
        (500, Category.PLATFORM),
        (99999994, Category.PLATFORM),
    ],
)
def test_other_errors_are_whose_business_they_are(code: int, category: Category) -> None:
    error = lookup(code)

    assert error is not None
    assert error.category is category


def test_a_message_with_commas_is_read_whole() -> None:
    error = lookup(84115932)

    assert error is not None
    assert error.message == "Live streaming status can be: 5 (Completed), 9 (Abnormal)."


def test_a_code_that_nobody_published_is_unknown() -> None:
    assert lookup(12345) is None
