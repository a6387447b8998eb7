"""The comparison of a truth with a page sees each number that differs, and nothing else."""

from typing import Any

import pytest

from tests.end_to_end.truth import differences, uncomparable

LABELS = 'vendor="metastudio",source="prod",job_id="a1"'
PAGE = f"""\
# TYPE livestream_reconnects_total counter
livestream_reconnects_total{{{LABELS}}} 2
# TYPE livestream_outages_total counter
livestream_outages_total{{{LABELS}}} 3
# TYPE livestream_script_rounds_total counter
livestream_script_rounds_total{{{LABELS}}} 4
# TYPE livestream_script_paragraphs_skipped_total counter
livestream_script_paragraphs_skipped_total{{{LABELS}}} 1
# TYPE livestream_replies_finished_total counter
livestream_replies_finished_total{{{LABELS}}} 7
# TYPE livestream_callbacks_missed_total counter
livestream_callbacks_missed_total{{{LABELS}}} 0
# TYPE livestream_script_coverage_ratio gauge
livestream_script_coverage_ratio{{{LABELS}}} 0.3333333333333333
# TYPE livestream_rtmp_state gauge
livestream_rtmp_state{{{LABELS},state="connected"}} 0
livestream_rtmp_state{{{LABELS},state="end"}} 1
# TYPE livestream_end_timestamp_seconds gauge
livestream_end_timestamp_seconds{{{LABELS},outcome="cut_off"}} 1.7e9
# TYPE livestream_live_warning gauge
livestream_live_warning{{{LABELS},warning_type="RANDOM_PLAY_CLOSED"}} 1
livestream_live_warning{{{LABELS},warning_type="ROTATION_MODEL_CLOSED"}} 0
# TYPE monitor_events_total counter
monitor_events_total{{vendor="metastudio"}} 9
"""
STREAM = {
    "vendor": "metastudio",
    "source": "prod",
    "job_id": "a1",
    "reconnects": 2,
    "outages": 3,
    "rounds": 4,
    "coverage": 1 / 3,
    "round_coverage": None,
    "skipped": 1,
    "replies": 7,
    "missed": 0,
    "rtmp_state": "end",
    "ended": "cut_off",
    "warnings": ["RANDOM_PLAY_CLOSED"],
    "undecided": [],
    "unacknowledged": [],
}


def truth(**changes: Any) -> dict[str, Any]:
    return {"streams": [{**STREAM, **changes}]}


def test_a_page_that_says_the_truth_has_no_differences() -> None:
    assert differences(truth(), PAGE) == []


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("reconnects", 3),
        ("outages", 2),
        ("rounds", 5),
        ("coverage", None),
        ("coverage", 0.3333),
        ("round_coverage", 1.0),
        ("skipped", 0),
        ("replies", 8),
        ("missed", 1),
        ("rtmp_state", "connected"),
        ("ended", None),
        ("ended", "completed"),
        ("warnings", []),
    ],
)
def test_each_number_is_compared_exactly(number: str, value: object) -> None:
    (found,) = differences(truth(**{number: value}), PAGE)
    assert found.startswith(f"metastudio/prod/a1: {number} is ")


def test_a_stream_on_one_side_alone_is_a_difference() -> None:
    found = differences(truth(job_id="b2"), PAGE)
    assert found == [
        "metastudio/prod/b2: was played and has no series",
        "metastudio/prod/a1: has series and was never played",
    ]


def test_what_the_facts_leave_open_is_named_and_not_compared() -> None:
    open_number = truth(missed=5, undecided=["missed"])
    assert differences(open_number, PAGE) == []
    assert uncomparable(open_number) == ["metastudio/prod/a1: missed is undecided"]
    unknown = truth(rounds=9, unacknowledged=["callback: x"])
    assert differences(unknown, PAGE) == []
    assert uncomparable(unknown) == ["metastudio/prod/a1: nobody knows if these arrived: callback: x"]


def test_a_page_in_openmetrics_is_read_too() -> None:
    page = f"# TYPE livestream_reconnects counter\nlivestream_reconnects_total{{{LABELS}}} 5.0\n# EOF\n"
    found = differences(truth(), page)
    assert "metastudio/prod/a1: reconnects is 5.0, should be 2" in found
