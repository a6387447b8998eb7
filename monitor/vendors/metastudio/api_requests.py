"""What MetaStudio's API is asked, with the ranges and defaults of its page.

A field that isn't set isn't sent; its default says what the vendor then does. A field that neither the
page nor the vendor's SDK knows is refused: it would be a typing error that nobody notices.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    SerializationInfo,
    ValidationError,
    field_serializer,
    model_validator,
)

from monitor.event import RandomPlayMode
from monitor.vendors.api_errors import InvalidRequestError

CallbackEventType = Literal["SHOOT_SCRIPT_SWITCH", "RTMP_STREAM_STATE_CHANGE", "REPLY_COMMAND_FINISH"]
CALLBACK_EVENT_TYPES: tuple[CallbackEventType, ...] = get_args(CallbackEventType)
"""All that can be called back for."""

LIVE_RESOLUTIONS = ((1080, 1920), (1920, 1080))
"""Width and height that livestreaming takes; other pages of the vendor's have more."""


class RequestModel(BaseModel):
    """A part of a request: unknown fields are refused, and no error repeats a value."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class SubtitleConfig(RequestModel):
    """Where and how subtitles stand (pixels from the lower left); no livestream shows them."""

    dx: Annotated[int, Field(ge=0, le=1920)] | None = None
    dy: Annotated[int, Field(ge=0, le=1920)] | None = None
    font_name: Annotated[str, Field(max_length=64)] = "HarmonyOS_Sans_SC_Black"
    font_size: Annotated[int, Field(ge=0, le=120)] = 54
    h: Annotated[int, Field(ge=0, le=1920)] | None = None
    w: Annotated[int, Field(ge=0, le=1920)] | None = None


class VideoConfig(RequestModel):
    """The video that is pushed. bitrate: kbit/s. width, height, dx, dy: pixels. frame_rate: FPS."""

    clip_mode: Literal["RESIZE", "CROP"] = "RESIZE"
    codec: Literal["H264"]
    bitrate: Annotated[int, Field(ge=40, le=30000)]
    width: Annotated[int, Field(ge=0, le=3840)]
    height: Annotated[int, Field(ge=0, le=3840)]
    frame_rate: Literal["25"] = "25"
    is_subtitle_enable: Literal[False] = False
    subtitle_config: SubtitleConfig | None = None
    disable_system_watermark: bool | None = None
    dx: Annotated[int, Field(ge=-1920, le=3840)] | None = None
    dy: Annotated[int, Field(ge=-1920, le=3840)] | None = None
    is_enable_super_resolution: Literal[False] = False

    @model_validator(mode="after")
    def _fits_a_livestream(self) -> "VideoConfig":
        if (self.width, self.height) not in LIVE_RESOLUTIONS:
            raise ValueError("width and height: a livestream has 1080 x 1920 or 1920 x 1080")
        return self


class LiveExitConfig(RequestModel):
    """When the vendor ends a job by itself; known from its SDK alone.

    max_live_duration: hours, 0 for no limit. max_exception_waiting_duration: minutes of an outage, 0 for
    no limit; about 3 if it isn't set.
    """

    max_live_duration: Annotated[int, Field(ge=0, le=168)] | None = None
    auto_stop_mode: Literal["FORCE_EXIT", "SEGMENT_END", "SCENE_END", "SCRIPT_END"] = "FORCE_EXIT"
    max_exception_waiting_duration: Annotated[int, Field(ge=0, le=60)] | None = None


class PlayPolicy(RequestModel):
    """How the script plays. repeat_count: -1 until it is stopped, 0 once, n for n + 1 times."""

    repeat_count: Annotated[int, Field(ge=-1, le=100)] = 0
    auto_play_script: bool = True
    play_mode: Literal["TEXT", "AUDIO", "NO_PRESET"] = "TEXT"
    random_play_mode: RandomPlayMode = RandomPlayMode.SCRIPT_ITEM
    need_independent_capture_client: bool = False
    live_exit_config: LiveExitConfig | None = None
    is_rewrite_delay: bool | None = None


class CallbackAuthType(StrEnum):
    """How the vendor authenticates what it posts."""

    NONE = "NONE"
    MSS_A = "MSS_A"
    MSS_A_HEAD = "MSS_A_HEAD"
    MEITUAN_DEFAULT = "MEITUAN_DEFAULT"


def _check_https(url: SecretStr | None) -> None:
    if url is not None and url.get_secret_value() and not url.get_secret_value().startswith("https://"):
        raise ValueError("live_event_type_callback_url: must begin with https://")


class LiveEventCallbackConfig(RequestModel):
    """Where live events are posted to (an HTTPS address), signed how, and which."""

    live_event_type_callback_url: Annotated[SecretStr, Field(max_length=2048)] | None = None
    auth_type: CallbackAuthType = CallbackAuthType.NONE
    key: Annotated[SecretStr, Field(max_length=32)] | None = None
    callback_event_type: list[CallbackEventType] | None = None

    @model_validator(mode="after")
    def _posts_to_https(self) -> "LiveEventCallbackConfig":
        _check_https(self.live_event_type_callback_url)
        return self

    @field_serializer("live_event_type_callback_url", "key", when_used="unless-none")
    def _tell(self, secret: SecretStr, info: SerializationInfo) -> str:
        return _told(secret, info)


class RtcCallbackConfig(RequestModel):
    """What is told inside the RTC room; without it, LIVE_PROGRESS."""

    rtc_callback_event_type: list[Literal["LIVE_PROGRESS", "REPLY_COMMAND_FINISH"]] | None = None


class VoiceConfig(RequestModel):
    """A voice. speed: percent of an adult's, 100 is about 150 words a minute."""

    voice_asset_id: Annotated[str, Field(min_length=1, max_length=256)]
    speed: Annotated[int, Field(ge=50, le=200)] = 100
    pitch: Annotated[int, Field(ge=50, le=200)] = 100
    volume: Annotated[int, Field(ge=90, le=240)] = 140


class CoStreamerConfig(RequestModel):
    """Who speaks beside the streamer, and what the streamer does meanwhile."""

    voice_config: VoiceConfig | None = None
    streamer_action: Literal["SILENCE", "VOLUME_DOWN"] | None = None


class StartRequest(RequestModel):
    """The body of a start. output_urls, stream_keys: one each at most, and kept out of every output.

    job_run_config: known from the vendor's SDK alone, and passed on unseen.
    """

    video_config: VideoConfig | None = None
    play_policy: PlayPolicy | None = None
    output_urls: Annotated[list[SecretStr], Field(max_length=1)] | None = None
    stream_keys: Annotated[list[SecretStr], Field(max_length=1)] | None = None
    interaction_callback_url: Annotated[SecretStr, Field(max_length=2048)] | None = None
    live_event_callback_config: LiveEventCallbackConfig | None = None
    rtc_callback_config: RtcCallbackConfig | None = None
    view_mode: Literal["LANDSCAPE", "VERTICAL"] = "VERTICAL"
    co_streamer_config: CoStreamerConfig | None = None
    job_run_config: dict[str, Any] | None = None

    @field_serializer("interaction_callback_url", when_used="unless-none")
    def _tell(self, secret: SecretStr, info: SerializationInfo) -> str:
        return _told(secret, info)

    @field_serializer("output_urls", "stream_keys", when_used="unless-none")
    def _tell_each(self, secrets: list[SecretStr], info: SerializationInfo) -> list[str]:
        return [_told(secret, info) for secret in secrets]

    def body(self) -> bytes:
        """Return what is sent, secrets and all: what was set, and no defaults."""
        return self.model_dump_json(exclude_unset=True, context=_TO_THE_VENDOR).encode()

    def registration(self) -> dict[str, Any]:
        """Return what a registration needs of it; secrets are masked."""
        return self.model_dump(mode="json", exclude_unset=True)


class CommandRequest(RequestModel):
    """A command to a running job, such as REFRESH_OUTPUT_URL. params: as the command wants them."""

    command: Annotated[str, Field(min_length=1, max_length=64)]
    params: dict[str, Any] | None = None


class LiveEvent(RequestModel):
    """Something that viewers did. timestamp: milliseconds. type: a number of the vendor's."""

    timestamp: Annotated[int, Field(ge=0)]
    type: int
    content: str


M = TypeVar("M", bound=RequestModel)

_TO_THE_VENDOR = {"secrets": True}


def _told(secret: SecretStr, info: SerializationInfo) -> str:
    """Spell a secret out for the vendor alone."""
    return secret.get_secret_value() if info.context == _TO_THE_VENDOR else str(secret)


def start_request(document: object) -> StartRequest:
    """Check the body of a start.

    Raises:
        InvalidRequestError: it breaks the vendor's rules; says where, and repeats no value.
    """
    return _checked(StartRequest, document)


def command_request(name: str, params: dict[str, Any] | None) -> CommandRequest:
    """Check a command to a running job.

    Raises:
        InvalidRequestError: as for a start.
    """
    if name == "RESET_EXIT_CONFIG":
        _checked(LiveExitConfig, params or {})
    return _checked(CommandRequest, {"command": name} | ({} if params is None else {"params": params}))


def _checked(model: type[M], document: object) -> M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, detail['loc'])) or 'the body'}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise InvalidRequestError(problems) from None
