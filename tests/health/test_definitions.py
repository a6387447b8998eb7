import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "health.md"


def _named_tests() -> list[tuple[Path, str]]:
    """Return file and name of each test that the page's table names, with its short names written out."""
    table = PAGE.read_text().partition("## Rules and the tests that show them")[2]
    short = dict(re.findall(r"`(\w+/?)` is\s+`([\w/.]+)`", table))
    named = re.findall(r"\| `([\w/.]+)::(\w+)` \|$", table, re.MULTILINE)
    return [(ROOT / _written_out(where, short), name) for where, name in named]


def _written_out(where: str, short: dict[str, str]) -> str:
    folder, slash, file = where.partition("/")
    return short.get(where) or short.get(folder + slash, folder + slash) + file


def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    functions = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    # A model's steps are one test, whose name is bound to the class that hypothesis makes of them.
    bound = {
        name.id
        for one in tree.body
        if isinstance(one, ast.Assign)
        for name in one.targets
        if isinstance(name, ast.Name)
    }
    return functions | bound


def test_each_rule_of_the_definitions_names_a_test_that_is_there() -> None:
    named = _named_tests()
    rules = sum(line.startswith("| ") for line in PAGE.read_text().splitlines()) - 1

    missing = [name for path, name in named if name not in _tests_of(path)]

    assert (len(named), missing) == (rules, [])
