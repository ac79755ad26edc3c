"""The stress script runs, counts, and finds what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

SCRIPT = Path(__file__).parents[2] / "scripts" / "stress.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("part", ["signals", "mutations", "names"])
def test_a_few_trials_find_nothing(part):
    command = [sys.executable, str(SCRIPT), part, "--trials", "3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("lost 0, doubled 0, tracebacks 0, hangs 0\n")
    assert f"{part}: 3 trials" in done.stdout
