"""What MetaStudio's page allows in a start, checked before anything is sent."""

import json
from typing import Any

import pytest

from monitor.vendors.api_errors import InvalidRequestError
from monitor.vendors.metastudio.api_requests import PlayPolicy, VoiceConfig, start_request

VIDEO = {"codec": "H264", "bitrate": 4000, "width": 1080, "height": 1920}
VOICE = {"voice_asset_id": "v"}


def video(**changed: Any) -> dict[str, Any]:
    return {"video_config": {**VIDEO, **changed}}


def policy(**changed: Any) -> dict[str, Any]:
    return {"play_policy": changed}


def callbacks(**changed: Any) -> dict[str, Any]:
    return {"live_event_callback_config": changed}


def voice(**changed: Any) -> dict[str, Any]:
    return {"co_streamer_config": {"voice_config": {**VOICE, **changed}}}


def subtitle(**changed: Any) -> dict[str, Any]:
    return video(subtitle_config=changed)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (video(bitrate=39), "video_config.bitrate"),
        (video(bitrate=30001), "video_config.bitrate"),
        (video(codec="VP8"), "video_config.codec"),
        (video(width=1280, height=720), "video_config"),
        (video(width=-1), "video_config.width"),
        (video(height=3841), "video_config.height"),
        (video(frame_rate="30"), "video_config.frame_rate"),
        (video(clip_mode="STRETCH"), "video_config.clip_mode"),
        (video(dx=-1921), "video_config.dx"),
        (video(dy=3841), "video_config.dy"),
        (video(is_subtitle_enable=True), "video_config.is_subtitle_enable"),
        (video(is_enable_super_resolution=True), "video_config.is_enable_super_resolution"),
        ({"co_streamer_config": {"voice_config": {}}}, "co_streamer_config.voice_config.voice_asset_id"),
        (subtitle(dx=1921), "video_config.subtitle_config.dx"),
        (subtitle(font_size=121), "video_config.subtitle_config.font_size"),
        (subtitle(font_name="f" * 65), "video_config.subtitle_config.font_name"),
        (policy(repeat_count=-2), "play_policy.repeat_count"),
        (policy(repeat_count=101), "play_policy.repeat_count"),
        (policy(play_mode="VIDEO"), "play_policy.play_mode"),
        (policy(random_play_mode="ALL"), "play_policy.random_play_mode"),
        (
            policy(live_exit_config={"max_live_duration": 169}),
            "play_policy.live_exit_config.max_live_duration",
        ),
        (
            policy(live_exit_config={"max_exception_waiting_duration": 61}),
            "play_policy.live_exit_config.max_exception_waiting_duration",
        ),
        ({"output_urls": ["rtmp://a", "rtmp://b"]}, "output_urls"),
        ({"stream_keys": ["a", "b"]}, "stream_keys"),
        ({"interaction_callback_url": "u" * 2049}, "interaction_callback_url"),
        (
            callbacks(live_event_type_callback_url="https://" + "u" * 2041),
            "live_event_callback_config.live_event_type_callback_url",
        ),
        (callbacks(live_event_type_callback_url="http://plain.example.com"), "live_event_callback_config"),
        (callbacks(auth_type="BASIC"), "live_event_callback_config.auth_type"),
        (callbacks(key="k" * 33), "live_event_callback_config.key"),
        (callbacks(callback_event_type=["START"]), "live_event_callback_config.callback_event_type.0"),
        (
            {"rtc_callback_config": {"rtc_callback_event_type": ["SHOOT_SCRIPT_SWITCH"]}},
            "rtc_callback_config.rtc_callback_event_type.0",
        ),
        ({"view_mode": "SQUARE"}, "view_mode"),
        ({"co_streamer_config": {"streamer_action": "SHOUT"}}, "co_streamer_config.streamer_action"),
        (voice(voice_asset_id=""), "co_streamer_config.voice_config.voice_asset_id"),
        (voice(speed=49), "co_streamer_config.voice_config.speed"),
        (voice(pitch=201), "co_streamer_config.voice_config.pitch"),
        (voice(volume=89), "co_streamer_config.voice_config.volume"),
        (voice(volume=241), "co_streamer_config.voice_config.volume"),
        ({"ouput_urls": []}, "ouput_urls"),
        ([], "the body"),
    ],
)
def test_what_the_page_rules_out_is_refused_with_its_place(body: object, where: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        start_request(body)

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [where]


@pytest.mark.parametrize(
    "body",
    [
        {},
        video(bitrate=40),
        video(bitrate=30000, width=1920, height=1080, clip_mode="CROP", dx=-1920, dy=3840),
        policy(repeat_count=-1),
        policy(repeat_count=100, live_exit_config={"max_live_duration": 168}),
        callbacks(live_event_type_callback_url="https://" + "u" * 2040, key="k" * 32),
        callbacks(auth_type="MEITUAN_DEFAULT"),
        voice(voice_asset_id="v" * 256, speed=200, pitch=50, volume=240),
    ],
)
def test_what_lies_on_the_edge_is_sent_as_it_was_given(body: dict[str, Any]) -> None:
    assert json.loads(start_request(body).body()) == body


def test_a_default_is_the_pages_and_is_not_sent() -> None:
    assert (PlayPolicy().repeat_count, PlayPolicy().play_mode) == (0, "TEXT")
    assert PlayPolicy().random_play_mode == "SCRIPT_ITEM"
    assert VoiceConfig(voice_asset_id="v").volume == 140
    assert start_request({}).body() == b"{}"


def test_no_secret_shows_anywhere_but_in_what_is_sent() -> None:
    body = {
        "output_urls": ["rtmp://push.example.com/secret"],
        "stream_keys": ["secret"],
        "interaction_callback_url": "https://secret.example.com",
        "live_event_callback_config": {"live_event_type_callback_url": "https://h/secret", "key": "secret"},
    }
    request = start_request(body)

    assert json.loads(request.body()) == body
    assert "secret" not in repr(request)
    assert "secret" not in json.dumps(request.registration())
    with pytest.raises(InvalidRequestError) as caught:
        start_request({**body, "stream_keys": ["secret", "secret"], "view_mode": "secret"})
    assert "secret" not in str(caught.value)
