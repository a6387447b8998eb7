import json

import pytest

from monitor.errors import UndecodableError
from monitor.event import Paragraph, Relay, ReplyFinished, ScriptProgress
from monitor.vendors.metastudio.callback import decode_callback
from monitor.vendors.metastudio.rtc import decode_rtc
from tests.vendors.building import JOB, ROOM, metastudio


def progress(offset: object) -> dict[str, object]:
    data = {"script_name": "Scene 1", "shoot_script_sequence_no": 2, "offset": offset}
    return {"message_type": "live_progress_notify", "data": data}


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ("247", 247),
        (247, 247),
        (247.9, 247),
        ("247.9", 247),
        ("0", 0),
        (None, None),
        (True, None),
        (-1, None),
        ("", None),
        ("1" * 40, None),
        (10**30, None),
        (10**400, None),
        (float("inf"), None),
        (float("nan"), None),
        ([1], None),
    ],
)
def test_an_offset_is_a_whole_number_or_unknown(offset: object, expected: int | None) -> None:
    decoded = decode_rtc(json.dumps(progress(offset)).encode())

    assert decoded.payload == ScriptProgress(Paragraph("Scene 1", 2), expected)


def test_a_message_without_an_envelope_has_no_relay() -> None:
    assert decode_rtc(json.dumps(progress("1")).encode()).relay is None


def test_an_envelopes_time_is_in_seconds() -> None:
    envelope = {"relay": "page-1", "seq": 3, "at_ms": 1500, "message": progress("1")}

    assert decode_rtc(json.dumps(envelope).encode()).relay == Relay("page-1", 3, 1.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq": -1},
        {"seq": "x"},
        {"at_ms": "soon"},
        {"at_ms": -1},
        {"relay": ""},
        {"message": 7},
        {"message": None},
    ],
)
def test_an_envelope_with_a_wrong_field_is_undecodable(wrong: dict[str, object]) -> None:
    envelope = {"relay": "page-1", "seq": 3, "at_ms": 1500, "message": progress("1"), **wrong}

    with pytest.raises(UndecodableError) as caught:
        decode_rtc(json.dumps(envelope).encode())

    assert caught.value.reason == "wrong_type"


def test_an_envelope_inside_an_envelope_is_undecodable() -> None:
    inner = {"relay": "page-2", "seq": 1, "message": progress("1")}

    with pytest.raises(UndecodableError) as caught:
        decode_rtc(json.dumps({"relay": "page-1", "seq": 3, "message": inner}).encode())

    assert caught.value.reason == "wrong_type"


def test_a_reply_is_the_same_on_both_channels_however_its_id_is_spelled() -> None:
    by_rtc = {"message_type": "reply_command_finish_notify", "data": {"reply_id": ROOM}}
    hyphened = "26F06524-4F75-4B3A-A853-B649A21AAF66"
    by_callback = {"event_type": "REPLY_COMMAND_FINISH", "message": {"job_id": JOB, "reply_id": hyphened}}

    expected = ReplyFinished(ROOM)
    assert decode_rtc(json.dumps(by_rtc).encode()).payload == expected
    assert decode_callback(metastudio(), json.dumps(by_callback).encode()).payload == expected
