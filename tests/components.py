"""Where the programs are that tests run beside this one. A missing one fails the test."""

import shutil
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_FETCHED = _ROOT / ".components"


def prometheus() -> Path:
    """Return Debian's Prometheus server."""
    return _program("prometheus", "prometheus")


def promtool() -> Path:
    """Return the tool that checks metrics and rules, of the same package as the server."""
    return _program("prometheus", "promtool")


def alertmanager() -> Path:
    """Return Debian's Alertmanager."""
    return _program("prometheus-alertmanager", "prometheus-alertmanager")


def amtool() -> Path:
    """Return the tool that checks Alertmanager's configuration, of the same package."""
    return _program("prometheus-alertmanager", "amtool")


def chromium() -> Path:
    """Return Debian's browser."""
    return _program("chromium", "chromium")


def grafana_types() -> Path:
    """Return the node_modules folder with Grafana's types and the TypeScript compiler."""
    fetched = _FETCHED / "grafana-types" / "node_modules"
    if not (fetched / ".bin" / "tsc").exists():
        pytest.fail("Grafana's types are missing: run scripts/components, which fetches them", pytrace=False)
    return fetched


def package_root(program: Path) -> Path:
    """Return where a program's package was unpacked: it finds what came with it from there."""
    if program.is_relative_to(_FETCHED):
        return _FETCHED / program.relative_to(_FETCHED).parts[0]
    return Path("/")


def _program(package: str, name: str) -> Path:
    fetched = _FETCHED / package / "usr" / "bin" / name
    if fetched.is_file():
        return fetched
    installed = shutil.which(name)
    if installed is not None:
        return Path(installed)
    pytest.fail(f"{name} is missing: run scripts/components, which fetches it", pytrace=False)
