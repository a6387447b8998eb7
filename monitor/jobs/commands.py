"""The commands of `monitor jobs`: options in, one call, a table or JSON out."""

import asyncio
import errno
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from monitor.config import Settings, Source, build_clock, load_settings
from monitor.errors import ConfigurationError
from monitor.event import is_job_id
from monitor.terminal import DEFAULT_CONFIG, Config, Json, base_url, cell, complain, print_rows
from monitor.vendors.api_errors import PERHAPS_DONE, UnreadableError
from monitor.vendors.api_protocol import VendorApi

T = TypeVar("T")

jobs = typer.Typer(help="Livestream jobs at the vendors, and tokens for relays.")

SourceName = Annotated[str, typer.Argument(metavar="SOURCE", help="A source's name in the configuration.")]


def _id(text: str) -> str:
    # Of any other nothing could ever be told.
    if not is_job_id(text):
        raise typer.BadParameter("must be 1 to 256 characters, none of them a control character")
    return text


Job = Annotated[str, typer.Option("--job", metavar="J", parser=_id, help="The job's or the session's id.")]
Room = Annotated[
    str | None,
    typer.Option(
        "--room", metavar="R", parser=_id, help="The room; of a SoftSugar start, a name to register it by."
    ),
]

# Before anything is sent: a job that was started runs, and costs, whatever is wrong with the address.
Service = Annotated[
    str | None,
    typer.Option(metavar="URL", callback=base_url, help="Where operators reach the running service."),
]


@jobs.command()
def start(
    source_name: SourceName,
    room: Room = None,
    body: Annotated[
        Path | None,
        typer.Option(metavar="F", help="The vendor's request as JSON; - reads it from stdin."),
    ] = None,
    callbacks: Annotated[
        bool, typer.Option("--callbacks", help="Have the vendor call back to this source, for all events.")
    ] = False,
    repeat_count: Annotated[
        int | None, typer.Option(metavar="N", help="-1: until it is stopped; n: n + 1 times (MetaStudio).")
    ] = None,
    play_mode: Annotated[
        str | None, typer.Option(metavar="M", help="TEXT, AUDIO or NO_PRESET (MetaStudio).")
    ] = None,
    random_play_mode: Annotated[
        str | None, typer.Option(metavar="M", help="NONE, SCENE, SCRIPT_ITEM, … (MetaStudio).")
    ] = None,
    max_hours: Annotated[
        int | None, typer.Option(metavar="H", help="When the vendor ends it by itself (MetaStudio).")
    ] = None,
    service: Service = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Start a job, say what the vendor warns of, and register it with the running service."""
    settings, source = _read(config, source_name)
    from monitor.jobs import calling

    _check_room(source, room)
    policy = {"repeat_count": repeat_count, "play_mode": play_mode, "random_play_mode": random_play_mode}
    given: dict[str, Any] = {name: value for name, value in policy.items() if value is not None}
    if max_hours is not None:
        given["live_exit_config"] = {"max_live_duration": max_hours}
    if given and not calling.needs_room(source):
        raise typer.BadParameter("a play policy is MetaStudio's; SoftSugar's stands in --body")
    document = {} if body is None else _document("--body", body)
    request = calling.merged(document, {"play_policy": given} if given else {})
    if callbacks:
        request = calling.with_callbacks(source, request)

    started = _change(settings, source, lambda api: api.start(room, request))
    # Whoever doesn't want to wait for the service has to hear which job it is that runs.
    problem = _problem_in(calling.register(settings, source, started, service))
    answer = {
        **started.described,
        "registered": problem is None,
        "warnings": [warning._asdict() for warning in started.warnings],
    }
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        rows = [(name, _words(value)) for name, value in answer.items() if name != "warnings"]
        rows += [("warning", f"{warning.sentence} ({warning.type})") for warning in started.warnings]
        print_rows(("", ""), rows)
    if problem is not None:
        complain(f"the job runs, but isn't registered: {problem}")
        raise typer.Exit(1)


@jobs.command()
def stop(
    source_name: SourceName,
    job: Job,
    room: Room = None,
    service: Service = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Stop a job; of a SoftSugar session, tell the running service."""
    settings, source = _read(config, source_name)
    from monitor.jobs import calling

    _check_room(source, room)
    _change(settings, source, lambda api: api.stop(room, job))
    typer.echo(json.dumps({"job_id": job, "stopped": True}) if as_json else f"{job} is stopped")
    if calling.tells_ends(source):
        return
    problem = _problem_in(calling.tell_stopped(settings, source, job, service))
    if problem is not None:
        complain(f"unless the vendor calls back, the service will take it for vanished: {problem}")


@jobs.command()
def command(
    source_name: SourceName,
    name: Annotated[
        str, typer.Argument(metavar="COMMAND", help="In the vendor's word, such as REFRESH_OUTPUT_URL.")
    ],
    job: Job,
    room: Room = None,
    params: Annotated[
        Path | None,
        typer.Option(metavar="F", help="What the command wants, as JSON; - reads it from stdin."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Send a running job a command, and say what the vendor answered (MetaStudio)."""
    settings, source = _read(config, source_name)
    _check_room(source, room)
    given = None if params is None else _document("--params", params)
    # No list shows whether a command was carried out.
    look = "look at the job at the vendor's before you send it again"
    answer = _change(settings, source, lambda api: api.command(room, job, name, given), look=look)
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        print_rows(("", ""), [("job_id", job), *((field, _words(value)) for field, value in answer.items())])


@jobs.command()
def show(
    source_name: SourceName,
    job: Job,
    room: Room = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Show what the vendor says of a job."""
    settings, source = _read(config, source_name)
    _check_room(source, room)
    from monitor.jobs.calling import described

    found = described(_ask(settings, source, lambda api: api.show(room, job)))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        print_rows(("", ""), [(name, cell(value)) for name, value in found.items()])
    raise typer.Exit(1 if found["state"] == "missing" else 0)


@jobs.command("list")
def list_jobs(source_name: SourceName, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """List the jobs that wait or run, as the vendor says."""
    settings, source = _read(config, source_name)
    from monitor.jobs.calling import described

    found: list[dict[str, Any]] = []

    async def read(api: VendorApi) -> UnreadableError | None:
        try:
            async for job in api.running():
                # A comprehension would lose what came before the error.
                found.append(described(job))  # noqa: PERF401
        except UnreadableError as error:
            return error
        return None

    unreadable = _ask(settings, source, read)
    if found or unreadable is None:
        if as_json:
            typer.echo(json.dumps(found))
        else:
            columns = ("job_id", "room_id", "state", "duration", "push_duration", "callbacks")
            print_rows(columns, [[cell(one[name]) for name in columns] for one in found])
    if unreadable is not None:
        # What could be read is better than nothing, but isn't all.
        raise unreadable


@jobs.command("rtc-token")
def rtc_token(
    source_name: SourceName,
    job: Job,
    valid_for: Annotated[str, typer.Option(metavar="24h", help="How long: 90s, 45m, 24h, 7d.")] = "24h",
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Make a token by which a page may relay the RTC messages of one job."""
    from monitor.jobs import calling

    try:
        seconds = calling.length(valid_for)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--valid-for") from None
    settings, source = _read(config, source_name)
    token, expires = calling.rtc_token(source, job, seconds, build_clock(settings).now())
    if as_json:
        typer.echo(json.dumps({"source": source.name, "job_id": job, "token": token, "expires": expires}))
    else:
        typer.echo(token)


def _read(config: Path, source_name: str) -> tuple[Settings, Source]:
    settings = load_settings(config, os.environ)
    from monitor.jobs.calling import source_named

    return settings, source_named(settings, source_name)


def _ask(settings: Settings, source: Source, ask: Callable[[VendorApi], Awaitable[T]]) -> T:
    from monitor.jobs.calling import vendor_of

    async def run() -> T:
        async with vendor_of(source, build_clock(settings)) as api:
            return await ask(api)

    return asyncio.run(run())


def _change(
    settings: Settings,
    source: Source,
    ask: Callable[[VendorApi], Awaitable[T]],
    *,
    look: str | None = None,
) -> T:
    """Have the vendor change something. look: how an interrupted user sees whether it was done."""
    try:
        return _ask(settings, source, ask)
    except KeyboardInterrupt:
        # Who doesn't want to wait for the vendor would else do it again: a second job costs money.
        complain(f"interrupted{PERHAPS_DONE}: {look or f'monitor jobs list {source.name} shows what runs'}")
        raise


def _problem_in(telling: Coroutine[Any, Any, Any]) -> str | None:
    """Tell the running service something; say why it doesn't know of it, None if it does."""
    try:
        problem: str | None = asyncio.run(telling).problem
    except KeyboardInterrupt:
        return "it was interrupted"
    return problem


def _check_room(source: Source, room: str | None) -> None:
    from monitor.jobs.calling import needs_room

    if room is None and needs_room(source):
        raise typer.BadParameter("MetaStudio's jobs belong to a room; name it", param_hint="--room")


def _document(option: str, path: Path) -> dict[str, Any]:
    """Read what an option's file says to the vendor.

    Raises:
        ConfigurationError: it can't be read, or isn't a JSON object.
    """
    try:
        # Not stdin's own text: where the locale is C, it lets through what is no UTF-8.
        text = (_stdin() if str(path) == "-" else path.read_bytes()).decode()
    except OSError as error:
        raise ConfigurationError([f"{option} {path}: can't be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{option} {path}: can't be read as a text"]) from None
    try:
        document = json.loads(text)
        # Python reads more than it can send.
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as error:
        raise ConfigurationError([f"{option} {path}: isn't JSON (line {error.lineno})"]) from None
    except ValueError:
        problem = "holds what can't be sent: NaN, Infinity, half a character or an endless number"
        raise ConfigurationError([f"{option} {path}: {problem}"]) from None
    except RecursionError:
        raise ConfigurationError([f"{option} {path}: is nested too deeply"]) from None
    if not isinstance(document, dict):
        raise ConfigurationError([f"{option} {path}: must be a JSON object"])
    return document


def _stdin() -> bytes:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "stdin is closed")
    return sys.stdin.buffer.read()


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else cell(value)
