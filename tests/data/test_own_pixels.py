"""What a file of one's own says of its pixels is obeyed, or the file is refused by name."""

import json
import re

import numpy as np
import pytest
import tifffile
from helpers.files import deep_png, picture, pixels, refusal, tiff
from helpers.files import nothing_leaks as nothing_leaks
from helpers.messages import assert_names
from PIL import Image as Pillow
from PIL import ImageOps

from benchmark.data.formats.images import read_image, read_labels
from benchmark.data.formats.planes import Planes
from benchmark.data.remarks import collected, sentence


def kinds(path, read=read_image):
    with collected() as remarks:
        read(path)
    return [remark.kind for remark in remarks]


# Orientation


def turned_png(path, array, orientation):
    exif = Pillow.Exif()
    exif[274] = orientation
    Pillow.fromarray(array).save(path, exif=exif)
    return path


def turned_tiff(path, array, orientation, **options):
    extra = [(274, "H", 1, orientation, True)]
    return tiff(path, array, extratags=extra, **options)


def as_pillow_shows(path):
    """How an independent reader turns it."""
    with Pillow.open(path) as opened:
        return np.asarray(ImageOps.exif_transpose(opened))


ORIENTATIONS = [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_an_image_is_turned_as_its_orientation_says(tmp_path, name, shape, orientation):
    if name == "a.tif":  # compressed, as Pillow errs where it maps pixels into memory
        path = turned_tiff(tmp_path / name, pixels(*shape), orientation, compression="zlib")
    else:
        path = turned_png(tmp_path / name, pixels(*shape), orientation)
    found = read_image(path)
    np.testing.assert_array_equal(found, as_pillow_shows(path))
    assert found.shape[:2] == ((20, 30) if orientation < 5 else (30, 20))
    assert kinds(path) == ([] if orientation == 1 else ["turned"])
    assert read_image(path, as_stored=True).shape == shape


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("save", [turned_tiff, turned_png])
def test_labels_are_turned_with_their_image(tmp_path, save, orientation):
    array = pixels(20, 30, dtype="u2")
    path = save(tmp_path / ("a.tif" if save is turned_tiff else "a.png"), array, orientation)
    np.testing.assert_array_equal(read_labels(path), read_image(path))


def test_a_stack_is_turned_after_its_plane_is_chosen(tmp_path):
    array = pixels(2, 20, 30)
    options = {"imagej": True, "metadata": {"axes": "CYX"}}
    path = turned_tiff(tmp_path / "a.tif", array, 6, **options)
    np.testing.assert_array_equal(read_image(path), np.rot90(np.moveaxis(array, 0, -1), -1))


def test_an_unknown_orientation_turns_nothing_and_one_without_meaning_is_refused(tmp_path):
    array = pixels(20, 30)
    path = turned_tiff(tmp_path / "a.tif", array, 0)
    np.testing.assert_array_equal(read_image(path), array)
    path = turned_tiff(tmp_path / "b.tif", array, 9)
    assert "Orientation is 9" in refusal(read_image, path)


# Colour spaces

CMYK, YCBCR = "amounts of ink (CMYK)", "luma and colour differences (YCbCr)"


@pytest.mark.parametrize(
    ("photometric", "shape", "named"),
    [
        ("separated", (20, 30, 4), CMYK),
        ("cielab", (20, 30, 3), "CIELab"),
        ("icclab", (20, 30, 3), "ICCLab"),
        ("itulab", (20, 30, 3), "ITULab"),
        ("ycbcr", (20, 30, 3), YCBCR),
        ("cfa", (20, 30), "mosaic"),
        ("mask", (20, 30), "transparency mask"),
        ("logluv", (20, 30, 3), "LOGLUV"),
    ],
)
def test_a_tiff_in_another_colour_space_is_refused_by_name(tmp_path, photometric, shape, named):
    path = tiff(tmp_path / "a.tif", pixels(*shape), photometric=photometric)
    assert_names(refusal(read_image, path), named, "RGB")
    assert read_image(path, as_stored=True).shape == shape


def test_colour_differences_are_read_where_jpeg_makes_rgb_of_them(tmp_path):
    array = np.empty((64, 64, 3), "u1")
    array[:] = (200, 60, 20)
    path = tiff(tmp_path / "a.tif", array, photometric="rgb", compression="jpeg")
    with tifffile.TiffFile(path) as written:
        assert written.pages[0].photometric == tifffile.PHOTOMETRIC.YCBCR
    assert np.abs(read_image(path).astype(int) - array).max() <= 3


def test_one_bit_of_which_0_is_white_is_refused(tmp_path):
    """Tifffile alone calls a mask so whose 1 is bright."""
    path = tiff(tmp_path / "a.tif", pixels(20, 30) > 50, software="scanner")
    assert "darkness" in refusal(read_image, path)


@pytest.mark.parametrize("name", ["a.jpg", "b.jpeg", "c.png"])
def test_a_jpeg_of_inks_is_refused_whatever_its_name(tmp_path, name):
    path = tmp_path / "a.jpg"
    picture(path, pixels(20, 30, 3), "CMYK")
    path = path.rename(tmp_path / name)
    assert_names(refusal(read_image, path), CMYK, "RGB")
    assert read_image(path, as_stored=True).shape == (20, 30, 4)


# Opacity


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_opacity_is_left_out_and_remarked_on(tmp_path, channels, dtype):
    array = pixels(20, 30, channels, dtype=dtype)
    colours = array[..., 0] if channels == 2 else array[..., :3]
    kind = "minisblack" if channels == 2 else "rgb"
    options = {"photometric": kind, "planarconfig": "contig", "extrasamples": ["unassalpha"]}
    paths = [tiff(tmp_path / "a.tif", array, **options), deep_png(tmp_path / "b.png", array)]
    for path in paths:
        np.testing.assert_array_equal(read_image(path), colours)
        assert kinds(path) == ["alpha"]
        with collected() as remarks:
            read_image(path)
        (chosen,) = re.findall(r"use_channels=\[(.*?)\]", sentence(*remarks))
        numbers = [int(number) for number in chosen.split(",")]
        np.testing.assert_array_equal(read_image(path, planes=Planes.checked(numbers)), array)
    array[..., -1] = np.iinfo(dtype).max
    assert kinds(tiff(tmp_path / "c.tif", array, **options)) == []  # nothing is lost


def test_colours_that_were_multiplied_by_their_opacity_are_refused(tmp_path):
    array = pixels(20, 30, 4)
    options = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    assert "multiplied" in refusal(read_image, tiff(tmp_path / "a.tif", array, **options))
    array[..., 3] = 255
    read = read_image(tiff(tmp_path / "b.tif", array, **options))
    np.testing.assert_array_equal(read, array[..., :3])


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_samples_that_the_file_does_not_call_opacity_stay(tmp_path, channels):
    array = pixels(20, 30, channels)
    path = tiff(tmp_path / "a.tif", array, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read_image(path), array)
    assert kinds(path) == []


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_what_looks_like_opacity_stays_and_is_remarked_on(tmp_path, channels, dtype):
    array = pixels(20, 30, channels, dtype=dtype)
    array[..., -1] = (array[..., 0] > 50) * np.iinfo(dtype).max
    path = tiff(tmp_path / "a.tif", array, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read_image(path), array)
    assert kinds(path) == ["two_values"]
    array[..., -1] = 0  # an empty channel hides nothing
    path = tiff(tmp_path / "b.tif", array, photometric="minisblack", planarconfig="contig")
    assert kinds(path) == []


def test_opacity_of_a_gray_tiff_by_pillow_is_remarked_on(tmp_path):
    array = pixels(20, 30, 2)
    array[..., 1] = (array[..., 0] > 50) * 255
    assert kinds(picture(tmp_path / "a.tif", array)) in (["alpha"], ["two_values"])


# Frames


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.jpg", "MPO")])
def test_several_frames_are_refused(tmp_path, name, kind):
    frames = [Pillow.fromarray(pixels(20, 30, 3) + k) for k in range(2)]
    frames[0].save(tmp_path / name, kind, save_all=True, append_images=frames[1:])
    assert "2 frames" in refusal(read_image, tmp_path / name)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_colour_png_of_16_bit_keeps_every_bit(tmp_path, channels):
    array = (np.arange(600 * channels, dtype="u2") * 27).reshape(20, 30, channels)
    array[..., -1] |= 1
    expected = array if channels == 3 else array[..., :-1].reshape(20, 30, -1).squeeze()
    found = read_image(deep_png(tmp_path / "a.png", array))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint16
    assert "TIFF" in refusal(lambda p: read_image(p, as_stored=True), tmp_path / "a.png")


# Descriptions that do not fit

STALE = {
    "imagej": "ImageJ=1.53t\nimages=5\nslices=5\n",
    "imagej hyperstack": "ImageJ=1.53t\nimages=6\nchannels=2\nslices=3\nhyperstack=true\n",
    "shaped": json.dumps({"shape": [5, 20, 30]}),
    "shaped otherwise": json.dumps({"shape": [64, 64]}),
    "ome": (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="30" '
        'SizeY="20" SizeZ="5" SizeC="1" SizeT="1"><TiffData/></Pixels></Image></OME>'
    ),
}


@pytest.mark.parametrize("kind", STALE)
@pytest.mark.parametrize("read", [read_image, read_labels])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_a_page_with_a_description_of_others_is_read_and_remarked_on(tmp_path, kind, read, options):
    array = pixels(20, 30)
    path = tiff(tmp_path / "a.tif", array, description=STALE[kind], metadata=None, **options)
    np.testing.assert_array_equal(read(path), array)
    assert kinds(path, read) == ["description"]


def test_pixels_without_a_page_are_of_a_damaged_file(tmp_path):
    path = tiff(tmp_path / "a.tif", pixels(20, 30), description=STALE["imagej"], metadata=None)
    with path.open("ab") as file:
        file.write(bytes(300))
    assert "damaged" in refusal(read_image, path)


# OME-TIFF over several files


def ome_set(folder, axis, arrays, uuids=True, missing=()):
    """Files of one page or one block each, whose OME-XML speaks of all of them."""
    sizes = {"C": 1, "Z": 1, "T": 1, axis: len(arrays)}
    block = np.asarray(arrays[0])
    inner = "C" if axis != "C" else "Z"
    planes = 1 if block.ndim == 2 else len(block)
    sizes[inner] = planes
    data = "".join(
        f'<TiffData First{axis}="{k}" First{inner}="{j}" IFD="{j}" PlaneCount="1">'
        f'<UUID FileName="{axis}{k}.ome.tif">urn:uuid:{k}</UUID></TiffData>'
        for k in range(len(arrays))
        for j in range(planes)
    )
    channels = "".join(f'<Channel ID="Channel:0:{k}" Name="c{k}"/>' for k in range(sizes["C"]))
    paths = []
    for k, array in enumerate(arrays):
        uuid = f' UUID="urn:uuid:{k}"' if uuids else ""
        xml = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
            f'{uuid}><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
            f'Type="uint8" SizeX="30" SizeY="20" SizeZ="{sizes["Z"]}" SizeC="{sizes["C"]}" '
            f'SizeT="{sizes["T"]}">{channels}{data}</Pixels></Image></OME>'
        )
        path = folder / f"{axis}{k}.ome.tif"
        options = {"photometric": "minisblack", "metadata": None}
        paths.append(tiff(path, np.asarray(array), description=xml, **options))
    for k in missing:
        paths[k].unlink()
    return [path for k, path in enumerate(paths) if k not in missing]


@pytest.mark.parametrize("axis", ["T", "C", "Z"])
@pytest.mark.parametrize("uuids", [True, False])
@pytest.mark.parametrize("missing", [(), (0,), (1, 2)])
def test_a_file_of_a_set_is_its_own_page(tmp_path, axis, uuids, missing):
    arrays = [pixels(20, 30) + 7 * k for k in range(3)]
    for path in ome_set(tmp_path, axis, arrays, uuids, missing):
        np.testing.assert_array_equal(read_image(path), arrays[int(path.name[1])])
        np.testing.assert_array_equal(read_labels(path), arrays[int(path.name[1])])
        assert kinds(path) == []


def test_a_file_of_a_set_with_all_channels_of_a_time_point_has_these(tmp_path):
    arrays = [pixels(2, 20, 30) + 7 * k for k in range(3)]
    for path, array in zip(ome_set(tmp_path, "T", arrays), arrays, strict=True):
        np.testing.assert_array_equal(read_image(path), np.moveaxis(array, 0, -1))


def test_a_renamed_file_of_a_set_is_never_read_as_another(tmp_path):
    arrays = [pixels(20, 30) + 7 * k for k in range(3)]
    for uuids in (True, False):
        paths = ome_set(tmp_path, "T", arrays, uuids)
        renamed = paths[1].rename(tmp_path / "mine.tif")
        np.testing.assert_array_equal(read_image(renamed), arrays[1])


def test_a_renamed_file_is_not_read_from_the_one_that_has_its_name_now(tmp_path):
    (path,) = ome_set(tmp_path, "T", [pixels(20, 30)], uuids=False)
    renamed = path.rename(tmp_path / "mine.ome.tif")
    ome_set(tmp_path, "T", [pixels(20, 30) + 50], uuids=False)
    np.testing.assert_array_equal(read_image(renamed), pixels(20, 30))


# Files that stand for others


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"/annex/objects/SHA256E-s1--0.tif\n", "git annex get"),
    ],
)
@pytest.mark.parametrize("read", [read_image, read_labels])
def test_a_pointer_to_a_file_is_named_with_the_command(tmp_path, name, content, named, read):
    path = tmp_path / name
    path.write_bytes(content)
    assert named in refusal(read, path)
