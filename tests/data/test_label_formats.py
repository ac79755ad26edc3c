"""Labels as people store them: the right ids, or an error that names file, cause and remedy."""

import datetime
import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import tifffile
from helpers.messages import assert_names
from PIL import Image as Pillow
from skimage.measure import label

from benchmark.data.formats.images import read_image
from benchmark.data.formats.labels import (
    LabelFile,
    LabelOptions,
    content_digest,
    label_files,
    read_label_file,
)
from benchmark.data.formats.planes import Planes
from benchmark.data.remarks import collected
from benchmark.errors import DataError

SHAPE = (20, 30)
LABELS = np.zeros(SHAPE, np.int64)
LABELS[2:6, 3:9], LABELS[8:12, 3:9], LABELS[8:12, 9:15] = 1, 2, 3


def read(path, image=None, shape=SHAPE, **options):
    with collected() as remarks:
        found = read_label_file(LabelFile(path, image), shape, LabelOptions(**options))
    return found, {remark.kind: remark.detail for remark in remarks}


def refusal(path, *facts, **options):
    with pytest.raises(DataError) as error:
        read(path, **options)
    assert_names(str(error.value), path, *facts)


def tiff(path, values, **options):
    tifffile.imwrite(path, values, **options)
    return path


def palette(path, values, bits=8, **options):
    picture = Pillow.fromarray(values.astype(np.uint8), mode="P")
    picture.putpalette(np.random.default_rng(0).integers(0, 255, 768).astype(np.uint8).tobytes())
    picture.save(path, bits=bits, **options)
    return path


# Values


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("options", [{}, {"transparency": 0}], ids=str)
def test_a_png_with_a_palette_holds_ids(tmp_path, bits, options):
    found, remarks = read(palette(tmp_path / "a.png", LABELS, bits, **options))
    np.testing.assert_array_equal(found, LABELS)
    assert not remarks


def test_a_tiff_with_a_palette_holds_ids(tmp_path):
    colours = np.random.default_rng(0).integers(0, 65535, (3, 256)).astype(np.uint16)
    path = tiff(tmp_path / "a.tif", LABELS.astype("u1"), photometric="palette", colormap=colours)
    np.testing.assert_array_equal(read(path)[0], LABELS)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "u1", "i2", ">u2", "u4", "i8", "u8"])
def test_whole_numbers_of_any_type_are_ids(tmp_path, dtype):
    for path in (tiff(tmp_path / "a.tif", LABELS.astype(dtype)), tmp_path / "a.npy"):
        np.save(tmp_path / "a.npy", LABELS.astype(dtype))
        found, remarks = read(path)
        np.testing.assert_array_equal(found, LABELS)
        assert found.dtype.kind in "ui" and found.dtype.isnative and not remarks


def test_ids_above_16_bits_that_are_not_consecutive_stay_as_they_are(tmp_path):
    values = np.where(LABELS > 0, LABELS * 70001 + 2**31, 0)
    np.testing.assert_array_equal(read(tiff(tmp_path / "a.tif", values.astype("u4")))[0], values)


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        (LABELS / 255, ["not whole numbers", "Scale when converting"]),
        (np.where(LABELS == 1, np.nan, LABELS), ["NaN"]),
        (np.where(LABELS == 1, np.inf, LABELS), ["infinite"]),
        ((LABELS * 2.0**25).astype("f4"), ["float32", "16777216"]),
        (np.dstack([LABELS] * 3).astype("u1"), ["one integer per pixel", "colour"]),
        (np.stack([LABELS] * 3).astype("u1"), ["3 pages"]),
        (LABELS.astype("c8"), ["complex64"]),
    ],
    ids=lambda value: "-" if isinstance(value, list) else str(value.dtype),
)
def test_values_that_are_not_one_id_per_pixel_are_refused(tmp_path, values, facts):
    options = {"photometric": "minisblack"} if values.ndim == 3 and len(values) == 3 else {}
    refusal(tiff(tmp_path / "a.tif", values, **options), *facts)


def test_a_colour_png_is_refused(tmp_path):
    for mode in ("RGB", "RGBA", "LA"):
        Pillow.fromarray(LABELS.astype("u1")).convert(mode).save(tmp_path / "a.png")
        refusal(tmp_path / "a.png", "one integer per pixel")


def test_an_animated_png_is_refused(tmp_path):
    frames = [Pillow.fromarray((LABELS + k).astype("u1")) for k in range(2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    refusal(tmp_path / "a.png", "2 frames")


# Negative ids


def test_minus_one_is_the_background_where_no_pixel_is_0(tmp_path):
    found, remarks = read(tiff(tmp_path / "a.tif", np.where(LABELS, LABELS, -1).astype("i2")))
    np.testing.assert_array_equal(found, LABELS)
    assert not remarks


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "f4"])
def test_minus_one_beside_0_is_refused_with_two_remedies_of_which_one_works(tmp_path, dtype):
    path = tiff(tmp_path / "a.tif", (LABELS - 1).astype(dtype))
    refusal(path, "-1", "data.background=-1", "set the negative pixels to 0")
    found, _ = read(path, background=-1)
    np.testing.assert_array_equal(found > 0, LABELS > 0)
    assert len(np.unique(found)) == 4  # and what was 0 is an object


def test_another_background_can_be_named(tmp_path):
    found, remarks = read(tiff(tmp_path / "a.tif", (LABELS + 1).astype("u1")), background=1)
    np.testing.assert_array_equal(found > 0, LABELS > 0)
    assert not remarks


# Files


def test_descriptions_that_other_software_left_behind_say_nothing(tmp_path):
    for description in ("ImageJ=1.53t\nimages=5\nslices=5\n", '{"shape": [5, 99, 99]}'):
        path = tiff(tmp_path / "a.tif", LABELS.astype("u2"), description=description, metadata=None)
        np.testing.assert_array_equal(read(path)[0], LABELS)


def test_a_pyramid_is_its_largest_level(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(LABELS.astype("u2"), subifds=1, tile=(16, 16))
        file.write(LABELS[::2, ::2].astype("u2"), subfiletype=1, tile=(16, 16))
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0], LABELS)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy", "_seg.npy", ".zip", ".roi", ".geojson",
                                    ".json", ".xyz"])  # fmt: skip
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x93NUMPY\x01\x00", None])
def test_a_damaged_or_missing_file_is_named(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    if content is not None:
        path.write_bytes(content)
    refusal(path)
    assert content_digest(LabelFile(path))


# Cellpose


def seg(path, **entries):
    np.save(path, entries)
    return path


def test_a_seg_file_of_cellpose_is_read(tmp_path):
    path = seg(
        tmp_path / "a_seg.npy",
        outlines=LABELS.astype(np.uint16),
        masks=LABELS.astype(np.uint32),
        chan_choose=[0, 0],
        ismanual=np.zeros(3, bool),
        filename="a.tif",
        flows=[np.zeros((1, 4, 3), np.uint8), [], np.float32(3), [np.zeros((2, 2)), None]],
        est_diam=np.float64(30.0),
        colors=np.asfortranarray(np.ones((3, 3), np.uint8)),
        normalize_params={"lowhigh": None, "percentile": [1.0, 99.0], "normalize": True},
    )
    np.testing.assert_array_equal(read(path)[0], LABELS)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle_is_read_or_refused_by_name(tmp_path, protocol):
    path = tmp_path / "a_seg.npy"
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    pickle.dump(np.array({"masks": np.asfortranarray(LABELS)}), buffer, protocol=protocol)
    path.write_bytes(buffer.getvalue())
    if protocol == 2:  # its bytes are made by a function
        refusal(path, "_codecs.encode")
    else:
        np.testing.assert_array_equal(read(path)[0], LABELS)


def test_the_first_versions_of_cellpose_had_minus_one_as_background(tmp_path):
    path = seg(tmp_path / "a_seg.npy", masks=(LABELS - 1).astype(np.int32))
    np.testing.assert_array_equal(read(path)[0], LABELS)


class Malicious:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (Malicious(), "builtins.print"),
        (datetime.date(2020, 1, 1), "datetime.date"),
        (np.random.default_rng(0), "numpy.random"),
        (io.BytesIO, "_io.BytesIO"),
    ],
    ids=["function", "date", "generator", "class"],
)
def test_anything_but_arrays_and_numbers_is_refused_by_name_and_not_executed(
    tmp_path, capsys, entry, named
):
    path = seg(tmp_path / "a_seg.npy", masks=LABELS, other=entry)
    refusal(path, named)
    assert "executed" not in capsys.readouterr().out


def test_a_seg_file_without_masks_is_refused(tmp_path):
    refusal(seg(tmp_path / "a_seg.npy", outlines=LABELS), "masks")
    np.save(tmp_path / "b_seg.npy", np.array([1, "a"], object))
    refusal(tmp_path / "b_seg.npy", "masks")


def test_arrays_whose_size_is_not_that_of_their_content_are_refused(tmp_path):
    path = seg(tmp_path / "a_seg.npy", masks=np.zeros((7, 9), np.uint8))
    path.write_bytes(path.read_bytes().replace(b"K\x07K\x09", b"K\xf7K\xf9"))
    refusal(path)


def test_a_plain_array_called_seg_is_read_and_objects_in_a_plain_one_are_not(tmp_path):
    np.save(tmp_path / "a_seg.npy", LABELS)
    np.testing.assert_array_equal(read(tmp_path / "a_seg.npy")[0], LABELS)
    refusal(seg(tmp_path / "a.npy", masks=LABELS))


# GeoJSON


def feature(*rings, kind="annotation", **properties):
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]}
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {"objectType": kind, **properties},
    }


def box(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


FEATURES = [feature(box(3, 2, 9, 6)), feature(box(3, 8, 9, 12)), feature(box(9, 8, 15, 12))]


@pytest.mark.parametrize("suffix", [".geojson", ".json", ".GEOJSON"])
@pytest.mark.parametrize(
    "content",
    [{"type": "FeatureCollection", "features": FEATURES}, FEATURES],
    ids=["collection", "list"],
)
def test_geojson_of_qupath_is_drawn_to_the_pixel(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_text(json.dumps(content))
    found, remarks = read(path)
    np.testing.assert_array_equal(found, LABELS)
    assert not remarks


def geojson(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def test_holes_stay_open_and_parts_are_one_object(tmp_path):
    parts = {
        "type": "Feature",
        "properties": {},
        "geometry": {
            "type": "MultiPolygon",
            "coordinates": [[box(0, 0, 6, 6), box(2, 2, 4, 4)], [box(10, 0, 12, 3)]],
        },
    }
    found, remarks = read(geojson(tmp_path / "a.geojson", parts))
    expected = np.zeros(SHAPE, int)
    expected[:6, :6], expected[2:4, 2:4], expected[:3, 10:12] = 1, 0, 1
    np.testing.assert_array_equal(found, expected)
    assert not remarks


def test_overlaps_hidden_objects_and_outlines_elsewhere_are_counted(tmp_path):
    path = geojson(
        tmp_path / "a.geojson",
        feature(box(0, 0, 4, 4)),
        feature(box(2, 0, 6, 4)),
        feature(box(10, 10, 11, 11)),
        feature(box(9, 9, 12, 12)),
        feature(box(100, 100, 110, 110)),
        feature(box(28, 18, 40, 40)),
    )
    found, remarks = read(path)
    assert np.bincount(found.ravel())[1:].tolist() == [8, 16, 0, 9, 0, 4]
    assert_names(remarks["overlaps"], "9 pixels", "1 objects are hidden")
    assert_names(remarks["outside"], "1 of 6")


def test_regions_around_detections_are_no_objects(tmp_path):
    cells = [feature(box(3, 2, 9, 6), kind="cell"), feature(box(3, 8, 9, 12), kind="detection")]
    found, remarks = read(geojson(tmp_path / "a.geojson", feature(box(0, 0, 30, 20)), *cells))
    assert np.bincount(found.ravel())[1:].tolist() == [24, 24]
    assert "1 beside 2" in remarks["regions"]


def test_points_lines_and_missing_geometries_are_counted(tmp_path):
    others = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}},
        {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[1, 1], [2, 2]]}},
        {"type": "Feature", "geometry": None},
    ]
    found, remarks = read(geojson(tmp_path / "a.geojson", *others, *FEATURES))
    np.testing.assert_array_equal(found, LABELS)
    assert "3 of 6" in remarks["no_area"]


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon", "coordinates": [[[1, "x"], [2, 2], [3, 1]]]},
        {"type": "Polygon", "coordinates": [[[1, float("nan")], [2, 2], [3, 1]]]},
        {"type": "Polygon", "coordinates": [1, 2]},
        {"type": "Polygon"},
    ],
    ids=["text", "NaN", "numbers", "nothing"],
)
def test_outlines_that_are_no_points_are_refused(tmp_path, geometry):
    refusal(geojson(tmp_path / "a.geojson", {"type": "Feature", "geometry": geometry}), "outline")


def test_outlines_of_several_planes_are_refused(tmp_path):
    for plane, one in enumerate(planes := [feature(box(0, 0, 3, 3)) for _ in range(2)]):
        one["geometry"]["plane"] = {"c": -1, "z": plane, "t": 0}
    refusal(geojson(tmp_path / "a.geojson", *planes), "2 planes")


def test_an_empty_collection_is_an_image_without_objects(tmp_path):
    assert not read(geojson(tmp_path / "a.geojson"))[0].any()


# COCO


def coco(path, *annotations, images=None):
    images = images or [{"id": 7, "file_name": "x/a.tif", "height": 20, "width": 30}]
    rows = [{"id": k, "image_id": 7, "category_id": 1, **a} for k, a in enumerate(annotations)]
    path.write_text(json.dumps({"images": images, "annotations": rows, "categories": []}))
    return path


def flat(ring):
    return [number for point in ring for number in point]


POLYGONS = [
    {"segmentation": [flat(box(3, 2, 9, 6))]},
    {"segmentation": [flat(box(3, 8, 9, 12))]},
    {"segmentation": [flat(box(9, 8, 15, 12))]},
]


def encoded(mask):
    """Run lengths as pycocotools writes them, compressed and not."""
    flat_mask = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat_mask.astype(int)])))
    counts = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    return {"size": list(mask.shape), "counts": counts}


def test_coco_json_has_the_labels_of_many_images(tmp_path):
    images = [
        {"id": 7, "file_name": "x/a.tif", "height": 20, "width": 30},
        {"id": 8, "file_name": "b.tif", "height": 5, "width": 5},
    ]
    path = coco(tmp_path / "all.json", *POLYGONS, images=images)
    files = label_files([path])
    assert [file.named for file in files] == [tmp_path / "x" / "a.tif", tmp_path / "b.tif"]
    np.testing.assert_array_equal(read(path, "x/a.tif")[0], LABELS)
    assert not read(path, "b.tif", shape=(5, 5))[0].any()
    with pytest.raises(DataError, match="5 x 5"):
        read(path, "b.tif")


def test_run_lengths_are_read_as_pycocotools_reads_them(tmp_path):
    masks = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    objects = [label(rng.random(SHAPE) < share) > 0 for share in (0.001, 0.1, 0.5, 0.9, 1)]
    for mask in objects:
        packed = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
        text = packed | {"counts": packed["counts"].decode()}
        for segmentation in (text, encoded(mask)):
            path = coco(tmp_path / "a.json", {"segmentation": segmentation})
            np.testing.assert_array_equal(read(path, "x/a.tif")[0], mask)
            path.unlink()


def test_crowds_and_boxes_without_outlines_are_counted(tmp_path):
    crowd = {"segmentation": encoded(LABELS > 0), "iscrowd": 1}
    found, remarks = read(
        coco(tmp_path / "a.json", crowd, {"bbox": [0, 0, 3, 3]}, *POLYGONS), "x/a.tif"
    )
    np.testing.assert_array_equal(found, LABELS)
    assert "1 of 5" in remarks["crowds"] and "1 of 5" in remarks["no_area"]


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [20, 30], "counts": [1, 2]},
        {"size": [20, 30], "counts": [-600, 1200]},
        {"size": [30, 20], "counts": [600]},
        {"size": [20, 30], "counts": "\x00\x01"},
        [[1, 2, 3]],
    ],
    ids=str,
)
def test_damaged_outlines_of_coco_are_refused(tmp_path, segmentation):
    path = coco(tmp_path / "a.json", {"segmentation": segmentation})
    with pytest.raises(DataError, match=r"a\.json.*x/a\.tif"):
        read(path, "x/a.tif")


# ImageJ


def rois(path, *made):
    with zipfile.ZipFile(path, "w") as archive:
        for number, roi in enumerate(made):
            archive.writestr(f"{number}.roi", roi.tobytes())
    return path


def roi_of(points, **changes):
    roifile = pytest.importorskip("roifile")
    roi = roifile.ImagejRoi.frompoints(points)
    for name, value in changes.items():
        setattr(roi, name, value)
    return roi


def rectangle(left, top, right, bottom, kind):
    roifile = pytest.importorskip("roifile")
    return roifile.ImagejRoi(
        roitype=kind, left=left, top=top, right=right, bottom=bottom, n_coordinates=0
    )


def test_rois_of_imagej_are_drawn_to_the_pixel(tmp_path):
    roifile = pytest.importorskip("roifile")
    made = [
        roi_of(box(3, 2, 9, 6), roitype=roifile.ROI_TYPE.TRACED),
        roi_of(box(3, 8, 9, 12), roitype=roifile.ROI_TYPE.POLYGON),
        rectangle(9, 8, 15, 12, roifile.ROI_TYPE.RECT),
    ]
    for kind in (roifile.ROI_TYPE.POLYLINE, roifile.ROI_TYPE.POINT):
        made.append(roi_of(box(0, 0, 2, 2), roitype=kind))
    found, remarks = read(rois(tmp_path / "RoiSet.zip", *made))
    np.testing.assert_array_equal(found, LABELS)
    assert "2 of 5" in remarks["no_area"]
    (tmp_path / "a.roi").write_bytes(made[0].tobytes())
    np.testing.assert_array_equal(read(tmp_path / "a.roi")[0], LABELS == 1)


def test_an_oval_has_the_pixels_whose_centres_are_in_it(tmp_path):
    roifile = pytest.importorskip("roifile")
    path = rois(tmp_path / "a.zip", rectangle(2, 3, 12, 9, roifile.ROI_TYPE.OVAL))
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    expected = ((x - 7) / 5) ** 2 + ((y - 6) / 3) ** 2 <= 1
    np.testing.assert_array_equal(read(path)[0], expected)


def test_rois_of_several_slices_are_refused(tmp_path):
    made = [roi_of(box(3, 2, 9, 6), position=k) for k in (1, 2)]
    refusal(rois(tmp_path / "a.zip", *made), "2 slices")


def test_holes_of_a_composite_roi_stay_open_and_its_parts_are_one_object(tmp_path):
    roifile = pytest.importorskip("roifile")
    path = [
        number
        for ring in (box(0, 0, 6, 6), box(2, 2, 4, 4), box(10, 0, 12, 3))
        for kind, (x, y) in zip((0, 1, 1, 1), ring, strict=True)
        for number in (kind, x, y)
    ]
    made = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT,
        left=0,
        top=0,
        right=12,
        bottom=6,
        n_coordinates=0,
        shape_roi_size=len(path),
        multi_coordinates=np.array(path, np.float32),
    )
    expected = np.zeros(SHAPE, int)
    expected[:6, :6], expected[2:4, 2:4], expected[:3, 10:12] = 1, 0, 1
    np.testing.assert_array_equal(read(rois(tmp_path / "a.zip", made))[0], expected)


def test_an_empty_archive_has_no_objects_and_one_of_other_files_is_refused(tmp_path):
    assert not read(rois(tmp_path / "a.zip"))[0].any()
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    refusal(tmp_path / "b.zip")


# Stacks, and files that are to be turned


def test_a_slice_of_a_stack_of_label_images_is_read(tmp_path):
    stack = np.stack([LABELS, LABELS * 2, LABELS * 3]).astype(np.uint16)
    path = tiff(tmp_path / "a.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    for k in range(3):
        found = read_label_file(LabelFile(path), SHAPE, LabelOptions(), Planes(z=k, each=True))
        np.testing.assert_array_equal(found, stack[k])
    lossy = tiff(
        tmp_path / "b.tif",
        np.zeros((3, 64, 64), np.uint8),
        photometric="minisblack",
        compression="jpegxl",
        compressionargs={"level": 80},
    )
    with pytest.raises(DataError, match="JPEGXL"):
        read_label_file(LabelFile(lossy), (64, 64), LabelOptions(), Planes(z=1))


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a_seg.npy", "a.geojson"])
def test_labels_of_one_plane_are_not_those_of_every_slice(tmp_path, name):
    path = tmp_path / name
    if name.endswith(".npy"):
        np.save(path, LABELS)
    elif name.endswith(".geojson"):
        geojson(path, *FEATURES)
    else:
        values = Pillow.fromarray(LABELS.astype(np.uint8))
        values.save(path)
    with pytest.raises(DataError, match="every slice"):
        read_label_file(LabelFile(path), SHAPE, LabelOptions(), Planes(z=0, each=True))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_labels_are_turned_as_their_image_is(tmp_path, orientation):
    for name in ("a.tif", "a.png"):
        path = tmp_path / name
        if name == "a.tif":
            tags = [(274, "H", 1, orientation, True)]
            tiff(path, LABELS.astype(np.uint8), extratags=tags)
        else:
            exif = Pillow.Exif()
            exif[274] = orientation
            Pillow.fromarray(LABELS.astype(np.uint8)).save(path, exif=exif)
        found, remarks = read(path)
        np.testing.assert_array_equal(found, read_image(path))
        assert "turned" in remarks and not np.array_equal(found, LABELS)
