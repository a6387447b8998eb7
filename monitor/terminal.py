"""What commands share: options, and how they print: a table on a terminal, lines for programs."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

Config = Annotated[Path, typer.Option("--config", metavar="F", help="The configuration file.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
DEFAULT_CONFIG = Path("monitor.toml")

_RULES_WIDTH = 3
"""Of a table's column: what stands to the left of its text, and behind it."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, else one line a row with tabs between.

    A terminal that is too narrow gets one line a value: an id that was cut can't be copied.
    """
    console = Console()
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(row))
        return
    rows = list(rows)
    words = [_longest_word(texts) for texts in zip(columns, *rows, strict=True)]
    fits = sum(words) + _RULES_WIDTH * len(words) < console.width
    if all(columns) and not fits:
        name_width = max(map(len, columns))
        for row in rows:
            lines = zip(columns, row, strict=True)
            typer.echo("\n".join(f"{name:{name_width}}  {text}".rstrip() for name, text in lines) + "\n")
        return
    table = Table(show_header=any(columns))
    for name, *texts in zip(columns, *rows, strict=True):
        # Prose is folded; where there is no room for all else, that too, but nothing is cut.
        table.add_column(name, overflow="fold", no_wrap=fits and not any(" " in text for text in texts))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _longest_word(texts: Iterable[str]) -> int:
    """Return how wide a column has to be, so that no word in it is cut."""
    return max((cell_len(word) for text in texts for word in text.split()), default=0)


def base_url(text: str | None) -> str | None:
    """Read an option that is a server's address; nothing stays nothing, and a slash at its end is cut off.

    Raises:
        typer.BadParameter: it is none that could be asked.
    """
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise typer.BadParameter("must be a URL with http:// or https:// and a host")
    return text.rstrip("/")


def complain(text: str) -> None:
    """Say something that isn't the answer, on stderr."""
    typer.echo(text, err=True)


def cell(value: object) -> str:
    """Return a value as a table shows it; on one line and in one column, whatever a vendor wrote."""
    return "" if value is None else _CONTROL.sub(" ", str(value))
