"""Stacks, channels and scenes of one's own files: read as chosen, or refused with the options."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from helpers.files import nothing_leaks as nothing_leaks
from helpers.files import picture, pixels, refusal, tiff
from helpers.messages import assert_names

from benchmark.data.formats.images import planes_along, read_image, read_labels
from benchmark.data.formats.planes import Planes
from benchmark.data.prepare import prepare
from benchmark.data.remarks import collected
from benchmark.data.sources.folder import FolderSource
from benchmark.errors import DataError, UsageError

checked = Planes.checked


def refused(path, planes):
    return refusal(lambda file: read_image(file, planes=planes), path)


# Channels

LAYOUTS = {
    "imagej": {"imagej": True, "metadata": {"axes": "CYX"}},
    "ome": {"ome": True, "metadata": {"axes": "CYX"}, "photometric": "minisblack"},
    "shaped": {"metadata": {"axes": "CYX"}, "photometric": "minisblack"},
    "compressed": {
        "metadata": {"axes": "CYX"},
        "photometric": "minisblack",
        "compression": "zlib",
    },
    "pages of tiles": {
        "metadata": {"axes": "CYX"},
        "photometric": "minisblack",
        "tile": (16, 16),
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [2, 3, 4])
def test_channels_that_the_file_names_as_such_are_read(tmp_path, layout, count):
    array = pixels(count, 20, 30, dtype="u2")
    path = tiff(tmp_path / "a.ome.tif", array, **LAYOUTS[layout])
    np.testing.assert_array_equal(read_image(path), np.moveaxis(array, 0, -1))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_more_than_four_channels_some_are_to_be_chosen(tmp_path, layout):
    array = pixels(6, 20, 30, dtype="u2")
    path = tiff(tmp_path / "a.ome.tif", array, **LAYOUTS[layout])
    assert_names(refusal(read_image, path), "6 x 20 x 30", "data.use_channels=")
    found = read_image(path, planes=checked([4, 0]))
    np.testing.assert_array_equal(found, np.stack([array[4], array[0]], axis=-1))
    np.testing.assert_array_equal(read_image(path, planes=checked([5])), array[5])
    np.testing.assert_array_equal(read_image(path, planes=checked(5)), array[5])
    assert "no channel '6'" in refused(path, checked([6]))


@pytest.mark.parametrize("channels", [3, 7])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_samples_of_pixels_are_chosen_as_channels_are(tmp_path, channels, planar):
    array = pixels(20, 30, channels)
    stored = array if planar == "contig" else np.moveaxis(array, -1, 0)
    options = {"photometric": "rgb", "planarconfig": planar}
    path = tiff(tmp_path / "a.tif", stored, **options)
    np.testing.assert_array_equal(read_image(path, planes=checked([2, 0])), array[..., [2, 0]])


def test_colours_have_names(tmp_path):
    array = pixels(20, 30, 3)
    for path in (picture(tmp_path / "a.png", array), tiff(tmp_path / "a.tif", array)):
        np.testing.assert_array_equal(read_image(path, planes=checked("Green")), array[..., 1])


def test_opacity_can_be_chosen_by_its_number(tmp_path):
    array = pixels(20, 30, 4)
    path = picture(tmp_path / "a.png", array)
    np.testing.assert_array_equal(read_image(path, planes=checked([0, 1, 2, 3])), array)


NAMES = ["DAPI", "actin", "bright field"]
NAMED = {
    "ome": {"ome": True, "metadata": {"axes": "CYX", "Channel": {"Name": NAMES}}},
    "imagej": {"imagej": True, "metadata": {"axes": "CYX", "Labels": NAMES}},
    "shaped": {"metadata": {"axes": "CYX", "Channel": {"Name": NAMES}}},
}


@pytest.mark.parametrize("layout", NAMED)
def test_channels_are_chosen_by_the_names_that_the_file_has(tmp_path, layout):
    array = pixels(3, 20, 30)
    path = tiff(tmp_path / "a.ome.tif", array, **{"photometric": "minisblack", **NAMED[layout]})
    with collected() as remarks:
        found = read_image(path, planes=checked(["bright field", "dapi"]))
    np.testing.assert_array_equal(found, np.stack([array[2], array[0]], axis=-1))
    assert_names(remarks[0].detail, "bright field, DAPI of 3", "actin")
    assert_names(refused(path, checked(["GFP"])), "'GFP'", *NAMES)


def test_names_of_the_card_serve_files_without_any(tmp_path):
    array = pixels(2, 20, 30)
    path = tiff(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "CYX"})
    planes = replace(checked(["actin"]), names=("DAPI", "actin"))
    np.testing.assert_array_equal(read_image(path, planes=planes), array[1])
    assert "without names" in refused(path, checked(["actin"]))


def test_a_name_that_two_channels_have_is_refused(tmp_path):
    path = tiff(tmp_path / "a.tif", pixels(2, 20, 30), imagej=True, metadata={"axes": "CYX"})
    planes = replace(checked(["actin"]), names=("actin", "actin"))
    assert "2 channels called 'actin'" in refused(path, planes)


# Slices and time points


@pytest.fixture(params=["imagej", "ome", "shaped"])
def hyperstack(request, tmp_path):
    """4 time points, 3 slices, 2 channels."""
    array = pixels(4, 3, 2, 20, 30, dtype="u2")
    options = {"photometric": "minisblack", "metadata": {"axes": "TZCYX"}}
    if request.param != "shaped":
        options[request.param] = True
    return tiff(tmp_path / "a.ome.tif", array, **options), array


@pytest.mark.parametrize(
    ("z", "t", "expected"),
    [
        (1, 2, lambda a: a[2, 1]),
        ("max", 0, lambda a: a[0].max(axis=0)),
        (2, "max", lambda a: a[:, 2].max(axis=0)),
        ("mean", 3, lambda a: np.rint(a[3].mean(axis=0)).astype("u2")),
        ("max", "max", lambda a: a.max(axis=(0, 1))),
    ],
)
def test_a_plane_of_a_hyperstack_is_what_was_chosen(hyperstack, z, t, expected):
    path, array = hyperstack
    plane = expected(array)
    np.testing.assert_array_equal(
        read_image(path, planes=checked(None, z, t)), np.moveaxis(plane, 0, -1)
    )
    found = read_image(path, planes=checked([1], z, t))
    np.testing.assert_array_equal(found, plane[1])
    assert found.dtype == np.uint16


def test_an_axis_of_which_nothing_is_chosen_is_named_with_its_option(hyperstack):
    path, _ = hyperstack
    assert_names(refusal(read_image, path), "4 x 3 x 2 x 20 x 30", "data.z=", "data.t=")
    assert "data.z=" not in refused(path, checked(z=0))
    assert "data.t=" not in refused(path, checked(t="max"))
    assert_names(refused(path, checked(z=3, t=0)), "data.z is 3", "3 slices")
    assert_names(refused(path, checked(z=0, t=4)), "data.t is 4", "4 frames")


def test_only_the_chosen_pages_are_read(tmp_path, monkeypatch):
    path = tiff(tmp_path / "a.tif", pixels(5, 20, 30), photometric="minisblack", compression="zlib")
    asked = []
    read = tifffile.TiffPageSeries.asarray

    def spy(self, **options):
        asked.append(options.get("key"))
        return read(self, **options)

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", spy)
    np.testing.assert_array_equal(read_image(path, planes=checked(z=3)), pixels(5, 20, 30)[3])
    assert asked == [[3]]


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_pages_without_a_meaning_are_what_the_choice_asks_for(tmp_path, dtype):
    array = pixels(3, 20, 30, dtype=dtype)
    path = tiff(tmp_path / "a.tif", array, photometric="minisblack")
    assert_names(refusal(read_image, path), "data.use_channels=", "data.z=", "data.t=")
    np.testing.assert_array_equal(read_image(path, planes=checked(z=1)), array[1])
    np.testing.assert_array_equal(read_image(path, planes=checked(t="max")), array.max(axis=0))
    found = read_image(path, planes=checked([2, 0]))
    np.testing.assert_array_equal(found, np.stack([array[2], array[0]], axis=-1))
    assert "3 pages" in refused(path, checked([0], z=1))  # which of the two are they?


def test_a_file_of_one_plane_needs_no_choice_and_takes_any(tmp_path):
    array = pixels(20, 30)
    path = tiff(tmp_path / "a.tif", array)
    np.testing.assert_array_equal(read_image(path, planes=checked([0], "max", 3)), array)


def test_a_stack_in_colour_keeps_its_colours(tmp_path):
    array = pixels(4, 20, 30, 3)
    path = tiff(tmp_path / "a.tif", array, photometric="rgb", metadata={"axes": "ZYXS"})
    np.testing.assert_array_equal(read_image(path, planes=checked(z=2)), array[2])


def test_channels_in_colour_are_chosen_one_at_a_time(tmp_path):
    array = pixels(2, 20, 30, 3)
    path = tiff(tmp_path / "a.tif", array, photometric="rgb", metadata={"axes": "CYXS"})
    assert "each in colour" in refusal(read_image, path)
    assert "each in colour" in refused(path, checked([0, 1]))
    np.testing.assert_array_equal(read_image(path, planes=checked([1])), array[1])


# Scenes


def test_one_image_of_several_is_chosen_by_number_or_name(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for k, name in enumerate(("left", "right")):
            writer.write(pixels(20 + k, 30), metadata={"axes": "YX", "Name": name})
    assert_names(refusal(read_image, path), "2 images", "left", "data.scene=")
    assert read_image(path, planes=checked(scene=1)).shape == (21, 30)
    assert read_image(path, planes=checked(scene="left")).shape == (20, 30)
    for scene in ("middle", 2):
        assert_names(refused(path, checked(scene=scene)), str(scene), "right")


def test_a_picture_has_no_scenes(tmp_path):
    assert "no scenes" in refused(picture(tmp_path / "a.png", pixels(20, 30)), checked(scene=1))


# The options


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"use_channels": []}, "data.use_channels"),
        ({"use_channels": [0, 1, 2, 3, 4]}, "data.use_channels"),
        ({"use_channels": [-1]}, "data.use_channels"),
        ({"use_channels": [True]}, "data.use_channels"),
        ({"use_channels": {"a": 1}}, "data.use_channels"),
        ({"use_channels": 0.5}, "data.use_channels"),
        ({"z": "maximum"}, "data.z"),
        ({"z": -1}, "data.z"),
        ({"z": 0.5}, "data.z"),
        ({"z": "frames"}, "data.z"),
        ({"t": "slices"}, "data.t"),
        ({"t": True}, "data.t"),
        ({"scene": 1.5}, "data.scene"),
        ({"scene": -2}, "data.scene"),
    ],
    ids=str,
)
def test_an_invalid_choice_is_refused_before_any_file_is_looked_for(options, named):
    with pytest.raises(UsageError, match=named):
        FolderSource("none", "none", **options)


# A folder of stacks


@pytest.fixture
def stacks(tmp_path):
    """Two stacks of 3 and 2 slices in two channels, and stacks of their labels."""
    for kind in ("i", "l"):
        (tmp_path / kind).mkdir()
    for name, slices in (("a", 3), ("b", 2)):
        image = pixels(slices, 2, 20, 30, dtype="u2")
        tiff(tmp_path / "i" / f"{name}.tif", image, imagej=True, metadata={"axes": "ZCYX"})
        labels = np.arange(slices * 600, dtype="u2").reshape(slices, 20, 30)
        tiff(tmp_path / "l" / f"{name}.tif", labels, imagej=True, metadata={"axes": "ZYX"})
    return tmp_path


def folder(root, **options):
    return FolderSource("i", "l", str(root), **options)


def test_every_slice_is_an_image_with_labels_of_its_own(stacks):
    raws = folder(stacks, z="slices").items("test")
    assert [raw.name for raw in raws] == ["a_z000", "a_z001", "a_z002", "b_z000", "b_z001"]
    assert [raw.group for raw in raws] == ["a"] * 3 + ["b"] * 2
    assert len({raw.volume for raw in raws}) == 2
    image, labels = raws[2].read()
    np.testing.assert_array_equal(image, np.moveaxis(pixels(3, 2, 20, 30, dtype="u2")[2], 0, -1))
    np.testing.assert_array_equal(labels, np.arange(1200, 1800).reshape(20, 30))


def test_a_slice_has_its_own_labels_of_a_stack_of_them(stacks):
    raws = folder(stacks, z=1, use_channels=[1]).items("test")
    assert [raw.name for raw in raws] == ["a", "b"]
    image, labels = raws[0].read()
    np.testing.assert_array_equal(image, pixels(3, 2, 20, 30, dtype="u2")[1, 1])
    np.testing.assert_array_equal(labels, np.arange(600, 1200).reshape(20, 30))


def test_one_label_image_is_that_of_a_chosen_slice_and_not_of_all(stacks):
    labels = np.arange(600, dtype="u2").reshape(20, 30)
    for name in ("a", "b"):
        tiff(stacks / "l" / f"{name}.tif", labels)
    np.testing.assert_array_equal(folder(stacks, z=1).items("test")[0].read()[1], labels)
    np.testing.assert_array_equal(folder(stacks, z="max").items("test")[0].read()[1], labels)
    with pytest.raises(DataError, match="one label image for a stack"):
        folder(stacks, z="slices").items("test")[0].read()


def test_frames_of_slices_are_images(tmp_path):
    for kind in ("i", "l"):
        (tmp_path / kind).mkdir()
        array = np.arange(2 * 3 * 600, dtype="u2").reshape(2, 3, 20, 30)
        tiff(tmp_path / kind / "a.tif", array, imagej=True, metadata={"axes": "TZYX"})
    raws = folder(tmp_path, z="slices", t="frames").items("test")
    assert len(raws) == len({raw.name for raw in raws}) == 6
    for raw in raws:
        z, t = (int(raw.name.split(axis)[1][:3]) for axis in ("_z", "_t"))
        for found in raw.read():
            np.testing.assert_array_equal(found, array[t, z])


def test_a_file_of_one_slice_is_a_slice(stacks):
    (stacks / "i" / "b.tif").unlink()
    (stacks / "l" / "b.tif").unlink()
    tiff(stacks / "i" / "c.tif", pixels(20, 30))
    tiff(stacks / "l" / "c.tif", pixels(20, 30))
    raws = folder(stacks, z="slices").items("test")
    assert [raw.name for raw in raws][3:] == ["c_z000"]
    np.testing.assert_array_equal(raws[3].read()[1], pixels(20, 30))


def test_a_damaged_stack_is_the_failure_of_that_sample(stacks):
    (stacks / "i" / "b.tif").write_bytes(b"II*\0")
    raws = folder(stacks, z="slices").items("test")
    assert [raw.name for raw in raws][3:] == ["b_z000"]
    with pytest.raises(DataError, match="damaged"):
        raws[3].read()


@pytest.mark.parametrize("axes", ["ZCYX", "TCYX"])
def test_planes_are_counted_without_reading_pixels(tmp_path, monkeypatch, axes):
    path = tiff(tmp_path / "a.tif", pixels(3, 2, 20, 30), imagej=True, metadata={"axes": axes})
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", lambda self: pytest.fail("was read"))
    assert planes_along(path, checked(), axes[0]) == 3
    assert planes_along(path, checked(), "Z" if axes[0] == "T" else "T") == 1


# What prepared data are found by


def prepared(source, root, parameters):
    return prepare(
        "mine",
        source,
        [],
        parameters={"_target_": "benchmark.data.sources.FolderSource", **parameters},
        datasets=root / "d",
        split="test",
        allowed_failures=lambda images: 0,
        workers=1,
    )


def test_another_choice_is_prepared_again_and_the_same_is_found(stacks, capfd):
    def made(**options):
        parameters = {"images": "i", "labels": "l", "root": str(stacks), "group": None}
        return prepared(folder(stacks, **options), stacks, {**parameters, **options})

    choices = [
        {"z": 0, "use_channels": [0]},
        {"z": 0, "use_channels": [1]},
        {"z": 1, "use_channels": [0]},
        {"z": "slices", "use_channels": [0]},
    ]
    data = [made(**choice) for choice in choices]
    assert len({one.folder for one in data}) == len({one.images_digest() for one in data}) == 4
    assert [len(one.entries) for one in data] == [2, 2, 2, 5]
    assert made(**choices[0]).folder == data[0].folder
    assert "channels are used" in capfd.readouterr().err


def test_options_that_choose_nothing_are_no_part_of_the_key(tmp_path):
    for kind in ("i", "l"):
        (tmp_path / kind).mkdir()
        tiff(tmp_path / kind / "a.tif", np.eye(20, 30, dtype=np.uint8))
    before = {"images": "i", "labels": "l", "root": str(tmp_path), "group": None}
    none = {"use_channels": None, "z": None, "t": None, "scene": None}
    folders = {
        prepared(folder(tmp_path, **options), tmp_path, before | options).folder
        for options in ({}, none, none | {"channels": ["DAPI"]}, {"channels": "unknown"})
    }
    assert len(folders) == 1


def test_names_of_the_card_count_where_a_channel_is_chosen_by_name(tmp_path):
    by_name = FolderSource("i", "l", use_channels=["actin"], channels=["DAPI", "actin"])
    by_number = FolderSource("i", "l", use_channels=[1], channels=["DAPI", "actin"])
    assert "channels" in by_number.circumstances and "channels" not in by_name.circumstances


def test_labels_of_a_stack_are_not_lossy(tmp_path):
    path = tiff(tmp_path / "a.tif", pixels(3, 64, 64), photometric="minisblack", compression="jpeg")
    message = refusal(lambda file: read_labels(file, planes=checked(z=1)), path)
    assert "JPEG changes ids" in message
