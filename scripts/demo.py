"""Runs the service on the embedded log with simulated traffic of both vendors, until Ctrl-C.

`make demo` calls it. Everything it writes is in var/demo, and is thrown away at the next start.
MONITOR_RECEIVER__LISTEN and MONITOR_ADMIN__LISTEN move the ports; port 0 takes a free one.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import string
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import httpx

from monitor.config import Address, Settings, load_settings, parse_address
from monitor.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = ROOT / "deploy" / "demo" / "monitor.toml"
DIRECTORY = ROOT / "var" / "demo"

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STREAMS = 40
SPEED = 10.0
START_SECONDS = 60.0
STOP_SECONDS = 20.0


class DemoError(Exception):
    """The demo can't run, or one of its programs ended; the message is for the terminal."""


def main() -> int:
    for number in ENDING:
        signal.signal(number, _interrupt)
    try:
        _run()
    except (DemoError, ConfigurationError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo has ended.", flush=True)
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _finish_undisturbed()
    raise KeyboardInterrupt


def _finish_undisturbed() -> None:
    """Pass over further signals: one that cuts the ending short would leave a program behind.

    It may come from an impatient hand, or from make, which passes SIGTERM on to a script that had
    it already. With SIG_IGN, Python would complain of one that is already on its way.
    """
    for number in ENDING:
        signal.signal(number, lambda _number, _frame: None)


def _run() -> None:
    with _only_one():
        environment = _environment()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        _write_secrets()
        settings = load_settings(CONFIGURATION, environment)
        with contextlib.ExitStack() as programs:
            service = programs.enter_context(_program("serve", [], environment))
            _wait_until_it_answers(settings, service)
            arguments = ["--target", f"http://{settings.receiver.listen}", "--scenario", "mixed"]
            arguments += ["--streams", str(STREAMS), "--speed", str(SPEED)]
            simulator = programs.enter_context(_program("simulate", arguments, environment))
            _announce(settings)
            while True:
                _fail_if_ended("serve", service)
                _fail_if_ended("simulate", simulator)
                time.sleep(0.2)


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    DIRECTORY.parent.mkdir(exist_ok=True)
    with (DIRECTORY.parent / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError("another demo is running in this folder: end it first") from None
        yield


def _environment() -> dict[str, str]:
    """Return the environment of both programs: real addresses, and a clock that runs fast in both."""
    with CONFIGURATION.open("rb") as file:
        written = tomllib.load(file)
    # What else a shell has set is a real service's: its log is none to write simulated streams to.
    environment = {
        name: value for name, value in os.environ.items() if not name.upper().startswith("MONITOR_")
    }
    for section in ("receiver", "admin"):
        name = f"MONITOR_{section.upper()}__LISTEN"
        environment[name] = _free_address(name, os.environ.get(name, written[section]["listen"]))
    environment["MONITOR_CLOCK__ORIGIN"] = str(time.time())
    environment["MONITOR_CLOCK__SPEED"] = str(SPEED)
    return environment


def _free_address(name: str, listen: str) -> str:
    try:
        host, port = parse_address(listen)
    except ValueError:
        raise DemoError(f"{name}: {listen} is not host:port") from None
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise DemoError(
                f"{listen} can't be listened on ({error.strerror}): "
                f"end what uses it, or set {name}=127.0.0.1:0 for a free port"
            ) from None
        return str(Address(host, probe.getsockname()[1]))


def _write_secrets() -> None:
    DIRECTORY.mkdir(mode=0o700)
    for name in ("metastudio-key", "softsugar-key", "rtc-token"):
        # SoftSugar wants upper case, lower case and digits in a key: the first three see to it.
        key = "Aa0" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(29))
        path = DIRECTORY / name
        path.touch(mode=0o600)
        path.write_text(key + "\n")


@contextlib.contextmanager
def _program(
    command: str, arguments: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `monitor <command>` while the context is open; its output goes to a file."""
    line = [sys.executable, "-m", "monitor", command, "--config", str(CONFIGURATION), *arguments]
    with _log_of(command).open("wb") as log:
        # In a session of its own: a terminal's Ctrl-C comes to this script alone, which ends the
        # simulator before the service.
        program = subprocess.Popen(
            line,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield program
    finally:
        _end(program)


def _end(program: subprocess.Popen[bytes]) -> None:
    _finish_undisturbed()
    program.terminate()
    try:
        program.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def _wait_until_it_answers(settings: Settings, service: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(trust_env=False, timeout=2) as client:
        for listen in (settings.receiver.listen, settings.admin.listen):
            while True:
                _fail_if_ended("serve", service)
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"http://{listen}/healthz").status_code == httpx.codes.OK:
                        break
                if time.monotonic() > deadline:
                    raise DemoError(f"http://{listen}/healthz did not answer; see {_log_of('serve')}")
                time.sleep(0.1)


def _fail_if_ended(command: str, program: subprocess.Popen[bytes]) -> None:
    if program.poll() is None:
        return
    last_lines = _log_of(command).read_text(errors="replace").splitlines()[-10:]
    raise DemoError("\n".join([f"monitor {command} ended with {program.returncode}:", *last_lines]))


def _log_of(command: str) -> Path:
    return DIRECTORY / f"{command}.log"


def _announce(settings: Settings) -> None:
    admin = f"http://{settings.admin.listen}"
    callbacks = [f"http://{settings.receiver.listen}/callbacks/{source.name}" for source in settings.sources]
    print(f"{STREAMS} simulated streams of both vendors, {SPEED:g} times as fast as real ones.")
    print(f"  status page  {admin}/")
    print(f"  metrics      {admin}/metrics")
    for callback in callbacks:
        print(f"  callbacks    {callback}")
    print(f"  logs         {_log_of('serve').relative_to(ROOT)}, {_log_of('simulate').relative_to(ROOT)}")
    print("Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
