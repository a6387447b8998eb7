import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import UndecodableError
from monitor.event import (
    Decoded,
    LinkChanged,
    LinkState,
    Paragraph,
    ParagraphStarted,
    ScriptProgress,
    Unrecognised,
)
from monitor.vendors.metastudio.callback import decode_callback
from monitor.vendors.metastudio.rtc import decode_rtc
from tests.vendors.building import JOB, metastudio

SOURCE = metastudio()


def decode(event_type: str, **message: object) -> Decoded:
    body = json.dumps({"event_type": event_type, "message": json.dumps(message)})
    return decode_callback(SOURCE, body.encode())


def output(**message: object) -> str:
    payload = decode("RTMP_STREAM_STATE_CHANGE", job_id=JOB, state="CONNECTED", **message).payload
    assert isinstance(payload, LinkChanged)
    return payload.output


@pytest.mark.parametrize("state", LinkState)
def test_each_published_state_is_known(state: LinkState) -> None:
    payload = decode("RTMP_STREAM_STATE_CHANGE", job_id=JOB, state=state.name).payload

    assert isinstance(payload, LinkChanged)
    assert payload.state is state


def test_of_a_scene_with_a_name_beyond_any_a_hash_stands_for_the_end_by_every_channel() -> None:
    names = ["场" * 256, "场" * 257, "场" * 256 + "景", "场" * 60_000]
    told = []
    for name in names:
        payload = decode(
            "SHOOT_SCRIPT_SWITCH", job_id=JOB, scene_script_name=name, shoot_script_sequence_no="2"
        ).payload
        data = {"script_name": name, "shoot_script_sequence_no": 2, "offset": "7"}
        progress = decode_rtc(
            json.dumps({"message_type": "live_progress_notify", "data": data}).encode()
        ).payload
        assert isinstance(payload, ParagraphStarted)
        assert isinstance(progress, ScriptProgress)
        assert progress.paragraph == payload.paragraph
        told.append(payload.paragraph.scene)

    assert told[0] == names[0]
    assert [len(name) for name in told] == [256] * 4
    assert len(set(told)) == 4


def test_an_output_is_told_apart_by_address_and_by_key_and_by_where_one_ends() -> None:
    outputs = {
        output(output_url="rtmp://a", stream_key="b"),
        output(output_url="rtmp://a", stream_key="c"),
        output(output_url="rtmp://b", stream_key="b"),
        output(output_url="rtmp://", stream_key="ab"),
        output(output_url="rtmp://ab", stream_key=""),
    }

    assert len(outputs) == 5


def test_an_output_is_the_same_whenever_it_is_told() -> None:
    assert output(output_url="rtmp://a", stream_key="b") == output(output_url="rtmp://a", stream_key="b")


def test_neither_address_nor_key_of_an_output_is_kept() -> None:
    decoded = decode(
        "RTMP_STREAM_STATE_CHANGE",
        job_id=JOB,
        state="CONNECTED",
        output_url="rtmp://push.example.com/live",
        stream_key="hidden",
    )

    assert "push.example.com" not in repr(decoded)
    assert "hidden" not in repr(decoded)


@pytest.mark.parametrize("number", ["2", 2])
def test_a_sequence_number_is_a_number_however_it_is_spelled(number: object) -> None:
    decoded = decode(
        "SHOOT_SCRIPT_SWITCH", job_id=JOB, scene_script_name="a", shoot_script_sequence_no=number
    )

    assert decoded.payload == ParagraphStarted(Paragraph("a", 2))


def test_the_name_of_an_unknown_event_is_kept_up_to_a_length() -> None:
    assert decode("X" * 1000, job_id=JOB).payload == Unrecognised("X" * 64)


def test_the_job_nearest_to_the_top_is_the_one_an_unknown_event_is_of() -> None:
    decoded = decode("X", before={"job_id": "old"}, job_id=JOB, after=[{"job_id": "new"}])

    assert decoded.job_id == JOB


def test_the_job_of_an_unknown_event_is_found_in_a_list_too() -> None:
    assert decode("X", jobs=[1, {"job_id": JOB}]).job_id == JOB


def test_an_unusable_job_id_of_an_unknown_event_is_passed_over() -> None:
    assert decode("X", job_id=7, inner={"job_id": JOB}).job_id == JOB


@pytest.mark.parametrize(
    ("job_id", "why"),
    [
        (7, "valid string"),
        ("x" * 257, "at most 256 characters"),
        ("a\nb", "should match pattern"),
        ("", "at least 1 character"),
    ],
)
def test_of_an_unknown_event_with_an_unusable_job_id_alone_is_told_what_is_wrong_with_it(
    job_id: object, why: str
) -> None:
    with pytest.raises(UndecodableError) as caught:
        decode("NEW_KIND", job_id=job_id)

    assert caught.value.reason == "wrong_type"
    assert "job_id: " in caught.value.detail
    assert why in caught.value.detail


def test_a_failure_says_where_and_nothing_of_what_came() -> None:
    with pytest.raises(UndecodableError) as caught:
        decode("RTMP_STREAM_STATE_CHANGE", job_id=JOB, state="CONNECTED", stream_key=["hidden"])

    assert caught.value.detail.startswith("message.stream_key: ")
    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4), st.text(max_size=10))
def test_a_message_says_the_same_as_an_object_and_as_a_string(more: dict[str, str], scene: str) -> None:
    message = {**more, "job_id": JOB, "scene_script_name": scene, "shoot_script_sequence_no": 3}
    message.pop("room_id", None)
    bodies = (
        json.dumps({"event_type": "SHOOT_SCRIPT_SWITCH", "message": form}).encode()
        for form in (message, json.dumps(message), json.dumps(message, ensure_ascii=False))
    )

    expected = Decoded(JOB, "SHOOT_SCRIPT_SWITCH", ParagraphStarted(Paragraph(scene, 3)))
    assert {decode_callback(SOURCE, body) for body in bodies} == {expected}


@given(st.text(st.characters(codec="utf-8", exclude_characters='"\\', exclude_categories=["Cc", "Cs"])))
def test_a_message_whose_quotes_are_bare_says_the_same(scene: str) -> None:
    message = json.dumps(
        {"job_id": JOB, "scene_script_name": scene, "shoot_script_sequence_no": 3}, ensure_ascii=False
    )
    body = f'{{"event_type": "SHOOT_SCRIPT_SWITCH", "message": "{message}"}}'

    decoded = decode_callback(SOURCE, body.encode())

    assert decoded == Decoded(JOB, "SHOOT_SCRIPT_SWITCH", ParagraphStarted(Paragraph(scene, 3)))
