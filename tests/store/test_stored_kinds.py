"""Every kind of stored file, edited: reported, checked, resumed, searched and exported again."""

import shutil
import sys

import pytest
from helpers import stored_kinds
from helpers.mutations import damaged


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    return root, stored_kinds.make(root)


@pytest.mark.parametrize("step", [97, pytest.param(7, marks=pytest.mark.slow)])
def test_no_edit_ends_in_a_traceback_or_loses_a_run(whole, step, tmp_path):
    root, odd = whole
    edits = [*stored_kinds.edits(root, odd)]
    kinds = {pattern for pattern, *_ in edits}
    assert len(edits) > 3000 and len(kinds) == 18, "every kind of file is there"
    for pattern, file, what, content in edits[::step]:
        place = tmp_path / "root"
        shutil.copytree(root, place)
        (place / file).write_bytes(content)
        try:
            stored_kinds.read(place, odd, pattern, what, (root / file).read_bytes())
        except BaseException:
            print(pattern, what, file=sys.stderr)
            raise
        shutil.rmtree(place)


def test_damage_leaves_nothing_as_it_was():
    content = bytes(range(1, 200))
    assert content not in [edited for _, edited in damaged(content)]
