"""The wheel, installed into an environment of its own beside a package that has the name of our folder."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = {"freshchat", "freshdesk", "freshsales", "hubspot", "local", "zoho_crm", "zoho_desk"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT], check=True
    )
    (built,) = folder.glob("*.whl")
    return built


class Environment:
    """A virtual environment that has our dependencies, and of us what is installed into it."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        (own,) = folder.glob("lib/python*/site-packages")
        # a path that a .pth file names is searched last, and the .pth files in it are not read: no editable install
        (own / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    def pip(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True)

    def listed(self, command: str, cwd: Path) -> set[str]:
        """First words of the lines that a command of ours prints, but for the heading."""
        run = [str(self.python), "-m", "connector", command]
        lines = subprocess.run(run, check=True, capture_output=True, text=True, cwd=cwd).stdout.splitlines()
        return {line.split()[0] for line in lines[1:] if line.strip()}


def stranger(folder: Path) -> Path:
    """A wheel of somebody else's package that is called `adapters`, as there is one on the index."""
    path = folder / "adapters-1.0-py3-none-any.whl"
    about = "adapters-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as built:
        built.writestr("adapters/__init__.py", "")
        built.writestr("adapters/freshdesk.py", "")
        built.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: adapters\nVersion: 1.0\n")
        built.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        names = ("adapters/__init__.py", "adapters/freshdesk.py", f"{about}/METADATA", f"{about}/WHEEL")
        built.writestr(f"{about}/RECORD", "".join(f"{name},,\n" for name in (*names, f"{about}/RECORD")))
    return path


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])
def test_beside_a_package_named_adapters(wheel: Path, tmp_path: Path, ours_first: bool) -> None:
    environment = Environment(tmp_path / "venv")
    both = [wheel, stranger(tmp_path)]
    for package in both if ours_first else reversed(both):
        environment.pip("install", "--no-deps", "--no-index", package)
    assert environment.listed("adapters", tmp_path) == NAMES
    environment.pip("uninstall", "--yes", "adapters")
    assert environment.listed("adapters", tmp_path) == NAMES


def test_its_top_level_names_are_ours(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    about = {name for name in names if name.endswith(".dist-info")}
    assert names - about == {"connector", "standins", *(f"connector_{name}" for name in NAMES)}
