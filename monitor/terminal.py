"""How commands print: a table on a terminal, lines for programs."""

import re
from collections.abc import Iterable, Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, else one line a row with tabs between."""
    console = Console()
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(row))
        return
    table = Table(show_header=any(columns))
    for column in columns:
        # Folded, never cut: an id that was cut can't be copied.
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def complain(text: str) -> None:
    """Say something that isn't the answer, on stderr."""
    typer.echo(text, err=True)


def cell(value: object) -> str:
    """Return a value as a table shows it; on one line and in one column, whatever a vendor wrote."""
    return "" if value is None else _CONTROL.sub(" ", str(value))
