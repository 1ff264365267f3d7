"""The kit catches each adapter that is broken on purpose, by the check that is meant to."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from connector.kit import AdapterSuite
from tests.kit.broken import FAULTS, declared, failing, written

__all__ = ["declared", "failing", "written"]  # imported for their faults

ROOT = Path(__file__).parents[2]


def test_broken_adapters_are_caught(tmp_path: Path) -> None:
    """One run of all of them, as most of the time goes into starting."""
    report = tmp_path / "report.xml"
    checks = [fault.node for fault in FAULTS.values()]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--junitxml={report}"]
    ran = subprocess.run([sys.executable, "-m", "pytest", *options, *checks], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    said = dict.fromkeys(FAULTS, "")
    for case in ElementTree.parse(report).iter("testcase"):
        suite = case.attrib["classname"].rpartition(".")[2]
        said[suite] += "".join(failure.attrib["message"] for failure in case.iter("failure"))
    missed = {suite: text or "passed" for suite, text in said.items() if FAULTS[suite].words not in text}
    assert not missed


def test_each_check_has_its_fault() -> None:
    checks = {name for name in dir(AdapterSuite) if name.startswith("test_")}
    elsewhere = {"test_recordings_are_replayed"}  # test_recordings.py
    assert checks == elsewhere | {fault.check for fault in FAULTS.values()}
