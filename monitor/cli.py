"""The commands: each reads its options, calls one function, and turns the outcome into an exit code.

0: done. 1: what was asked for failed. 2: wrong usage or configuration. What a command needs beyond
the configuration is imported inside it, so that the others start quickly.
"""

import asyncio
import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, track

from monitor import __version__
from monitor.config import Role, load_settings
from monitor.errors import ConfigurationError, MonitorError
from monitor.event import canonical_job_id
from monitor.jobs.commands import jobs
from monitor.log.protocol import StoredLetter
from monitor.simulator.options import Scenario, SimulationOptions
from monitor.terminal import DEFAULT_CONFIG, Config, Json, base_url
from monitor.terminal import cell as _cell
from monitor.terminal import complain as _complain
from monitor.terminal import print_rows as _print_rows

app = typer.Typer(
    name="monitor",
    help="Turns livestream vendors' callbacks into the health of each stream, as Prometheus series.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
letters = typer.Typer(
    help="What could not be decoded, in the embedded log or on Kafka, also while the service runs."
)
app.add_typer(letters, name="dead-letters", no_args_is_help=True)
app.add_typer(jobs, name="jobs", no_args_is_help=True)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
GREATEST_NUMBER = 2**63 - 1
"""Of a dead letter; the logs number by no greater ones."""


def main() -> None:
    """Run the command line; a failure with a name is one sentence on stderr, without a traceback."""
    if isinstance(sys.stdout, TextIOWrapper):
        # Vendors' words are Chinese, and a terminal may know Latin letters alone.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="monitor")
    except ConfigurationError as error:
        _complain(str(error))
        sys.exit(2)
    except MonitorError as error:
        _complain(str(error))
        sys.exit(1)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _complain(f"what there is to say can't be written: {error.strerror}")
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"monitor {__version__}")
        raise typer.Exit


@app.callback()
def monitor(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turn livestream vendors' callbacks into the health of each stream, as Prometheus series."""


@app.command()
def serve(
    config: Config = DEFAULT_CONFIG,
    role: Annotated[Role, typer.Option(help="Which part of the service this process runs.")] = Role.ALL,
) -> None:
    """Run the service until it is told to stop (SIGTERM, Ctrl-C)."""
    settings = load_settings(config, os.environ)
    from monitor.service import run

    run(settings, role)


@app.command()
def check(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Read the configuration and reach what it names; say what is wrong, one line each, and exit with 1."""
    try:
        settings = load_settings(config, os.environ)
    except ConfigurationError as error:
        # A mistake is what was asked for here, not what keeps the command from its work.
        if as_json:
            typer.echo(json.dumps({"ok": False, "problems": error.problems, "warnings": [], "checks": []}))
        else:
            _complain(str(error))
        raise typer.Exit(1) from None
    from monitor.check import check_all, unheard_streams

    checks = check_all(settings)
    warnings = [*settings.warnings, *unheard_streams(settings)]
    well = all(found.ok for found in checks)
    if as_json:
        answer = {
            "ok": well,
            "problems": [],
            "warnings": warnings,
            "checks": [found._asdict() for found in checks],
        }
        typer.echo(json.dumps(answer))
    else:
        for warning in warnings:
            _complain(f"warning: {warning}")
        rows = [("ok" if found.ok else "error", found.name, found.detail) for found in checks]
        rows.append(("ok", "sources", f"{len(settings.sources)} configured"))
        _print_rows(("", "what", "found"), rows)
    raise typer.Exit(0 if well else 1)


@app.command()
def simulate(
    target: Annotated[
        str,
        typer.Option(metavar="URL", callback=base_url, help="The receiver, such as http://127.0.0.1:8080."),
    ],
    streams: Annotated[int, typer.Option(min=1, metavar="N", help="How many streams.")],
    config: Config = DEFAULT_CONFIG,
    duration: Annotated[
        float | None,
        typer.Option(min=1, metavar="S", help="Simulated seconds; without it, until Ctrl-C."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="X",
            help="Simulated seconds a real one; else the clock's of the configuration.",
        ),
    ] = None,
    scenario: Annotated[Scenario, typer.Option(help="What goes wrong with the streams.")] = Scenario.STEADY,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed makes the same streams.")] = 1,
    attempts: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="How often each callback is tried; else as its vendor does."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="F", help="Where to write what really happened, as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send vendors' traffic, signed as the vendors sign.

    The truth file holds each stream's numbers as /metrics has them once a minute of the service's clock has
    gone by since the run: skipped paragraphs and missed callbacks count with a delay. Where callbacks were
    lost, or came too late for their place, the numbers that this leaves open are named in `undecided`; of a
    stream with something `unacknowledged` nobody knows whether that arrived, and all its numbers are open.
    The same seed makes the same jobs: sent to one service twice, their numbers go on from where they were.
    """
    settings = load_settings(config, os.environ)
    from monitor.simulator.run import simulate as run_simulation

    options = SimulationOptions(
        settings=settings,
        target=target,
        streams=streams,
        duration=duration,
        speed=settings.clock.speed if speed is None else speed,
        scenario=scenario,
        seed=seed,
        attempts=attempts,
        truth=truth,
        json_output=as_json,
    )
    run_simulation(options)


@letters.command("list")
def list_letters(
    config: Config = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="At most so many.")] = 50,
    before: Annotated[
        int | None,
        typer.Option(min=1, max=GREATEST_NUMBER, metavar="NUMBER", help="Only those older than this one."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List dead letters, newest first, without their bodies."""
    settings = load_settings(config, os.environ)
    from monitor import dead_letters

    async def page() -> list[dict[str, object]]:
        async with dead_letters.opened(settings) as log:
            return [dead_letters.described(stored) for stored in await log.letters.list(limit, before)]

    described = asyncio.run(page())
    if as_json:
        typer.echo(json.dumps(described))
        return
    columns = ("number", "received", "source", "job_id", "channel", "type", "reason", "detail")
    _print_rows(columns, [[_cell(letter[name]) for name in columns] for letter in described])
    if len(described) == limit:
        _complain(
            f"{limit} are shown; older ones, if any: --before {described[-1]['number']}, or a greater --limit"
        )


@letters.command("show")
def show_letter(
    number: Annotated[int, typer.Argument(max=GREATEST_NUMBER, metavar="NUMBER", help="As `list` shows it.")],
    config: Config = DEFAULT_CONFIG,
    raw: Annotated[
        bool, typer.Option("--raw", help="Only the body, byte for byte, with the secrets that it may hold.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one dead letter with its body, in which known secrets are left out."""
    settings = load_settings(config, os.environ)
    from monitor import dead_letters
    from monitor.masking import masked

    async def one() -> StoredLetter | None:
        async with dead_letters.opened(settings) as log:
            return await log.letters.show(number)

    stored = asyncio.run(one())
    if stored is None:
        raise MonitorError(f"{number}: {dead_letters.NO_SUCH_LETTER}")
    if raw:
        typer.echo(stored.letter.body, nl=False)
        return
    described = dead_letters.described(stored)
    body = masked(stored.letter.body)
    if as_json:
        typer.echo(json.dumps(described | {"body": body}))
        return
    _print_rows(("", ""), [(name, _cell(value)) for name, value in described.items()])
    typer.echo(f"\n{body}")


@letters.command("retry")
def retry_letters(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(max=GREATEST_NUMBER, metavar="NUMBER", help="As `list` shows them."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    every: Annotated[bool, typer.Option("--all", help="Every letter there is, oldest first.")] = False,
    as_json: Json = False,
) -> None:
    """Decode letters again; what can be decoded becomes an event of the log, the rest stays."""
    if bool(numbers) == every:
        raise typer.BadParameter("name the letters' numbers, or --all")
    settings = load_settings(config, os.environ)
    from monitor import dead_letters

    async def run() -> list[dead_letters.Retried]:
        async with dead_letters.opened(settings, to_retry=True) as log:
            wanted = await dead_letters.all_numbers(log.letters) if every else numbers or []
            shown = track(wanted, "Decoding", console=Console(stderr=True), disable=not sys.stderr.isatty())
            return [
                await dead_letters.retry(log.letters, number, settings.sources, log.next_id)
                for number in shown
            ]

    outcomes = asyncio.run(run())
    left = [outcome for outcome in outcomes if outcome.problem is not None]
    if as_json:
        typer.echo(json.dumps([outcome._asdict() for outcome in outcomes]))
    else:
        typer.echo(f"{len(outcomes) - len(left)} of {len(outcomes)} became events")
        for outcome in left:
            _complain(f"{outcome.number}: {outcome.problem}")
    raise typer.Exit(1 if left else 0)


_LAST_SECOND = 253_402_300_799
"""The last second of the year 9999."""

_NO_MOMENT = "must be Unix seconds, or a time such as 2025-07-01T12:00:00Z"


def _moment(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        if not 0 <= seconds <= _LAST_SECOND:
            raise typer.BadParameter(_NO_MOMENT)
        return seconds
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(_NO_MOMENT) from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


@app.command()
def replay(
    config: Config = DEFAULT_CONFIG,
    since: Annotated[
        float | None,
        typer.Option("--from", metavar="T", parser=_moment, help="Leave out what was over before."),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option("--to", metavar="T", parser=_moment, help="Stop there; else at the newest event."),
    ] = None,
    job: Annotated[str | None, typer.Option("--job", metavar="ID", help="One stream only.")] = None,
    openmetrics: Annotated[
        Path | None,
        typer.Option(
            metavar="F",
            help="Write series to this file, - for stdout, for promtool; else report each stream.",
        ),
    ] = None,
    step: Annotated[
        float,
        typer.Option(min=0.001, max=86_400, metavar="S", help="Seconds between the samples of a series."),
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Fold the stored events again. Times are RFC 3339 (UTC, unless they say more) or Unix seconds.

    Without --to, each stream is told as it was when the newest event came: skipped paragraphs and missed
    callbacks count with a delay, so that /metrics may have a few more by now.
    """
    if since is not None and until is not None and since > until:
        raise typer.BadParameter("is before --from", param_hint="--to")
    if openmetrics == Path("-"):
        openmetrics = Path("/dev/stdout")
    settings = load_settings(config, os.environ)
    from monitor import replay as replaying
    from monitor.replay_openmetrics import Written, write_openmetrics

    period = replaying.Period(since, until, None if job is None else canonical_job_id(job))

    async def run() -> tuple[list[replaying.Replayed] | Written, replaying.Events]:
        async with replaying.opened(settings) as archive:
            with _reading(archive.total) as progress:
                events = replaying.Events(archive, settings, period, progress)
                if openmetrics is None:
                    return await replaying.report(events, settings, period), events
                return await write_openmetrics(events, settings, period, openmetrics, step), events

    # Behind the series' end nothing more may come.
    shares_stdout = openmetrics is not None and _is_stdout(openmetrics)
    found, events = asyncio.run(run())
    if isinstance(found, Written):
        told = f"{found.samples} samples at {found.pages} moments"
        typer.echo(json.dumps(found._asdict()) if as_json else told, err=shares_stdout)
    elif as_json:
        typer.echo(json.dumps([row._asdict() for row in found]))
    else:
        columns = replaying.Replayed._fields
        shown = [row._asdict() | {"since": replaying.in_words(row.since)} for row in found]
        _print_rows(columns, [[_cell(row[name]) for name in columns] for row in shown])
    if isinstance(found, Written) and not found.samples:
        _complain("no sample: the log holds nothing that was asked for at a whole multiple of --step")
    if not found:
        _complain("the log holds no stream that was asked for")
    if events.undecodable:
        _complain(f"{events.undecodable} events could not be decoded, and were left out")
    for fault, number in events.faulty.items():
        _complain(f"{number} events were left out for a fault of this program: {fault}")


def _is_stdout(path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


@contextlib.contextmanager
def _reading(total: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how much of the log a command has read."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as shown:
        task = shown.add_task("Folding", total=total)
        yield lambda position: shown.update(task, completed=position)
