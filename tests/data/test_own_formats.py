"""Formats besides TIFF, PNG and JPEG: read as their axes say, or refused with what to install."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.files import nothing_leaks as nothing_leaks
from helpers.files import pixels, refusal, tiff
from helpers.messages import assert_names

from benchmark.data.formats.images import OPENERS, read_image
from benchmark.data.formats.planes import Planes
from benchmark.data.sources.folder import FolderSource, find_files

checked = Planes.checked


def refused(path, planes):
    return refusal(lambda file: read_image(file, planes=planes), path)


# NumPy


def npy(path, array):
    np.save(path, array, allow_pickle=True)
    return path


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", ">u2"])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4)])
def test_an_array_is_an_image_with_its_channels_last(tmp_path, shape, dtype):
    array = pixels(*shape, dtype=dtype)
    found = read_image(npy(tmp_path / "a.npy", array))
    np.testing.assert_array_equal(found, array)
    assert found.dtype.isnative and found.dtype == array.dtype.newbyteorder("=")


def test_other_axes_of_an_array_are_what_the_choice_asks_for(tmp_path):
    path = npy(tmp_path / "a.npy", pixels(5, 20, 30))
    assert_names(refusal(read_image, path), "5 pages", "data.z=", "data.use_channels=")
    np.testing.assert_array_equal(read_image(path, planes=checked(z=3)), pixels(5, 20, 30)[3])
    found = read_image(path, planes=checked([4, 1]))
    np.testing.assert_array_equal(found, np.moveaxis(pixels(5, 20, 30)[[4, 1]], 0, -1))
    path = npy(tmp_path / "b.npy", pixels(5, 20, 30, 2))
    np.testing.assert_array_equal(
        read_image(path, planes=checked(z="max")), pixels(5, 20, 30, 2).max(0)
    )


def test_masks_of_cellpose_are_no_images(tmp_path, capfd):
    for name in ("a", "b"):
        npy(tmp_path / f"{name}.npy", pixels(20, 30))
        np.save(tmp_path / f"{name}_seg.npy", {"masks": pixels(20, 30)})
    alone = FolderSource(".", None, str(tmp_path)).items("test")
    assert [raw.name for raw in alone] == ["a", "b"] and not alone[0].labelled
    both = FolderSource(".", ".", str(tmp_path)).items("test")
    assert [raw.name for raw in both] == ["a", "b"]
    assert "a.npy with a_seg.npy" in capfd.readouterr().err
    np.testing.assert_array_equal(*both[0].read())


@pytest.mark.parametrize("shape", [(), (20,), (0, 30)])
def test_an_array_that_is_no_image_is_refused(tmp_path, shape):
    refusal(read_image, npy(tmp_path / "a.npy", np.zeros(shape)))


def test_an_array_of_objects_is_refused_and_executes_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'done')!r}, 'w')",))

    array = np.array([[Evil()]], dtype=object)
    assert "object" in refusal(read_image, npy(tmp_path / "a.npy", array)).lower()
    assert not (tmp_path / "done").exists()


# Zarr


zarr = pytest.importorskip("zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_an_array_of_zarr_is_an_image(tmp_path, version):
    array = pixels(20, 30, 3, dtype="u2")
    made = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=array.shape, dtype=array.dtype, zarr_format=version
    )
    made[:] = array
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr"), array)


def test_names_of_dimensions_are_axes(tmp_path):
    array = pixels(2, 3, 20, 30)
    made = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=array.shape,
        dtype="u1",
        dimension_names=["z", "c", "y", "x"],
    )
    made[:] = array
    assert_names(refusal(read_image, tmp_path / "a.zarr"), "axes ZCYX", "data.z=")
    found = read_image(tmp_path / "a.zarr", planes=checked(z=1))
    np.testing.assert_array_equal(found, np.moveaxis(array[1], 0, -1))


def ome_zarr(group, array, axes, names=(), new=True):
    """An image in two resolutions, with its labels."""
    metadata = {
        "multiscales": [
            {
                "axes": [{"name": axis} for axis in axes],
                "datasets": [{"path": "0"}, {"path": "1"}],
            }
        ],
        "omero": {"channels": [{"label": name} for name in names]},
    }
    group.attrs.update({"ome": metadata} if new else metadata)
    for path, each in (("0", array), ("1", array[..., ::2, ::2])):
        group.create_array(path, shape=each.shape, dtype=each.dtype)[:] = each
    labels = group.create_group("labels/cells")
    labels.attrs.update({"multiscales": metadata["multiscales"]})
    labels.create_array("0", shape=array.shape, dtype="u1")


@pytest.mark.parametrize(("version", "new"), [(2, False), (3, True)])
def test_an_image_of_ome_zarr_is_read_at_full_resolution(tmp_path, version, new):
    array = pixels(1, 2, 3, 20, 30, dtype="u2")
    group = zarr.create_group(str(tmp_path / "a.ome.zarr"), zarr_format=version)
    ome_zarr(group, array, "tczyx", ["DAPI", "actin"], new)
    path = tmp_path / "a.ome.zarr"
    assert_names(refusal(read_image, path), "axes TCZYX", "data.z=")
    found = read_image(path, planes=checked(z="max"))
    np.testing.assert_array_equal(found, np.moveaxis(array[0].max(axis=1), 0, -1))
    found = read_image(path, planes=checked(["actin"], z=2))
    np.testing.assert_array_equal(found, array[0, 1, 2])


def test_an_image_of_several_in_a_zarr_is_chosen(tmp_path):
    path = tmp_path / "a.zarr"
    group = zarr.create_group(str(path))
    for k, name in enumerate(("A/1/0", "B/2/0")):
        ome_zarr(group.create_group(name), pixels(20 + k, 30), "yx")
    assert_names(refusal(read_image, path), "2 images", "A/1/0", "data.scene=")
    assert read_image(path, planes=checked(scene="B/2/0")).shape == (21, 30)
    assert read_image(path, planes=checked(scene=0)).shape == (20, 30)
    assert "data.scene is C" in refused(path, checked(scene="C"))


def test_a_zarr_without_an_image_is_refused(tmp_path):
    zarr.create_group(str(tmp_path / "a.zarr"))
    assert "holds no image" in refusal(read_image, tmp_path / "a.zarr")
    (tmp_path / "b.zarr").mkdir()
    refusal(read_image, tmp_path / "b.zarr")


# A folder of them


@pytest.fixture
def images(tmp_path):
    (tmp_path / "i").mkdir()
    (tmp_path / "l").mkdir()
    for name in ("a.ome.zarr", "b.zarr"):
        made = zarr.create_array(str(tmp_path / "i" / name), shape=(20, 30), dtype="u1")
        made[:] = pixels(20, 30)
        tiff(tmp_path / "l" / f"{name[0]}.tif", pixels(20, 30))
    return tmp_path


@pytest.mark.parametrize("pattern", ["i", "i/*", "i/*.zarr", "**/*.zarr"])
def test_a_folder_that_is_an_image_is_found_as_a_file_is(images, pattern):
    found = find_files(pattern, str(images), "data.images")
    assert [path.name for path in found] == ["a.ome.zarr", "b.zarr"]
    (only,) = find_files("i/b.zarr", str(images), "data.images")
    assert only.name == "b.zarr"


def test_a_folder_that_is_an_image_is_paired_and_read(images):
    raws = FolderSource("i", "l", str(images)).items("test")
    assert [raw.name for raw in raws] == ["a", "b"]
    np.testing.assert_array_equal(*raws[0].read())


def test_a_changed_chunk_changes_the_fingerprint(images):
    source = FolderSource("i", "l", str(images))
    before = source.fingerprint()
    assert source.fingerprint() == before
    zarr.open_array(str(images / "i" / "a.ome.zarr"), mode="r+")[0, 0] = 99
    assert source.fingerprint() != before


# Microscopes: their files are not part of this repository, so the libraries are stood in for.

MICROSCOPES = {".nd2": "nd2", ".lif": "liffile", ".czi": "czifile"}


@pytest.mark.parametrize("suffix", MICROSCOPES)
def test_a_missing_library_is_named_with_the_command(tmp_path, monkeypatch, suffix):
    monkeypatch.setitem(sys.modules, MICROSCOPES[suffix], None)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"?")
    assert_names(refusal(read_image, path), MICROSCOPES[suffix], "pip install -e '.[formats]'")
    assert suffix in OPENERS


class Opened:
    """A file of a library, with what is asked of it."""

    def __init__(self, **said):
        vars(self).update(said)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def stand_in(monkeypatch, module, name, file):
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{name: lambda path: file}))


def channel(name):
    return SimpleNamespace(channel=SimpleNamespace(name=name))


def test_positions_of_nd2_are_scenes_and_channels_have_names(tmp_path, monkeypatch):
    array = pixels(3, 4, 2, 20, 30)
    file = Opened(
        sizes={"P": 3, "Z": 4, "C": 2, "Y": 20, "X": 30},
        metadata=SimpleNamespace(channels=[channel("DAPI"), channel("GFP")]),
        asarray=lambda position: array[position],
    )
    stand_in(monkeypatch, "nd2", "ND2File", file)
    path = tmp_path / "a.nd2"
    assert_names(refusal(read_image, path), "3 images", "data.scene=")
    found = read_image(path, planes=checked(["GFP"], z=1, scene=2))
    np.testing.assert_array_equal(found, array[2, 1, 1])


def test_images_of_lif_are_scenes(tmp_path, monkeypatch):
    arrays = {"overview": pixels(20, 30), "stack": pixels(5, 2, 20, 30)}
    images = [
        SimpleNamespace(
            name=name,
            shape=array.shape,
            dims=("Y", "X") if array.ndim == 2 else ("Z", "C", "Y", "X"),
            asarray=lambda array=array: array,
        )
        for name, array in arrays.items()
    ]
    stand_in(monkeypatch, "liffile", "LifFile", Opened(images=images))
    path = tmp_path / "a.lif"
    assert_names(refusal(read_image, path), "2 images", "overview", "stack", "data.scene=")
    found = read_image(path, planes=checked(0, z="max", scene="stack"))
    np.testing.assert_array_equal(found, arrays["stack"][:, 0].max(axis=0))


def test_a_plane_that_was_scanned_along_z_is_an_image(tmp_path, monkeypatch):
    """As in files of LAS X: the last two axes are the plane, whatever they are called."""
    array = pixels(4, 2, 20, 30)
    for axes, option in (("TCZX", "t"), ("YCZX", "z")):
        image = SimpleNamespace(name="", shape=array.shape, dims=tuple(axes), asarray=lambda: array)
        stand_in(monkeypatch, "liffile", "LifFile", Opened(images=[image]))
        found = read_image(tmp_path / "a.lif", planes=checked(**{option: 3}))
        np.testing.assert_array_equal(found, np.moveaxis(array[3], 0, -1))


CHANNELS = (
    "<ImageDocument><Metadata><Information><Image><Dimensions><Channels>"
    '<Channel Id="0" Name="DAPI"/><Channel Id="1" Name="GFP"/>'
    "</Channels></Dimensions></Image></Information></Metadata></ImageDocument>"
)


def block(axes="SZYX0", compression=0, **place):
    return SimpleNamespace(axes=axes, compression=compression, **place)


@pytest.mark.parametrize("compression", [5, 6])
def test_a_compression_that_the_library_lacks_is_named(tmp_path, monkeypatch, compression):
    file = Opened(filtered_subblock_directory=[block(), block(compression=compression)])
    stand_in(monkeypatch, "czifile", "CziFile", file)
    assert_names(refusal(read_image, tmp_path / "a.czi"), "zstd", "OME-TIFF")


def test_scenes_and_samples_of_czi_are_told_apart(tmp_path, monkeypatch):
    scenes = [pixels(3, 20, 30, 3), pixels(3, 20, 30, 3) + 50]
    array = np.zeros((2, 3, 25, 70, 3), "u1")
    array[0, :, :20, :30], array[1, :, 5:, 40:] = scenes  # each at its place on the slide
    blocks = [block(start=(0, z, 100, 7, 0), shape=(1, 1, 20, 30, 3)) for z in range(3)] + [
        block(start=(1, z, 105, 47, 0), shape=(1, 1, 20, 30, 3)) for z in range(3)
    ]
    file = Opened(
        axes="SZYX0",
        shape=array.shape,
        start=(0, 0, 100, 7, 0),
        filtered_subblock_directory=blocks,
        asarray=lambda max_workers: array,
        metadata=lambda raw: CHANNELS,
    )
    stand_in(monkeypatch, "czifile", "CziFile", file)
    path = tmp_path / "a.czi"
    assert "data.scene=" in refusal(read_image, path)
    assert "data.z=" in refused(path, checked(scene=0))
    for number, scene in enumerate(scenes):
        found = read_image(path, planes=checked(z=2, scene=number))
        np.testing.assert_array_equal(found, scene[2])


def test_channels_of_czi_have_names(tmp_path, monkeypatch):
    array = pixels(2, 20, 30, 1)
    file = Opened(
        axes="CYX0",
        shape=array.shape,
        filtered_subblock_directory=[block()],
        asarray=lambda max_workers: array,
        metadata=lambda raw: CHANNELS,
    )
    stand_in(monkeypatch, "czifile", "CziFile", file)
    found = read_image(tmp_path / "a.czi", planes=checked("GFP"))
    np.testing.assert_array_equal(found, array[1, ..., 0])
