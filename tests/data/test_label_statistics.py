"""Labels that are not one id per object are noticed, and real label images are not."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.command_line import main
from helpers.messages import assert_names
from PIL import Image as Pillow
from skimage.measure import label

from benchmark.data.formats.label_statistics import statistics
from benchmark.data.formats.labels import LabelFile, LabelOptions, read_label_file
from benchmark.data.remarks import collected
from benchmark.errors import DataError, UsageError


def squares(rows, columns, side=6, step=9):
    """A label image of so many squares."""
    labels = np.zeros((rows * step, columns * step), np.int64)
    for number in range(rows * columns):
        r, c = divmod(number, columns)
        labels[r * step + 1 : r * step + 1 + side, c * step + 1 : c * step + 1 + side] = number + 1
    return labels


def read(folder, labels, **options):
    path = folder / "a.tif"
    tifffile.imwrite(path, labels)
    with collected() as remarks:
        found = read_label_file(LabelFile(path), labels.shape, LabelOptions(**options))
    return found, {remark.kind: remark.detail for remark in remarks}


MASK = squares(3, 4) > 0


@pytest.mark.parametrize(
    "values",
    [
        MASK.astype(np.uint8),
        MASK * np.uint8(255),
        MASK * np.uint8(128),
        MASK * np.uint16(65535),
        MASK.astype(np.float32),
        MASK * np.float32(255),
        np.where(MASK, 2, 1).astype(np.uint8),  # ilastik's, without any 0
        MASK,  # one bit
        (squares(1, 2) > 0) * np.uint8(255),  # two cells; no id is 255 by chance
    ],
    ids=lambda values: f"{values.dtype} {values.max():g}, {values.size} pixels",
)
def test_a_mask_is_refused_with_the_option_that_reads_it(tmp_path, values):
    with pytest.raises(DataError) as error:
        read(tmp_path, values)
    assert_names(str(error.value), tmp_path / "a.tif", "data.labels_are=mask", "mask")
    background = 1 if values.min() == 1 else 0
    assert background == 0 or "data.background=<1 or 2>" in str(error.value)
    found, remarks = read(tmp_path, values, are="mask", background=background)
    expected = label(values != background, connectivity=2)
    np.testing.assert_array_equal(found > 0, expected > 0)
    assert found.max() == expected.max() and not remarks


@pytest.mark.parametrize("parts", [1, 2])
def test_one_bit_per_pixel_is_a_mask_whatever_it_shows(tmp_path, parts):
    mask = squares(1, parts) > 0
    with pytest.raises(DataError, match="labels_are=mask"):
        read(tmp_path, mask)
    Pillow.fromarray(mask).save(tmp_path / "b.png")
    np.save(tmp_path / "b.npy", mask)
    for name in ("b.png", "b.npy"):
        with pytest.raises(DataError, match="labels_are=mask"):
            read_label_file(LabelFile(tmp_path / name), mask.shape, LabelOptions())
    assert read(tmp_path, mask, are="mask")[0].max() == parts
    assert not read(tmp_path, mask & False)[0].any()  # nothing to confuse


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_a_mask_may_be_painted_in_black_and_white(tmp_path, mode):
    Pillow.fromarray(MASK * np.uint8(255)).convert(mode).save(tmp_path / "a.png")
    options = LabelOptions(are="mask")
    assert read_label_file(LabelFile(tmp_path / "a.png"), MASK.shape, options).max() == 12
    colours = np.dstack([MASK * np.uint8(255), MASK * 0, MASK * 0]).astype(np.uint8)
    Pillow.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="colour"):
        read_label_file(LabelFile(tmp_path / "a.png"), MASK.shape, options)


def test_ids_that_are_called_ids_are_never_doubted(tmp_path):
    found, remarks = read(tmp_path, MASK * np.uint8(255), are="ids")
    assert set(np.unique(found)) == {0, 255} and not remarks


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (squares(1, 1), None),
        (squares(1, 1) * 255, None),  # a single cell
        ((squares(1, 3) > 0) * 1, "fragments"),
        (np.minimum(squares(20, 20), 255), "clipped"),
        (np.minimum(squares(16, 17), 255), "clipped"),
        (squares(20, 20) % 256, "clipped"),  # began again at 0
        (np.minimum(squares(12, 12), 127), "clipped"),
        (np.where(squares(4, 4) > 8, 255, squares(4, 4)), "fragments"),  # void, as of VOC
        (squares(4, 4) % 3, "fragments"),  # classes
        (squares(4, 4) + 1, "no_background"),
        (squares(20, 20), None),
        (np.pad(squares(3, 3), ((0, 0), (0, 40))), None),
    ],
)
def test_what_is_odd_about_ids_is_remarked_on(tmp_path, labels, kind):
    _, remarks = read(tmp_path, labels.astype(np.int32))
    assert set(remarks) - {"no_background"} == {kind} - {None, "no_background"}
    assert ("no_background" in remarks) == (kind == "no_background")


def test_a_clipped_top_of_16_bits_is_remarked_on(tmp_path):
    labels = squares(6, 6)
    labels[labels > 0] = np.minimum(labels[labels > 0] + 65510, 65535)
    _, remarks = read(tmp_path, labels.astype(np.uint16))
    assert "65535" in remarks["clipped"] and "12 parts" in remarks["clipped"]


def test_crumbs_and_cut_cells_are_no_reason_for_a_remark(tmp_path):
    labels = squares(4, 4)
    labels[0, ::9] = 3  # crumbs of one pixel
    labels[4, 1:7] = 0  # a cell that a line cuts in two
    _, remarks = read(tmp_path, labels.astype(np.uint16))
    assert not remarks


def test_parts_that_touch_at_a_corner_are_one():
    labels = np.array([[1, 0], [0, 1]])
    assert statistics(labels).parts.tolist() == [1]


def test_an_empty_label_image_is_no_reason_for_a_remark(tmp_path):
    assert read(tmp_path, np.zeros((9, 9), np.uint8))[1] == {}


def test_objects_of_several_values_stay_apart_in_a_mask(tmp_path):
    labels = np.zeros((9, 9), np.uint8)
    labels[:4], labels[4:8] = 1, 2
    found, remarks = read(tmp_path, labels, are="mask")
    assert found.max() == 2 and "gray_mask" in remarks
    with pytest.raises(DataError, match=r"data\.background="):
        read(tmp_path, np.where(labels == 0, 3, labels), are="mask")


@pytest.mark.parametrize("options", [{"are": "masks"}, {"background": "1"}, {"background": True}])
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(UsageError, match=r"data\.(labels_are|background)"):
        LabelOptions(**options)


REAL = Path(os.environ.get("BENCHMARK_DATA", "/nowhere"))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs BENCHMARK_DATA")
def test_real_annotations_are_not_remarked_on():
    places = ["u20s/labels/*", "dsb/*/masks/*", "histology_rgb/labels/*",
              "usiigaci/**/instances_ids.png"]  # fmt: skip
    files = [path for place in places for path in sorted(REAL.glob(place))[:60]]
    assert len(files) > 100
    for path in files:
        with collected() as remarks:
            read_label_file(LabelFile(path), (1, 1), LabelOptions())
        assert not remarks, path


# From end to end


@pytest.fixture
def folders(tmp_path):
    labels = np.minimum(squares(20, 20), 255)
    for kind, values in {"i": (labels > 0) * 200, "l": labels}.items():
        (tmp_path / kind).mkdir()
        Pillow.fromarray(values.astype(np.uint8)).save(tmp_path / kind / "a.png")
    return tmp_path


GIVEN = ("model=otsu", "data=folder", "data.images=i", "data.labels=l")


def test_a_warning_is_on_the_console_in_the_table_and_in_check(folders):
    first = main(folders, *GIVEN)
    assert first.returncode == 0
    for text in (first.stderr, first.stdout):
        assert_names(text.replace("\n", " "), "255", "146 parts", "data.labels_are=mask")
    again = main(folders, *GIVEN)
    assert "146 parts" in again.stdout and "146 parts" not in again.stderr  # prepared before
    assert "146 parts" in main(folders, *GIVEN, "action=check").stdout
    (table,) = (folders / "results" / "runs").glob("*/report/table.md")
    assert "146 parts" in table.read_text()
    mended = main(folders, *GIVEN, "data.labels_are=mask")
    assert "parts" not in mended.stdout + mended.stderr and "1.000" in mended.stdout


def test_data_prepared_before_the_options_existed_is_still_found(folders):
    main(folders, *GIVEN)
    (place,) = (folders / "datasets").glob("*/prepared/[!.]*-*")
    assert place.name.split("-")[0] == _key_without_options(folders)


def test_data_prepared_under_another_name_are_found(folders):
    main(folders, *GIVEN, "data.name=folder")  # what one's own images were called by default
    again = main(folders, *GIVEN)
    assert "preparing" not in again.stderr and "folder" not in again.stdout.splitlines()[1]
    assert len([*(folders / "datasets").glob("*/prepared/[!.]*-*")]) == 1


def _key_without_options(folders):
    from benchmark.data.prepare import VERSION
    from benchmark.store.digest import json_digest

    content = {
        "_target_": "benchmark.data.sources.FolderSource",
        "images": "i",
        "labels": "l",
        "root": None,
        "group": None,
    }
    return json_digest([VERSION, content, [], "test"])[:16]
