"""wrk, and the signatures that it sends."""

import os
import shutil
from pathlib import Path
from typing import Any

from monitor.config import AuthType
from monitor.vendors.metastudio.signature import sign
from tests.benchmarks.programs import PEERS, ROOT, BenchmarkError, answer_of

CONNECTIONS = 64


def signatures(public_url: str, key: str, first: int, seconds: int) -> str:
    """Return MSS_A_HEAD's `time:secret` for each second from `first` on, as the script reads them."""
    signed = (sign(public_url, AuthType.MSS_A_HEAD, key, first + second).headers for second in range(seconds))
    return " ".join(f"{headers['x-hw-mss-time']}:{headers['x-hw-mss-secret']}" for headers in signed)


def load(url: str, folder: Path, *, seconds: int, streams: int, signed: str = "") -> dict[str, float]:
    """Post callbacks for some seconds; return what wrk saw.

    Raises:
        BenchmarkError: a request was refused or got no answer: such a rate says nothing.
    """
    program, environment = _wrk()
    command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "-s", str(PEERS / "callbacks.lua"), url]
    environment |= {"STREAMS": str(streams), "SIGNATURES": signed}
    seen: dict[str, float] = answer_of(command, folder, environment)
    if seen["refused"] or seen["broken"]:
        raise BenchmarkError(f"{url}: {seen['refused']:.0f} requests refused, {seen['broken']:.0f} broken")
    return seen


def _wrk() -> tuple[str, dict[str, str]]:
    """Return the program, and where the libraries are that came with it."""
    fetched = ROOT / ".components" / "wrk" / "usr"
    program = fetched / "bin" / "wrk"
    if program.is_file():
        folders: list[Any] = [*fetched.glob("lib/*-linux-*"), os.environ.get("LD_LIBRARY_PATH", "")]
        return str(program), {"LD_LIBRARY_PATH": ":".join(str(one) for one in folders if one)}
    installed = shutil.which("wrk")
    if installed is None:
        raise BenchmarkError("wrk is missing: run scripts/components bench, which fetches it")
    return installed, {}
