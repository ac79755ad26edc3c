"""What is exported is read back by others: the same objects in the same pixels."""

import csv
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import shapely.geometry
import tifffile
from cases import draw
from helpers.exported import CASES, predicted, rasterised, read_rois
from scipy.ndimage import binary_fill_holes
from skimage.measure import label, regionprops

from benchmark.data.prepared import Entry
from benchmark.errors import DataError
from benchmark.export.formats import FORMATS
from benchmark.export.napari import program
from benchmark.export.object_tables import PREDICTED, TRUE, ObjectTables, measures
from benchmark.store.tiff import tiff_bytes

every_case = pytest.mark.parametrize("labels", CASES.values(), ids=CASES)
CELLS = draw("11....", "11..22", "....22", "3..222", "33....")


def converted(name, *given):
    return FORMATS[name].convert(*given)


@every_case
def test_labels(labels):
    written = converted("labels", predicted(labels.astype(np.uint16)))
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(written)), labels)


@every_case
def test_geojson(labels):
    written = json.loads(converted("geojson", predicted(labels)))
    assert written["type"] == "FeatureCollection"
    found = {}
    for feature in written["features"]:
        assert feature["type"] == "Feature"
        properties = feature["properties"]
        assert properties["objectType"] == "detection"  # what QuPath takes it for
        assert properties["name"] == str(properties["label"])
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        found[properties["label"]] = [shape]
        polygons = feature["geometry"]["coordinates"]
        for part in polygons if feature["geometry"]["type"] == "MultiPolygon" else [polygons]:
            assert all(ring[0] == ring[-1] for ring in part), "rings are closed"
    np.testing.assert_array_equal(rasterised(found, labels.shape), labels)


@every_case
def test_rois_have_holes_filled_and_a_polygon_for_each_part(labels):
    given = predicted(labels)
    found = read_rois(io.BytesIO(converted("roi", given)))
    expected, parts, holes, several = {}, 0, 0, 0
    for number in np.unique(labels[labels > 0]):
        components = label(labels == number, connectivity=1)
        several += components.max() > 1
        for part in range(1, components.max() + 1):
            mask = components == part
            filled = binary_fill_holes(mask)
            background = label(np.pad(~mask, 1, constant_values=True), connectivity=1)
            holes += background.max() - 1
            parts += 1
            expected.setdefault(str(number), []).append(filled)
    assert len(found) == parts
    drawn = {}
    for name, points in found.items():
        shape = shapely.geometry.Polygon(points)
        mask = rasterised({1: [shape]}, labels.shape) > 0
        drawn.setdefault(name.partition("-")[0], []).append(mask)
    assert drawn.keys() == expected.keys()
    for name, masks in drawn.items():
        assert {mask.tobytes() for mask in masks} == {mask.tobytes() for mask in expected[name]}
    losses = {loss: count for loss, count in given.losses.items() if count}
    assert sum(count for loss, count in losses.items() if "hole" in loss) == holes
    assert sum(count for loss, count in losses.items() if "parts" in loss) == several


def test_the_same_prediction_gives_the_same_zip_file():
    with mock.patch("time.time", return_value=0), mock.patch("time.localtime", side_effect=OSError):
        first = converted("roi", predicted(CELLS))
    assert converted("roi", predicted(CELLS)) == first


def test_an_image_that_is_too_large_for_rois_is_refused():
    labels = np.zeros((1, 32768), np.uint8)
    with pytest.raises(DataError, match=r"cell 1.*format=geojson"):
        converted("roi", predicted(labels))
    labels[0, -2:] = 1
    (points,) = read_rois(io.BytesIO(converted("roi", predicted(labels[:, 1:])))).values()
    assert max(x for x, _ in points) == 32767


@every_case
def test_seg_npy(labels):
    content = np.load(io.BytesIO(converted("seg_npy", predicted(labels))), allow_pickle=True).item()
    np.testing.assert_array_equal(content["masks"], labels)
    assert content["filename"] == str(Path("/images/cell 1.tif"))
    assert not content["outlines"][labels == 0].any()


@pytest.mark.slow  # importing Cellpose's GUI takes a minute on a busy machine
@every_case
def test_seg_npy_is_opened_by_cellpose(labels, tmp_path):
    gui = pytest.importorskip("cellpose.gui.io")
    image, path = tmp_path / "cell 1.tif", tmp_path / "cell 1_seg.npy"
    tifffile.imwrite(image, np.zeros(labels.shape, np.uint16))
    path.write_bytes(converted("seg_npy", predicted(labels, file=str(image))))
    window, cells = mock.MagicMock(restore=None, NZ=1, colormap=np.zeros((99, 4))), []
    window.ncells.get = lambda: cells[-1]
    window.ncells.set = cells.append
    window.ncells.__gt__ = lambda count, other: cells[-1] > other
    with mock.patch.object(gui, "_initialize_images"):
        gui._load_seg(window, str(path))
    assert window.loaded and window.filename == str(image)
    assert window.cellpix.shape == (1, *labels.shape)
    np.testing.assert_array_equal(window.cellpix[0], labels)  # their ids have no gaps
    assert cells[0] == len(np.unique(labels[labels > 0]))


def test_seg_npy_numbers_objects_without_gaps_and_counts_that():
    given = predicted(draw("1..4", "1..4", "..77"))
    found = np.load(io.BytesIO(converted("seg_npy", given)), allow_pickle=True).item()
    np.testing.assert_array_equal(found["masks"], draw("1..2", "1..2", "..33"))
    assert found["outlines"].shape == found["masks"].shape and len(found["ismanual"]) == 3
    assert sum(given.losses.values()) == 1
    without = predicted(draw("1..2"))
    converted("seg_npy", without)
    assert sum(without.losses.values()) == 0


def rows(files, name):
    return list(csv.DictReader(io.StringIO(files[name].decode())))


def tables(*given):
    return dict(ObjectTables().files(given))


def test_objects_are_measured_from_the_corner_of_the_first_pixel():
    image = np.arange(30).reshape(5, 6)
    files = tables(predicted(CELLS, image=image))
    assert files.keys() == {PREDICTED}, "a table of true objects needs a truth"
    first = rows(files, PREDICTED)[0]
    assert first == {
        "image": "cell 1", "id": "1", "area": "4", "centroid_x": "1", "centroid_y": "1",
        "box_left": "0", "box_top": "0", "box_right": "2", "box_bottom": "2",
        "mean_intensity": "3.5",
    }  # fmt: skip


def test_measures_are_those_of_skimage():
    generator = np.random.default_rng(0)
    labels = label(generator.random((40, 50)) > 0.6)
    image = generator.integers(0, 999, (40, 50, 2))
    found = measures(labels, image)
    for index, region in enumerate(regionprops(labels, image)):
        assert found["id"][index] == region.label and found["area"][index] == region.area
        y, x = np.add(region.centroid, 0.5)
        np.testing.assert_allclose([found["centroid_x"][index], found["centroid_y"][index]], [x, y])
        box = [found[f"box_{side}"][index] for side in ("top", "left", "bottom", "right")]
        assert tuple(box) == region.bbox
        means = [found[f"mean_intensity_{channel}"][index] for channel in range(2)]
        np.testing.assert_allclose(means, region.intensity_mean)


def test_with_a_truth_each_object_has_its_best_iou_and_its_outcome():
    truth = draw("1111..", "......", "22..33", "......", "4444..", ".....5")
    labels = draw("11.66.", "......", "2223..", "......", "4455..", "......")
    files = tables(predicted(labels, truth=truth))
    found = {row["id"]: (row["best_iou"], row["outcome"]) for row in rows(files, PREDICTED)}
    true = {row["id"]: (row["best_iou"], row["outcome"]) for row in rows(files, TRUE)}
    assert found["1"] == ("0.5", "matched")
    assert found["6"] == ("0.2", "spurious")
    assert found["2"][1] == "matched"
    assert found["3"] == ("0", "spurious")
    assert true["1"] == ("0.5", "matched") and true["3"] == ("0", "missed")
    assert true["4"][1] == "split" and true["5"] == ("0", "missed")


def test_images_with_and_without_truth_and_of_other_channels_share_a_table():
    files = tables(
        predicted(draw("1."), truth=draw("1."), name="a"),
        predicted(draw("1."), image=np.ones((1, 2, 2)), name="=cmd|' /C calc'!A0"),
    )
    first, second = rows(files, PREDICTED)
    assert first["best_iou"] == "1" and second["best_iou"] == ""
    assert second["mean_intensity_1"] == "1" and first["mean_intensity_1"] == ""
    assert second["image"].startswith("'="), "no formula for a spreadsheet"
    assert len(rows(files, TRUE)) == 1


def test_no_object_gives_tables_with_a_header():
    files = tables(predicted(draw("..")))
    assert rows(files, PREDICTED) == [] and files[PREDICTED].startswith(b"image,id,area,")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_names_its_files_beforehand(name):
    if not FORMATS[name].needs_prediction:
        pytest.skip("it writes none")
    given = predicted(CELLS, truth=CELLS)
    written = [file for file, _ in FORMATS[name].files([given])]
    assert written == FORMATS[name].names(["cell 1"])


@pytest.mark.slow
def test_napari_opens_the_layers(tmp_path):
    """With napari's own layers, but without its window, which needs a display."""
    components = pytest.importorskip("napari.components")
    napari = sys.modules["napari"]
    kinds = {
        ((20, 30), "uint16"): ["image"], ((20, 30, 3), "uint8"): ["image"],
        ((20, 30, 3), "uint16"): ["Image", "Image [1]", "Image [2]"],
        ((20, 30, 2), "uint8"): ["Image", "Image [1]"],
    }  # fmt: skip
    for (shape, dtype), images in kinds.items():
        for kind, array in (("images", np.ones(shape, dtype)), ("labels", CELLS.astype("u2"))):
            (tmp_path / f"{kind}.tif").write_bytes(tiff_bytes(array))
        given = predicted(CELLS, truth=CELLS)
        given.entry = Entry("c", "c", "c", "test", shape=shape, dtype=dtype)
        given.data = SimpleNamespace(path=lambda entry, kind: tmp_path / f"{kind}.tif")
        store = SimpleNamespace(
            path=Path('it\'s "run"'), prediction_path=lambda sample: tmp_path / "labels.tif"
        )
        viewer = components.ViewerModel()
        with (
            mock.patch.object(napari, "Viewer", lambda viewer=viewer: viewer),
            mock.patch.object(napari, "run"),
        ):
            exec(program(given, [store]), {})
        assert [layer.name for layer in viewer.layers] == [*images, "truth", 'it\'s "run"']
        assert all(layer.ndim == 2 for layer in viewer.layers)
