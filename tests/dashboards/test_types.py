"""Today's Grafana reads the dashboards: its own types say so."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dashboards.build import FOLDER
from tests.components import grafana_types
from tests.dashboards.reading import NAMES

TYPES = Path(__file__).resolve().parent / "types"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with our types, in which Grafana's are found."""
    for name in ("dashboard.ts", "tsconfig.json"):
        shutil.copy(TYPES / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(grafana_types())
    return tmp_path


def complaints(project: Path, text: str) -> list[str]:
    """Return what the TypeScript compiler says of a dashboard's JSON."""
    (project / "written.ts").write_text(
        f'import type {{ OurDashboard }} from "./dashboard";\nexport const written: OurDashboard = {text};\n'
    )
    done = subprocess.run(
        [grafana_types() / ".bin" / "tsc", "--project", project, "--pretty", "false"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert bool(done.returncode) == bool(done.stdout)
    return [line for line in done.stdout.splitlines() if "error TS" in line]


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_is_one_of_todays_grafana(project: Path, name: str) -> None:
    assert complaints(project, (FOLDER / f"{name}.json").read_text()) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"schemaVersion": 42', '"schemaVersion": "42"'),
        ('"uid": "${datasource}"', '"uid": "prometheus"'),
        ('"type": "stat"', '"type": "singlestat"'),
        ('"textMode": "auto"', '"textMode": "automatic"'),
        ('"drawStyle": "line"', '"drawStyle": "lines"'),
        ('"mode": "thresholds"', '"mode": "limits"'),
        ('"mergeValues": true', '"mergeValues": "yes"'),
        ('"legendFormat"', '"legend"'),
        ('"gridPos"', '"position"'),
        ('"unit"', '"format"'),
    ],
)
def test_a_broken_dashboard_is_none(project: Path, right: str, wrong: str) -> None:
    text = (FOLDER / "stream.json").read_text()
    broken = re.sub(re.escape(right), lambda _: wrong, text, count=1)
    assert broken != text
    assert complaints(project, broken)
