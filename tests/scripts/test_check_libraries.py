"""Where every optional library should be, a missing one fails instead of skipping tests."""

import importlib.util
import re
from pathlib import Path

from conftest import OPTIONAL

CHECKOUT = Path(__file__).parents[2]
NOT_OF_THE_EXTRA = {"cellSAM", "instanseg"}  # in environments of their own
ALWAYS = {"resource", "statsmodels", "roifile", "stardist"}  # of Python on Linux; dependencies
_spec = importlib.util.spec_from_file_location("check", CHECKOUT / ".ci" / "check_libraries.py")
check = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check)


def test_what_is_missing_or_broken_is_listed(tmp_path, monkeypatch):
    (tmp_path / "broken_library.py").write_text("raise OSError('libz.so: no such file')")
    monkeypatch.syspath_prepend(tmp_path)
    missing, broken = check.problems(["json", "no_such_library", "broken_library"])
    assert missing.startswith("no_such_library: ModuleNotFoundError")
    assert broken == "broken_library: OSError: libz.so: no such file"


def test_every_library_that_a_test_may_lack_is_checked():
    named = set()
    for path in (CHECKOUT / "tests").rglob("*.py"):
        named |= set(re.findall(r'importorskip\(\s*"([A-Za-z]\w*)', path.read_text("utf-8")))
    assert len(named) > 5
    assert named <= OPTIONAL.keys() | NOT_OF_THE_EXTRA | ALWAYS


def test_ci_runs_the_check():
    assert "\npython .ci/check_libraries.py\n" in (CHECKOUT / ".ci" / "run").read_text("utf-8")
