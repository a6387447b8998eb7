import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

CONFIGURATION = """
[clock]
speed = 60

[[sources]]
name = "one"
vendor = "softsugar"
public_url = "https://hooks.example.com/callbacks/one"
keys = ["Abc123def"]
"""


def run(
    *arguments: str,
    folder: Path,
    environment: dict[str, str] | None = None,
    stdout: IO[str] | int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        | (environment or {}),
    )


def test_the_version_is_one_line(tmp_path: Path) -> None:
    ran = run("--version", folder=tmp_path)

    assert ran.returncode == 0
    assert ran.stdout.startswith("monitor")
    assert len(ran.stdout.splitlines()) == 1


def test_the_help_names_every_command(tmp_path: Path) -> None:
    ran = run("--help", folder=tmp_path)

    assert ran.returncode == 0
    for command in ("serve", "check", "simulate", "jobs", "dead-letters", "replay"):
        assert f"\n  {command} " in ran.stdout


@pytest.mark.parametrize("log", ["embedded log", "Kafka"])
def test_dead_letters_are_said_to_be_in_either_log(log: str, tmp_path: Path) -> None:
    ran = run("dead-letters", "--help", folder=tmp_path, environment={"COLUMNS": "200"})

    assert ran.returncode == 0
    assert log in ran.stdout


SIMULATE = ["simulate", "--target", "http://127.0.0.1:1", "--streams", "1"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["check", "--frobnicate"],
        ["serve", "--role", "king"],
        ["simulate", "--streams", "1"],
        ["simulate", "--target", "http://127.0.0.1:1"],
        ["simulate", "--target", "127.0.0.1:1", "--streams", "1"],
        ["simulate", "--target", "http://127.0.0.1:1", "--streams", "0"],
        [*SIMULATE, "--scenario", "calm"],
        [*SIMULATE, "--speed", "0"],
        [*SIMULATE, "--duration", "0"],
        [*SIMULATE, "--attempts", "0"],
        ["dead-letters"],
        ["dead-letters", "show"],
        ["dead-letters", "retry"],
        ["dead-letters", "list", "--limit", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(arguments: list[str], tmp_path: Path) -> None:
    tmp_path.joinpath("monitor.toml").write_text(CONFIGURATION)

    ran = run(*arguments, folder=tmp_path)

    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["serve"], 2),
        # Whatever is wrong is what it was asked for.
        (["check"], 1),
        (SIMULATE, 2),
        (["dead-letters", "list"], 2),
        (["dead-letters", "show", "1"], 2),
        (["dead-letters", "retry", "--all"], 2),
    ],
)
def test_every_command_reads_monitor_toml_here_and_says_that_it_is_not_there(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    ran = run(*arguments, folder=tmp_path)

    assert ran.returncode == code
    assert ran.stderr == "monitor.toml: the configuration file isn't there; name another with --config\n"


def test_the_environment_counts_in_the_process(tmp_path: Path) -> None:
    tmp_path.joinpath("monitor.toml").write_text(CONFIGURATION)

    ran = run("serve", folder=tmp_path, environment={"MONITOR_LOG__BACKEND": "paper"})

    assert ran.returncode == 2
    assert ran.stderr == "log.backend: must be 'sqlite' or 'kafka'\n"


def test_what_a_terminal_has_no_letters_for_is_spelled_by_their_numbers(tmp_path: Path) -> None:
    tmp_path.joinpath("monitor.toml").write_text(CONFIGURATION)

    latin = {"PYTHONIOENCODING": "latin-1", "MONITOR_LOG__PATH": "直播.db"}
    ran = run("check", folder=tmp_path, environment=latin)

    assert ran.returncode == 0
    assert "\\u76f4\\u64ad.db can be written" in ran.stdout


@pytest.mark.parametrize(
    "arguments", [["--version"], ["check"], ["check", "--json"], ["simulate", "--help"]], ids=" ".join
)
def test_an_answer_that_there_is_no_room_for_is_one_line(arguments: list[str], tmp_path: Path) -> None:
    tmp_path.joinpath("monitor.toml").write_text(CONFIGURATION)

    with Path("/dev/full").open("w") as full:
        ran = run(*arguments, folder=tmp_path, stdout=full)

    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    last = ran.stderr.splitlines()[-1]
    assert last == "what there is to say can't be written: No space left on device"
