"""The suite's own rule: whatever is skipped makes the run red."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_CONFTEST = Path(__file__).with_name("conftest.py")


def _run_pytest(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(_CONFTEST, folder)
    (folder / "test_inner.py").write_text(test)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)],
        # The plugins of other tests take longer to load than these to run.
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "test",
    [
        "import pytest\n\n@pytest.mark.skip(reason='no broker')\ndef test_inner(): pass\n",
        "import pytest\n\ndef test_inner(): pytest.skip('no broker')\n",
        "import pytest\n\npytest.skip('no broker', allow_module_level=True)\n",
        "import pytest\n\npytest.importorskip('a_module_that_is_not_there', reason='no broker')\n",
    ],
    ids=["marked", "inside the test", "whole module", "missing import"],
)
def test_a_skip_makes_the_run_red_and_says_its_reason(tmp_path: Path, test: str) -> None:
    run = _run_pytest(tmp_path, test)

    assert run.returncode != 0
    assert "no broker" in run.stdout
    assert "a skip counts as a failure" in run.stdout


def test_an_expected_failure_stays_one(tmp_path: Path) -> None:
    run = _run_pytest(tmp_path, "import pytest\n\n@pytest.mark.xfail\ndef test_inner(): assert False\n")

    assert run.returncode == 0
    assert "1 xfailed" in run.stdout
