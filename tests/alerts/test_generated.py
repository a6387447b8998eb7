"""What is generated is kept as the code writes it."""

from pathlib import Path

import pytest

from alerts.generated import check, write

FILES = {"changed.yaml": "a", "missing.yaml": "b"}


def test_what_differs_is_named_with_the_command_until_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "changed.yaml").write_text("by hand")
    (folder / "nobodys.yaml").write_text("c")
    (folder / "README.md").write_text("not generated")

    assert check(FILES, folder, "make rules") == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in told] == [
        str(folder / name) for name in ("changed.yaml", "missing.yaml", "nobodys.yaml")
    ]
    assert all("'make rules'" in line for line in told)

    write(FILES, folder)
    assert check(FILES, folder, "make rules") == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        **FILES,
        "README.md": "not generated",
    }


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    write(FILES, tmp_path / "not" / "yet")
    assert check(FILES, tmp_path / "not" / "yet", "make rules") == 0
