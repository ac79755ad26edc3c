"""What counts as an edit of an adapter: code, in its module or in what that imports beside it."""

import importlib
import sys

import pytest

from benchmark.store.code_digest import changes, code_digests, is_code
from benchmark.types import Segmenter
from models.otsu import OtsuWatershed

FILES = {
    "mine.py": '''
"""A module."""
import os, numpy, helper
from benchmark.types import Segmenter
from models.otsu import OtsuWatershed

LEVEL = 1
"""A level."""

class Mine:
    """A class."""

    def predict(self, image):
        """Do it."""
        from parts.deep import inner
        return helper.work(image, "text")
''',
    "helper.py": "import further\ndef work(image, text):\n    return image\n",
    "further.py": "import helper\nTHRESHOLD = 0.5\n",
    "unused.py": "X = 1\n",
    "parts/__init__.py": "from . import names\n",
    "parts/names.py": "A = 1\n",
    "parts/deep/__init__.py": "from .inner import f\nfrom ..near import g\n",
    "parts/deep/inner.py": "def f():\n    pass\n",
    "parts/near.py": "def g(): ...\n",
    "packed/__init__.py": "",
    "packed/adapter.py": "from .own import x\nfrom packed import other\nimport helper\n",
    "packed/own.py": "x = 1\n",
    "packed/other.py": "y = 1\n",
}
OF_MINE = {
    "mine.py", "helper.py", "further.py", "parts/__init__.py", "parts/names.py", "parts/near.py",
    "parts/deep/__init__.py", "parts/deep/inner.py",
}  # fmt: skip
OF_PACKED = {"packed/__init__.py", "packed/adapter.py", "packed/own.py", "packed/other.py"}


def write(folder):
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def imported(monkeypatch):
    """Import a module from a folder; it is forgotten after the test."""
    before = set(sys.modules)

    def import_from(folder, module):
        monkeypatch.syspath_prepend(str(folder))
        return importlib.import_module(module)

    yield import_from
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("mine", "helper", "further", "parts", "packed"):
            del sys.modules[name]


@pytest.fixture
def mine(tmp_path, imported):
    write(tmp_path)
    imported(tmp_path, "mine")
    return tmp_path


def edited(folder, name, old, new):
    """The names of the files whose digest changes if one is edited so."""
    before = code_digests("mine")
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    after = code_digests("mine")
    assert before.keys() == after.keys()
    return {file for file in before if before[file] != after[file]}


def test_a_module_is_digested_with_what_it_imports_from_its_folder(mine):
    assert code_digests("mine").keys() == OF_MINE
    assert Segmenter and OtsuWatershed  # ours are imported, and have no digest


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("mine.py", "LEVEL = 1", "# why\nLEVEL  =  1  # and how\n\n"),
        ("mine.py", "A module.", "Another text."),
        ("mine.py", "A class.", "Another text."),
        ("mine.py", "Do it.", "Another text."),
        ("mine.py", "A level.", "Another text."),
        ("mine.py", '        """Do it."""\n', ""),
        ("mine.py", '"text"', "'text'"),
        ("mine.py", "image, ", "\n            image, "),
        ("helper.py", "    return", '    "Work."\n    return'),
        ("parts/deep/inner.py", "    pass", '    """Do nothing."""'),
        ("unused.py", "1", "2"),
    ],
)
def test_comments_docstrings_and_layout_are_no_edit(mine, name, old, new):
    assert edited(mine, name, old, new) == set()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("mine.py", "LEVEL = 1", "LEVEL = 1.0"),
        ("mine.py", "LEVEL = 1", "LEVEL = True"),
        ("mine.py", '"text"', '"other"'),
        ("mine.py", '"text"', 'b"text"'),
        ("mine.py", '"text"', "None"),
        ("helper.py", "return image", "return -image"),
        ("helper.py", "return image", "return"),
        ("further.py", "0.5", "0.6"),
        ("parts/__init__.py", "names", "names as n"),
        ("parts/names.py", "A = 1", "A = 2"),
        ("parts/near.py", "...", "return 1"),
        ("parts/deep/inner.py", "pass", "return 1"),
        ("parts/deep/inner.py", "pass", "return ("),  # no longer Python
    ],
)
def test_an_edit_of_code_is_one_of_its_file(mine, name, old, new):
    assert edited(mine, name, old, new) == {name}


def test_a_package_is_digested_by_relative_and_absolute_imports(tmp_path, imported):
    write(tmp_path)
    imported(tmp_path, "packed.adapter")
    assert code_digests("packed.adapter").keys() == OF_PACKED | {"helper.py", "further.py"}


def test_of_an_installed_library_its_own_package_counts_alone(tmp_path, imported):
    write(tmp_path / "site-packages")
    imported(tmp_path / "site-packages", "packed.adapter")
    imported(tmp_path / "site-packages", "mine")
    assert code_digests("packed.adapter").keys() == OF_PACKED
    assert code_digests("mine").keys() == {"mine.py"}


def test_the_folder_of_the_code_does_not_matter(tmp_path, imported):
    found = []
    for place in ("a", "b"):
        write(tmp_path / place)
        imported(tmp_path / place, "mine")
        found.append(code_digests("mine"))
        for name in ("mine", "helper", "further"):
            sys.modules.pop(name, None)
    assert found[0] == found[1]


def test_ours_and_what_has_no_source_has_no_digest():
    assert code_digests("models.otsu", "builtins", "no_such_module") == {}


def test_what_can_not_be_parsed_is_digested_by_its_bytes(mine):
    (mine / "helper.py").write_text("x = 1" + "+1" * 20_000)
    first = code_digests("mine")["helper.py"]
    (mine / "helper.py").write_text("x = 1" + "+1" * 20_001)
    assert code_digests("mine")["helper.py"] != first


def test_changes_are_named_by_file():
    now = {"a.py": "1", "b.py": "2", "new.py": "3"}
    before = [{"a.py": "1", "b.py": "0", "old.py": "3"}, {"a.py": "0", "b.py": "2", "new.py": "3"}]
    assert changes(before, now) == [
        "a.py was edited", "b.py was edited", "new.py was added", "old.py is no longer imported",
    ]  # fmt: skip
    assert changes([now], now) == []


@pytest.mark.parametrize(
    "stored", [None, {}, [], "x", 1, {"a.py": 1}, {"a.py": None}, [["a", "b"]]]
)
def test_what_else_may_be_stored_is_no_digest(stored):
    assert not is_code(stored) and is_code({"a.py": "1"})
