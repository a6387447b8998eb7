"""Starts and ends the programs that are measured. Each is ended by the handle of its own process."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.end_to_end.running import wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = Path(__file__).resolve().parent / "peers"
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"

_STOP_SECONDS = 30.0

__all__ = [
    "PEERS",
    "PEERS_PYTHON",
    "ROOT",
    "BenchmarkError",
    "answer_of",
    "ours",
    "peer",
    "running",
    "wait_for",
]


class BenchmarkError(Exception):
    """A benchmark can't run; says what is missing or which program failed."""


@contextlib.contextmanager
def running(
    command: list[str], folder: Path, *, port: int, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a folder while the context is open; it accepts connections at a port by then."""
    log = folder / f"{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=output
        )

    def accepts() -> bool:
        if process.poll() is not None:
            raise BenchmarkError(f"{command[0]} ended with {process.returncode}:\n{_tail(log)}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(accepts, seconds=60, what=f"{command[0]} at port {port}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answer_of(
    command: list[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    standard_input: int | None = None,
    watch: Callable[[int], AbstractContextManager[Any]] = contextlib.nullcontext,
) -> Any:
    """Run a program to its end and return the JSON in the last line that it prints.

    Args:
        command: the program.
        folder: where it runs.
        environment: what it gets beside ours.
        standard_input: a file that it reads.
        watch: gets its process id, and is left once it has ended.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=standard_input,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        with watch(process.pid):
            output, errors = process.communicate(timeout=900)
    except BaseException:
        process.kill()
        process.wait()
        raise
    lines = output.decode().splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError):
        told = (output + errors).decode(errors="replace")[-3000:]
        raise BenchmarkError(f"{' '.join(command)} ended with {process.returncode}:\n{told}") from None


def ours(module: str, *arguments: object) -> list[str]:
    """Return the command that runs one of `tests.benchmarks.ours` in a process of its own."""
    return [sys.executable, "-m", f"tests.benchmarks.ours.{module}", *map(str, arguments)]


def peer(program: str, *arguments: object) -> list[str]:
    """Return the command that runs one of `tests/benchmarks/peers` on the peers' Python."""
    return [str(PEERS_PYTHON), str(PEERS / program), *map(str, arguments)]


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
