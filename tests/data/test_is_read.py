"""Whether a folder is read, or would be if there were files in it; nothing is exported there."""

import pytest

from benchmark.data.sources.folder import FolderSource
from benchmark.data.sources.layouts import find_files, is_read

CASES = {
    # pattern, folder, name of a file in it -> whether it is read
    ("x", "x", "new.tif"): True,
    ("x", "x/below", "a.tif"): False,
    ("x", ".", "a.tif"): False,
    ("x/*.tif", "x", "a.geojson"): True,  # its images lie there
    ("x/*.tif", "x/below", "a.tif"): False,
    ("x/*.png", "x", "new.png"): True,
    ("x/*.png", "x", "new.tif"): False,  # nothing is read there
    ("x/**/*.tif", "x/below", "a.tif"): True,
    ("x/**/*.tif", "x/below", "a.csv"): False,
    ("**/*.tif", "anywhere/else", "a.tif"): True,
    ("**/images/*.tif", "anywhere/else", "a.tif"): False,
    ("*/*.tif", "new", "a.tif"): True,
    ("*/*.tif", "new/below", "a.tif"): False,
    ("x*/image.tif", "x2", "image.tif"): True,
    ("x[12]/*.tif", "x2", "a.tif"): True,
    ("x[12]/*.tif", "x3", "a.tif"): False,
    ("x/a.tif", "x", "b.tif"): True,
    ("link/*.tif", "x", "a.tif"): True,
    ("x/*.tif", "link", "a.tif"): True,
    ("missing/*.tif", "missing", "a.tif"): True,
    ("b[1]/*.tif", "b[1]", "c.csv"): True,  # a folder that exists is no pattern
}


@pytest.mark.parametrize("case, expected", CASES.items(), ids=str)
def test_is_read(case, expected, tmp_path):
    pattern, folder, name = case
    for place in ("x", "b[1]"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.tif").touch()
    (tmp_path / "link").symlink_to(tmp_path / "x")
    root = str(tmp_path)
    assert is_read(pattern, root, tmp_path / folder, [name]) == expected
    # It agrees with what is found once the file is there, unless files beside it are read.
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / name).touch()
    found = (
        {path.resolve() for path in find_files(pattern, root, "data.images")} if expected else set()
    )
    beside = {path.parent for path in found}
    assert expected == ((tmp_path / folder).resolve() in beside)


def test_a_source_reads_images_and_labels(tmp_path):
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.tif").touch()
    source = FolderSource("x/*.tif", "y", str(tmp_path))
    assert source.reads(tmp_path / "x", []) and source.reads(tmp_path / "y", [])
    assert not source.reads(tmp_path, ["a.tif"])
