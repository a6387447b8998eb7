"""What a run measured: rows side by side, targets, and the file and tables they end in."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass
class Row:
    """One program at one work. figures: name with unit → value of each turn."""

    program: str
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        """Add what one turn measured."""
        self.figures.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """Return the middle of all turns."""
        return median(self.figures[name])


@dataclass(frozen=True)
class Target:
    """A bound that a figure should keep. at_least: the bound is a lower one."""

    what: str
    value: float
    bound: float
    at_least: bool

    @property
    def is_met(self) -> bool:
        """Whether the figure keeps its bound."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass
class Part:
    """What one benchmark found.

    remarks: sentences that a reader of the figures needs. profiles: program → step → µs of processor time
    that an event or a request takes there.
    """

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    profiles: dict[str, dict[str, float]] = field(default_factory=dict)

    def row(self, program: str) -> Row:
        """Return the row of a program, a new one if there is none."""
        for row in self.rows:
            if row.program == program:
                return row
        self.rows.append(Row(program))
        return self.rows[-1]


def show(console: Console, parts: Sequence[Part]) -> None:
    """Print a table for each part, and one of all targets."""
    for part in parts:
        names = list(dict.fromkeys(name for row in part.rows for name in row.figures))
        table = Table(title=part.title, title_justify="left")
        table.add_column("")
        for name in names:
            table.add_column(name, justify="right")
        for row in part.rows:
            table.add_row(
                row.program, *(_written(row.median(name)) if name in row.figures else "" for name in names)
            )
        console.print(table)
        for remark in part.remarks:
            console.print(remark, highlight=False, soft_wrap=True)
        if part.profiles:
            console.print(_profiles(part.profiles))
        console.print()
    targets = Table("target", "measured", "bound", "", title="Targets", title_justify="left")
    for target in [target for part in parts for target in part.targets]:
        sign = "≥" if target.at_least else "≤"
        targets.add_row(
            target.what,
            _written(target.value),
            f"{sign} {_written(target.bound)}",
            "met" if target.is_met else "missed",
        )
    console.print(targets)


def write(path: Path, about: dict[str, Any], parts: Sequence[Part]) -> None:
    """Write all of it as JSON: each turn's figures, and their medians."""
    described = [
        {
            **asdict(part),
            "rows": [
                {
                    "program": row.program,
                    "turns": row.figures,
                    "median": {name: row.median(name) for name in row.figures},
                }
                for row in part.rows
            ],
            "targets": [{**asdict(target), "met": target.is_met} for target in part.targets],
        }
        for part in parts
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "parts": described}, indent=2) + "\n")


def _profiles(profiles: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table("µs each", *profiles, title="Where processor time goes", title_justify="left")
    for step in dict.fromkeys(step for steps in profiles.values() for step in steps):
        table.add_row(step, *(_written(steps[step]) if step in steps else "" for steps in profiles.values()))
    return table


def _written(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
