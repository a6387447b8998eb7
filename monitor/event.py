"""The Event: identity, time, channel and raw body, and the typed payloads that vendors decode it to.

An Event is what the log keeps. A payload is what the fold reads: it speaks of streams, never of a
vendor's field names.
"""

import hashlib
import re
import sys
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

_JOB_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


class Vendor(StrEnum):
    """Who runs the livestream."""

    METASTUDIO = "metastudio"
    SOFTSUGAR = "softsugar"


class Channel(StrEnum):
    """How an event reached us."""

    CALLBACK = "callback"
    RTC = "rtc"
    API = "api"


UNKNOWN_TYPE = "unknown"
"""The event type of what an authentic sender told and nobody published."""


RETRY_RECEIVER = "retry"
"""How the receiver's name begins in the id of an event that was a dead letter.

Not with the name of the one that took the letter: its stream may have seen newer ids of that receiver
since, and would take the event for one it has folded already.
"""


class EventId(NamedTuple):
    """Names one acceptance of one message; compared by (boot, sequence) within a receiver.

    receiver: the receiver's lasting name. boot: rises with each start of it. sequence: rises with
    each event of a boot.
    """

    receiver: str
    boot: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.receiver}-{self.boot}-{self.sequence}"

    @property
    def is_retried(self) -> bool:
        """Whether the event was a dead letter, so that it may come hours after what followed it."""
        return self.receiver.partition("-")[0] == RETRY_RECEIVER

    @classmethod
    def parse(cls, text: str) -> "EventId":
        """Read what `str` wrote.

        Raises:
            ValueError: the text isn't `<receiver>-<boot>-<sequence>`.
        """
        receiver, boot, sequence = text.rsplit("-", 2)
        return cls(receiver, int(boot), int(sequence))


class Event(NamedTuple):
    """One message about one stream, as the log keeps it.

    job_id: canonical (see `canonical_job_id`). type: the vendor's own event type, or `unknown`.
    received: our time, Unix seconds. signed: the vendor's signed time, whole Unix seconds, if any.
    body: the bytes as they came.
    """

    id: EventId
    vendor: Vendor
    source: str
    job_id: str
    channel: Channel
    type: str
    received: float
    signed: int | None
    body: bytes


class Stored(NamedTuple):
    """An event with its place in the log: a partition (0 in the embedded log) and an offset in it."""

    partition: int
    offset: int
    event: Event


def canonical_job_id(text: str) -> str:
    """Return the one spelling of a job id: a UUID loses hyphens and upper case, any other id stays.

    MetaStudio writes the same id with hyphens in a start response and without in events.
    """
    if not 32 <= len(text) <= 36:
        return text
    lowered = text.lower()
    if len(text) == 32 and lowered == text:
        # As nearly all events spell it; a hot path.
        return text
    return lowered.replace("-", "") if _UUID.fullmatch(lowered) else text


def is_job_id(text: str) -> bool:
    """Return whether a job can have this id: 1 to 256 characters, none of them a control character.

    Ids go into URLs and labels. What a body says has the same rule. Halves of surrogate pairs are no
    characters: so Python gives what isn't UTF-8 on a command line.
    """
    return _JOB_ID.fullmatch(text) is not None


class LinkState(StrEnum):
    """The state of one RTMP push, in MetaStudio's words (lower case, as the metric's label)."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    RECONNECTING = "reconnecting"
    END = "end"


class SessionState(StrEnum):
    """The state of a SoftSugar session: 32 starting, 35 running, 5 completed, 9 abnormal."""

    STARTING = "starting"
    RUNNING = "running"
    COMPLETED = "completed"
    ABNORMAL = "abnormal"


class JobState(StrEnum):
    """What a vendor's API says of a job; `missing`: it doesn't know the job (any more)."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    BLOCKED = "blocked"
    MISSING = "missing"


class CallbackAim(StrEnum):
    """Where a job's callbacks go, as the vendor has it: to this service, elsewhere, or nowhere."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    NOWHERE = "nowhere"


class CallbackKind(StrEnum):
    """What a vendor's callback tells of, whatever the vendor calls it."""

    LINK = "link"
    PARAGRAPH = "paragraph"
    REPLY = "reply"


class RandomPlayMode(StrEnum):
    """In which order a round plays the script, from its second round on (MetaStudio, PlayPolicy)."""

    NONE = "NONE"
    SCENE = "SCENE"
    SCRIPT_ITEM = "SCRIPT_ITEM"
    SCENE_AND_SCRIPT_ITEM = "SCENE_AND_SCRIPT_ITEM"


SCENE_LENGTH = 256
"""Characters of a scene's name."""

MOST_PARAGRAPHS = 10_000
"""Of one script."""

MOST_SCRIPT_BYTES = 400_000
"""What the keys of a script's paragraphs take together: a state holds each up to a dozen times."""


class Paragraph(NamedTuple):
    """One paragraph of the script. sequence_no: a number, however the vendor spelled it ("2" or 2)."""

    scene: str
    sequence_no: int

    @classmethod
    def told(cls, scene: str, sequence_no: int) -> "Paragraph":
        """Return the paragraph that somebody told of; of a longer name a hash stands for the end."""
        if len(scene) > SCENE_LENGTH:
            digest = hashlib.blake2b(scene.encode(), digest_size=8).hexdigest()
            scene = f"{scene[: SCENE_LENGTH - len(digest) - 1]}…{digest}"
        return cls(scene, sequence_no)

    @property
    def key(self) -> str:
        """One text that names the paragraph within its stream; `from_key` reads it.

        Interned: a state holds it in several places, and many streams play the same script.
        """
        return sys.intern(f"{self.sequence_no}/{self.scene}")

    @classmethod
    def from_key(cls, key: str) -> "Paragraph":
        """Return the paragraph that a `key` names."""
        return _paragraph_of(key)


@lru_cache(maxsize=16384)
def _paragraph_of(key: str) -> Paragraph:
    # Cached, because many streams play the same script and each play asks for its neighbours.
    sequence_no, scene = key.split("/", 1)
    return Paragraph(scene, int(sequence_no))


class LinkChanged(NamedTuple):
    """An RTMP push changed its state. output: a hash of its address and key, never the address."""

    output: str
    state: LinkState
    room_id: str | None = None


class ParagraphStarted(NamedTuple):
    """The script switched to a paragraph (callback)."""

    paragraph: Paragraph
    room_id: str | None = None


class ScriptProgress(NamedTuple):
    """The script is inside a paragraph (RTC). offset: how far, in the vendor's unit; falls on a repeat."""

    paragraph: Paragraph
    offset: int | None


class ReplyFinished(NamedTuple):
    """A reply to the audience has been played."""

    reply_id: str
    room_id: str | None = None


class SessionChanged(NamedTuple):
    """A SoftSugar session told its status, an error code, or both."""

    state: SessionState | None
    code: int | None = None


class JobRegistered(NamedTuple):
    """A start that somebody told us of: what the stream is, and what it should play.

    A field is None where the registration doesn't say. plan: paragraphs in playing order. plan_by_api:
    they come from the room, by the vendor's API.
    subscribed: what the job asked to be called back for. max_duration: seconds.
    """

    room_id: str | None = None
    rtc_room_id: str | None = None
    play_mode: str | None = None
    random_play_mode: RandomPlayMode | None = None
    view_mode: str | None = None
    repeat_count: int | None = None
    auto_play_script: bool | None = None
    max_duration: float | None = None
    subscribed: tuple[CallbackKind, ...] = ()
    plan: tuple[Paragraph, ...] = ()
    warnings: tuple[str, ...] | None = None
    plan_by_api: bool = False


class JobObserved(NamedTuple):
    """What the vendor's API said of a job at one moment; a field is None where it didn't say.

    duration, push_duration: seconds that the job has run, and has pushed. error, reason: why it failed or
    was blocked, the vendor's code and words. warnings: its live warnings.
    """

    state: JobState | None
    room_id: str | None = None
    duration: float | None = None
    push_duration: float | None = None
    error: str | None = None
    reason: str | None = None
    warnings: tuple[str, ...] | None = None
    aim: CallbackAim | None = None


class Unrecognised(NamedTuple):
    """An event type that nobody published: kept, counted, and a sign of life."""

    name: str


Payload = (
    LinkChanged
    | ParagraphStarted
    | ScriptProgress
    | ReplyFinished
    | SessionChanged
    | JobRegistered
    | JobObserved
    | Unrecognised
)


class Relay(NamedTuple):
    """What a relay in the RTC room says about a message: its own name, a rising number, its time (s)."""

    relay: str
    sequence: int
    at: float | None


class Decoded(NamedTuple):
    """What a body says. job_id: canonical; None where the body can't carry one (RTC)."""

    job_id: str | None
    type: str
    payload: Payload
    relay: Relay | None = None
