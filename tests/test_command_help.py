import pytest
from typer.testing import CliRunner

from monitor.cli import app


@pytest.mark.parametrize("log", ["embedded log", "Kafka"])
def test_dead_letters_are_said_to_be_in_either_log(log: str) -> None:
    ran = CliRunner().invoke(app, ["dead-letters", "--help"], env={"COLUMNS": "200"})

    assert ran.exit_code == 0
    assert log in ran.output
