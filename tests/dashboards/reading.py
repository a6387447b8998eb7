"""The dashboards as they are written, taken apart: what tests ask of them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dashboards.build import FOLDER

NAMES = ("fleet", "stream", "pipeline")


class Asked(NamedTuple):
    """A query of a panel. now: its newest value alone."""

    dashboard: str
    panel: str
    kind: str
    expression: str
    now: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel}: {self.expression}"


class Selector(NamedTuple):
    """A metric with its matchers, as it stands in a query. within: the function that it is given to."""

    metric: str
    matchers: str
    window: str | None
    within: str


def dashboard(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return a dashboard by the name of its file."""
    read: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return read


def panels(name: str) -> list[dict[str, Any]]:
    """Return a dashboard's panels without the titles of its rows."""
    return [panel for panel in dashboard(name)["panels"] if panel["type"] != "row"]


def queries(name: str) -> Iterator[Asked]:
    """Yield every query of every panel."""
    for panel in panels(name):
        for target in panel["targets"]:
            yield Asked(name, panel["title"], panel["type"], target["expr"], target["instant"])


def expressions(name: str) -> Iterator[str]:
    """Yield every query: of the panels, of the variables and of the annotations."""
    for asked in queries(name):
        yield asked.expression
    for variable in dashboard(name)["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]
    for annotation in dashboard(name)["annotations"]["list"]:
        yield annotation["target"]["expr"]


_SELECTOR = re.compile(r"(\w*)\(?\b([a-zA-Z_:]+)\{([^{}]*)\}(?:\[([^\]]+)\])?")


def selectors(expression: str) -> list[Selector]:
    """Return the metrics that a query reads."""
    return [
        Selector(metric, matchers, window or None, within)
        for within, metric, matchers, window in _SELECTOR.findall(expression)
    ]
