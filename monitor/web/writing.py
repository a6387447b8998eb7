"""Writes the pages, and their parts, as HTML."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monitor.config import Settings
from monitor.event import Stored
from monitor.health.status import Status, status
from monitor.health.stream import StreamState
from monitor.web.addresses import links
from monitor.web.board import Row, Shown, Wanted
from monitor.web.strip import in_words, last_hour
from monitor.web.views import WORST_FIRST, StreamDetail, event_views

MOST_ROWS = 2000
"""Rows that one page shows at most, worst first; a search finds the others. With more, a browser on a busy or
slow machine falls behind what it is told."""

MORE_ROWS = 100
"""Rows that a page shows at first, and that each "show more" adds."""

_UNREAD = "unread"
_SECTIONS = ("verdict", "numbers", "script", "timeline")
_STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


class File(NamedTuple):
    """A file that pages load. tag: of its content, for caches."""

    content: bytes
    media_type: str
    tag: str


class Look(NamedTuple):
    """What the address of the page of all streams asks for."""

    wanted: Wanted
    search: str


class Writer:
    """Writes pages and their parts as HTML; whatever comes from outside is escaped.

    Args:
        settings: the sources to choose from, and where links lead.
        static: the files, whose tags keep caches from serving old ones.
    """

    def __init__(self, settings: Settings, static: dict[str, File]) -> None:
        self._settings = settings
        environment = Environment(
            loader=PackageLoader("monitor.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(
            age=_age,
            clock=_clock,
            in_words=in_words,
            paragraphs=_paragraphs,
            percent=_percent,
            seconds=datetime.timestamp,
            span=_span,
            when=_when,
        )
        environment.globals.update(
            worst_first=sorted(Status, key=WORST_FIRST.__getitem__),
            sources=[source.name for source in settings.sources],
            vendors=list(dict.fromkeys(source.vendor for source in settings.sources)),
            version={name: file.tag for name, file in static.items()},
        )
        self._row = environment.get_template("row.html")
        self._list = environment.get_template("streams.html")
        self._stream = environment.get_template("stream.html")
        self._missing = environment.get_template("missing.html")
        self._event = environment.get_template("event.html")
        self._unread = environment.get_template("unread.html")
        self._sections = {name: environment.get_template(f"{name}.html") for name in _SECTIONS}

    def row(self, row: Row, now: float) -> str:
        """Return a row of the list; it is written once."""
        if row.html is None:
            row.html = self._row.render(row=row, line=row.line, now=now)
        return row.html

    def list(
        self, shown: Shown, look: Look, rows: Mapping[str, str], given: str, *, recovering: bool, stale: bool
    ) -> str:
        """Return the page of all streams.

        Args:
            shown: what somebody sees.
            look: what was asked for.
            rows: its rows as HTML, by their keys.
            given: what the page is remembered by.
            recovering: whether that isn't all yet.
            stale: whether all that is as it was some time ago.
        """
        return self._list.render(
            root="",
            shown=shown,
            look=look,
            given=given,
            more=urlencode(_as_query(look, look.wanted.rows + MORE_ROWS)),
            most=MOST_ROWS,
            rows=Markup("".join(rows.values())),  # noqa: S704
            recovering=recovering,
            stale=stale,
            now=shown.now,
        )

    def sections(self, state: StreamState, one: StreamDetail, now: float) -> dict[str, str]:
        """Return the parts of a stream's page that tell its health, by name."""
        verdict = status(state, now, self._settings.health)
        told = {
            "one": one,
            "now": now,
            "strip": last_hour(state, verdict, now),
            "links": links(self._settings.links, one.vendor, one.source, one.job_id, verdict, one.outcome),
        }
        return {name: template.render(told) for name, template in self._sections.items()}

    async def events(self, found: Sequence[Stored], now: float) -> dict[str, str]:
        """Return a stream's events, newest first, by their places in the log; secrets are masked."""
        return {
            str(view.offset): self._event.render(event=view, now=now) async for view in event_views(found)
        }

    def unread(self, *, live: bool) -> dict[str, str]:
        """Return what stands in place of a stream's events. live: whether the page gets them later."""
        return {_UNREAD: self._unread.render(key=_UNREAD, live=live)}

    def stream(
        self,
        one: StreamDetail,
        sections: dict[str, str],
        events: dict[str, str],
        before: int | None,
        older: int | None,
        now: float,
        *,
        stale: bool,
    ) -> str:
        """Return a stream's page.

        Args:
            one: what is known of the stream.
            sections: the parts that tell it, by name.
            events: its events, by their places in the log.
            before: only events below this offset are on it; None for the newest.
            older: where older ones are, None if there are none.
            now: Unix seconds.
            stale: whether all that is as it was some time ago.
        """
        return self._stream.render(
            root="../../",
            here=quote(one.job_id, safe=""),
            one=one,
            sections={name: Markup(html) for name, html in sections.items()},  # noqa: S704
            events=Markup("".join(events.values())),  # noqa: S704
            older=older,
            before=before,
            stale=stale,
            now=now,
        )

    def missing(self, source: str, job_id: str, *, recovering: bool) -> str:
        """Return the page in place of a stream's that isn't known."""
        return self._missing.render(root="../../", source=source, job_id=job_id, recovering=recovering)


def static_files() -> dict[str, File]:
    """Return what pages load, by name."""
    folder = files("monitor.web") / "static"
    read = {name: (folder / name).read_bytes() for name in _STATIC}
    return {
        name: File(content, _STATIC[name], sha256(content).hexdigest()[:16]) for name, content in read.items()
    }


def _as_query(look: Look, rows: int) -> dict[str, str]:
    wanted = look.wanted
    return {
        "status": wanted.status or "",
        "vendor": wanted.vendor or "",
        "source": wanted.source or "",
        "q": look.search,
        "rows": str(min(rows, MOST_ROWS)),
    }


def _age(at: datetime, now: float) -> str:
    """Say how long ago something was."""
    return _span(now - at.timestamp())


def _span(seconds: float) -> str:
    """Say a length of time: 45 s, 3 min, 2 h 5 min, 4 d. The pages' script says it the same way."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        hours, rest = divmod(whole, 3600)
        return f"{hours} h {rest // 60} min" if rest >= 60 else f"{hours} h"
    return f"{whole // 86400} d"


def _paragraphs(number: int) -> str:
    return "1 paragraph" if number == 1 else f"{number} paragraphs"


def _percent(share: float) -> str:
    """Say a share, 0 to 1. 100 % is all of it, and 0 % none; what is below an alert's bound is told so."""
    # Floats of whole percents may be a little less than those.
    whole = int(share * 100 + 1e-9)
    return f"{max(whole, 1) if share else 0} %"


def _clock(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
