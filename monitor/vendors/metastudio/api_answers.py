"""What MetaStudio's API answers.

Every field but an id may be missing: the page's own example of a start's answer holds the job id alone.
"""

from typing import Annotated, Any, NamedTuple

from pydantic import Field, SecretStr

from monitor.vendors.api_errors import UnreadableError
from monitor.vendors.json_body import Body, Count, Identifier, PartlyReadableBody

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

WARNING_SENTENCES = {
    "TOO_LESSS_SCRIPT_ITEMS": "The script has too few paragraphs.",
    "TOO_SHORT_SCRIPT_TIME": "The paragraphs of the script are too short altogether.",
    "TOO_LESS_DANMAKU_RULES": "There are too few rules for answering on-screen comments.",
    "RANDOM_PLAY_CLOSED": "Random playback is off.",
    "ROTATION_MODEL_CLOSED": "No change of streamers is configured.",
}
"""The page's live warnings, in its own spelling (three S)."""


class RtcUser(Body):
    """Somebody who may join the room. signature: lets them in. ctime: Unix seconds until which it does."""

    user_type: str | None = None
    user_id: str | None = None
    signature: SecretStr | None = None
    ctime: Annotated[int, Field(ge=0, le=4294967295)] | None = None


class RtcRoom(Body):
    """The RTC room of a job."""

    app_id: str | None = None
    room_id: str | None = None
    users: list[RtcUser] | None = None


class CallbackConfig(Body):
    """The callbacks of a job, as the vendor has them."""

    live_event_type_callback_url: SecretStr | None = None
    auth_type: str | None = None
    key: SecretStr | None = None
    callback_event_type: list[str] | None = None


class RtcConfig(Body):
    """What is told inside the RTC room."""

    rtc_callback_event_type: list[str] | None = None


class LiveWarning(Body):
    """Something about the job that the vendor finds risky."""

    warning_type: str


class StartAnswer(PartlyReadableBody):
    """A job that was started: it runs, and costs, so whoever started it needs its id.

    limit_duration: known from the vendor's SDK alone.
    """

    what_matters = ("job_id",)

    job_id: Identifier
    rtc_room_info: RtcRoom | None = None
    live_event_report_url: SecretStr | None = None
    live_event_callback_config: CallbackConfig | None = None
    live_warning_info: list[LiveWarning] | None = None
    limit_duration: int | None = None


class ErrorInfo(Body):
    """Why a job failed."""

    error_code: str | None = None
    error_msg: str | None = None


class Job(PartlyReadableBody):
    """A job. duration, stream_duration: seconds that it ran, and that it pushed. Times are RFC 3339.

    What is odd about one is passed over if it can be: as long as it isn't read, no list is whole.
    """

    what_matters = ("job_id", "room_id", "state")

    job_id: Identifier
    room_id: str | None = None
    room_name: str | None = None
    state: str | None = None
    duration: Seconds | None = None
    stream_duration: Seconds | None = None
    start_time: str | None = None
    end_time: str | None = None
    create_time: str | None = None
    lastupdate_time: str | None = None
    error_info: ErrorInfo | None = None
    block_reason: str | None = None
    rtc_room_info: RtcRoom | None = None
    live_event_report_url: SecretStr | None = None
    live_event_callback_config: CallbackConfig | None = None
    rtc_callback_config: RtcConfig | None = None


class JobList(Body):
    """A page of jobs, each still to be read. count: of all pages."""

    count: Count | None = None
    smart_live_jobs: list[Any] | None = None


class JobPage(NamedTuple):
    """A page of jobs that was read.

    total: jobs on all pages, 0 where the vendor doesn't say. length: jobs on this one. jobs: those of them
    that can be read. odd: what is wrong with the first that can't.
    """

    total: int
    length: int
    jobs: list[Job]
    odd: UnreadableError | None


class WarningList(Body):
    """The live warnings of a room."""

    live_warning_info: list[LiveWarning] | None = None
    limit_duration: int | None = None


class ShootScript(Body):
    """A paragraph of the script."""

    sequence_no: Count
    title: str | None = None


class SceneScript(Body):
    """A scene; its name is what callbacks call scene_script_name."""

    script_name: str | None = None
    shoot_scripts: list[ShootScript] | None = None


class Room(Body):
    """A room with its scripts."""

    room_id: str | None = None
    room_name: str | None = None
    scene_scripts: list[SceneScript] | None = None
