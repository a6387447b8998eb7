"""How tables look on real terminals, narrow ones too."""

import fcntl
import os
import struct
import subprocess
import sys
import termios

import pytest

COLUMNS = ("source", "job_id", "room_id", "detail")
JOB = "26f06524-4f75-4b3a-a853-b649a21aaf66"
ROOM = "24bad716-87b1-45e5-8912-6102f7693265"
DETAIL = "must be a number"


def shown(width: int, columns: tuple[str, ...], *rows: tuple[str, ...]) -> list[str]:
    """Return the lines that a terminal of so many columns gets."""
    terminal, end = os.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, width, 0, 0))
    program = f"from monitor.terminal import print_rows; print_rows({columns!r}, {rows!r})"
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        ran = subprocess.Popen(
            [sys.executable, "-c", program], stdin=end, stdout=end, env=environment | {"TERM": "xterm"}
        )
        os.close(end)
        text = b""
        # Linux ends what a terminal shows with EIO, once nobody has its other end.
        try:
            while part := screen.read(4096):
                text += part
        except OSError:
            pass
        assert ran.wait(30) == 0
    return text.decode().splitlines()


@pytest.mark.parametrize("width", [30, 80, 100, 120, 200])
def test_an_id_is_never_cut(width: int) -> None:
    lines = shown(width, COLUMNS, ("prod", JOB, ROOM, DETAIL))

    assert sum(JOB in line for line in lines) == sum(ROOM in line for line in lines) == 1


def test_a_terminal_too_narrow_for_a_table_gets_a_line_for_each_value() -> None:
    lines = shown(80, COLUMNS, ("prod", JOB, ROOM, DETAIL), ("prod", "another", "", DETAIL))

    assert lines == [
        "source   prod",
        f"job_id   {JOB}",
        f"room_id  {ROOM}",
        f"detail   {DETAIL}",
        "",
        "source   prod",
        "job_id   another",
        "room_id",
        f"detail   {DETAIL}",
        "",
    ]


def test_prose_is_folded_before_anything_else_and_stays_within_the_terminal() -> None:
    lines = shown(105, COLUMNS, ("prod", JOB, ROOM, DETAIL))

    assert max(map(len, lines[3:])) <= 105
    assert len(lines) > len(shown(150, COLUMNS, ("prod", JOB, ROOM, DETAIL)))


def test_a_table_without_names_is_folded() -> None:
    lines = shown(30, ("", ""), ("job_id", JOB))

    assert lines[0].startswith("┌")
    assert "".join(line.split("│")[2].strip() for line in lines[1:-1]) == JOB
