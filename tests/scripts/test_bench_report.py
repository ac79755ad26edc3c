"""The benchmark of reports: what it writes is what reports read."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_report.py"


@pytest.mark.parametrize("words", [(), pytest.param(("format=html",), marks=pytest.mark.slow)])
def test_simulated_runs_are_reported(words):
    sizes = ("--sets", "2", "--methods", "2", "--samples", "4", "--objects", "3")
    command = [sys.executable, str(SCRIPT), *sizes, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 data sets x 2 methods x 4 records" in done.stdout
    assert "damaged" not in done.stderr
