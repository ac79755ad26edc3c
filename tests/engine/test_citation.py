"""What is stated in several files about this version is the same in all of them."""

import re
from pathlib import Path

import yaml

from benchmark import __version__

ROOT = Path(__file__).parents[2]


def test_the_version_is_the_same_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    recipe = (ROOT / "container" / "benchmark.def").read_text()
    changes = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    labelled = re.search(r"Version (\S+)", recipe)
    assert cited == changes[1] == labelled[1] == __version__
