"""`new-adapter` writes a package that says what is missing, and passes the kit once that is written."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.kit.new_adapter import write_new_adapter
from tests.kit import filled

ROOT = Path(__file__).parents[2]


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True)


def _pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return _run(folder, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *options)


def _fill_in(adapter: Path) -> None:
    """Replaces each method that raises NotImplementedError by that of `filled`."""
    methods = {
        node.name: node
        for node in ast.walk(ast.parse(Path(filled.__file__).read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }

    class Fill(ast.NodeTransformer):
        def _visit(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
            return methods[node.name] if isinstance(node.body[-1], ast.Raise) else node

        visit_FunctionDef = visit_AsyncFunctionDef = _visit  # noqa: N815

    tree = Fill().visit(ast.parse(adapter.read_text(encoding="utf-8")))
    adapter.write_text(ast.unparse(tree), encoding="utf-8")


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    write_new_adapter("tally_desk", tmp_path)
    ran = _pytest(tmp_path / "tally_desk", "-k", "check_names or stranger", "--tb=line")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "NotImplementedError: list_agents: the account's users, their ids as str" in ran.stdout


def test_it_passes_once_the_methods_are_filled_in(tmp_path: Path) -> None:
    written = write_new_adapter("tally_desk", tmp_path)
    folder = tmp_path / "tally_desk"
    assert all(path.is_file() and folder in path.parents for path in written)
    _fill_in(folder / "connector_tally_desk" / "adapter.py")
    ran = _pytest(folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout


def test_what_it_writes_is_clean(tmp_path: Path) -> None:
    write_new_adapter("tally_desk", tmp_path)
    rules = ("--no-cache", "--config", str(ROOT / "pyproject.toml"))
    # What the methods to come need is imported; which import is whose is the new project's to say.
    checked = _run(tmp_path, "ruff", "check", *rules, "--ignore", "F401,I001,RUF012,S105", ".")
    assert checked.returncode == 0, checked.stdout
    formatted = _run(tmp_path, "ruff", "format", "--check", "--diff", *rules, ".")
    assert formatted.returncode == 0, formatted.stdout


@pytest.mark.parametrize(
    "name", ["", "Tally", "9tally", "tally-desk", "tally__desk", "../tally", "class", "local", "a" * 41]
)
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        write_new_adapter(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    write_new_adapter("tally", tmp_path)
    with pytest.raises(ConfigError, match="is there already"):
        write_new_adapter("tally", tmp_path)


def test_nowhere_to_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        write_new_adapter("tally", tmp_path / "nowhere")
