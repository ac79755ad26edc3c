"""Images and labels are paired in the layouts that people have; what is left out is said."""

import json

import numpy as np
import pytest
import tifffile
from helpers.command_line import main
from helpers.messages import assert_names
from PIL import Image as Pillow

from benchmark.data.formats.images import read_image
from benchmark.data.remarks import collected
from benchmark.data.sources.folder import FolderSource
from benchmark.data.sources.layouts import folder_name
from benchmark.errors import DataError, UsageError


def write(path, value):
    """An image, or labels, of one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, {"masks": np.full((8, 9), value, np.uint16)})
    elif path.suffix.lower() == ".png":
        Pillow.fromarray(np.full((8, 9), value, np.uint8)).save(path)
    elif path.suffix == ".geojson":
        # As many objects as the value: their number tells the file.
        features = [
            {
                "type": "Feature",
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[k, 0], [k + 1, 0], [k + 1, 1], [k, 1], [k, 0]]],
                },
            }
            for k in range(value)
        ]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    else:
        tifffile.imwrite(path, np.full((8, 9), value, np.uint8))
    return path


def items(root, images, labels, **options):
    source = FolderSource(images, labels, root=str(root), labels_are="ids", **options)
    with collected() as remarks:
        found = source.items("test")
    assert source.fingerprint() == source.fingerprint()
    return found, {remark.kind: remark.detail for remark in remarks}


LAYOUTS = {
    "cellpose trains": (["d/001_img.tif", "d/002_img.tif"], ["d/001_masks.tif", "d/002_masks.tif"],
                        "d/*_img.tif", "d/*_masks.tif", ["001_img", "002_img"]),
    "one folder for all": (["d/001_img.tif", "d/002_img.tif"],
                           ["d/001_masks.tif", "d/002_masks.tif"], "d", "d",
                           ["001_img", "002_img"]),
    "labels are the narrower pattern": (["d/a.tif", "d/b.tif"], ["d/a_masks.tif", "d/b_masks.tif"],
                                        "d/*.tif", "d/*_masks.tif", ["a", "b"]),
    "images are the narrower pattern": (["d/a_im.tif", "d/b_im.tif"], ["d/a_x.tif", "d/b_x.tif"],
                                        "d/*_im.tif", "d", ["a_im", "b_im"]),
    "command line of cellpose": (["i/a.tif", "i/b.tif"], ["p/a_cp_masks.png", "p/b_cp_masks.png"],
                                 "i", "p", ["a", "b"]),
    "words add up": (["i/a_img.tif"], ["p/a_img_cp_masks.tif"], "i", "p", ["a_img"]),
    "seg beside the image": (["d/a.tif", "d/b.tif"], ["d/a_seg.npy", "d/b_seg.npy"], "d", "d",
                             ["a", "b"]),
    "capitals": (["i/A1.OME.TIF", "i/A2.ome.tif"], ["l/A1.TIFF", "l/A2_Labels.PNG"], "i", "l",
                 ["A1.OME", "A2"]),
    "words in front": (["i/img_1.tif", "i/img_2.tif"], ["l/mask-1.tif", "l/mask-2.tif"], "i", "l",
                       ["img_1", "img_2"]),
    "words before numbers": (["i/img001.tif"], ["l/Mask001.tif"], "i", "l", ["img001"]),
    "ilastik": (["i/a.tif"], ["l/a_Object Predictions.tiff"], "i", "l", ["a"]),
    "geojson after the whole name": (["i/a.tif", "i/b.tif"],
                                     ["g/a.tif.geojson", "g/b.tif.geojson"], "i", "g", ["a", "b"]),
    "words of the user's own": (["i/t01_c0.tif", "i/t02_c0.tif", "i/t10_c0.tif"],
                                ["l/t01_kerne.tif", "l/t02_kerne.tif", "l/t10_kerne.tif"], "i", "l",
                                ["t01_c0", "t02_c0", "t10_c0"]),
    "a folder per sample": (["d/s1/image.tif", "d/s2/image.tif"],
                            ["d/s1/mask.tif", "d/s2/mask.tif"], "d/*/image.tif", "d/*/mask.tif",
                            ["s1", "s2"]),
    "a single folder per sample": (["d/s1/image.tif"], ["d/s1/mask.tif"], "d/*/image.tif",
                                   "d/*/mask.tif", ["image"]),
    "two folders per sample": (["d/s1/i/x.tif", "d/s2/i/x.tif"], ["d/s1/l/y.tif", "d/s2/l/y.tif"],
                               "d/*/i/*", "d/*/l/*", ["s1-i", "s2-i"]),
    "several images per folder": (["d/s1/1.tif", "d/s1/2.tif", "d/s2/1.tif", "d/s2/2.tif"],
                                  ["l/s1/1.tif", "l/s1/2.tif", "l/s2/1.tif", "l/s2/2.tif"],
                                  "d/*/*", "l/*/*", ["s1-1", "s1-2", "s2-1", "s2-2"]),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_paired_right_and_what_was_decided_is_printed(tmp_path, capsys, layout):
    images, labels, image_pattern, label_pattern, names = LAYOUTS[layout]
    for value, (image, truth) in enumerate(zip(images, labels, strict=True), start=1):
        write(tmp_path / image, value)
        write(tmp_path / truth, value)
    found, remarks = items(tmp_path, image_pattern, label_pattern)
    assert [raw.name for raw in found] == names
    for raw in found:
        image, truth = raw.read()
        assert truth.max() == image[0, 0], raw.files
        assert raw.group == raw.name
    assert not remarks
    assert "paired by" in capsys.readouterr().err


def test_equal_names_need_no_word_and_keep_their_names(tmp_path, capsys):
    for name in ("a_img", "b", "C.OME"):
        write(tmp_path / "i" / f"{name}.tif", 1)
        write(tmp_path / "l" / f"{name}.tif", 1)
    assert [raw.name for raw in items(tmp_path, "i", "l")[0]] == ["C.OME", "a_img", "b"]
    assert capsys.readouterr().err == ""


def test_names_that_differ_are_not_paired_for_being_alone(tmp_path):
    write(tmp_path / "i" / "a.tif", 1)
    write(tmp_path / "l" / "b.tif", 1)
    with pytest.raises(DataError) as error:
        items(tmp_path, "i", "l")
    assert_names(str(error.value), "Without labels", "i/a.tif", "b.tif has no image")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["a_img.tif", "b_img.tif", "c_img.tif"], ["b_masks.tif"]),
        (["a.tif", "b.tif", "c.tif"], ["b_seg.npy"]),
        (["a/x.tif", "b/x.tif", "c/x.tif"], ["b/masks.tif"]),
        (["t01_c0.tif", "t02_c0.tif"], []),
    ],
)
def test_in_every_layout_that_tells_images_one_by_one_some_may_lack_labels(
    tmp_path, images, labels
):
    for name in images:
        write(tmp_path / "i" / name, 1)
    for name in labels:
        write(tmp_path / "i" / name, 7)
    pattern = "i/*/x.tif" if "/" in images[0] else "i"
    truth = {"a/x.tif": "i/*/masks.tif"}.get(images[0], "i" if labels else None)
    found, _ = items(tmp_path, pattern, truth)
    assert len(found) == len(images)
    assert [raw.labelled for raw in found] == [bool(labels) and "b" in raw.name for raw in found]
    for raw in found:
        truth_of_image = raw.read()[1]
        assert (truth_of_image is not None) == raw.labelled
        assert truth_of_image is None or truth_of_image.max() == 7


def test_two_labels_of_one_image_are_named(tmp_path):
    for name in ("a_masks.tif", "a_seg.npy"):
        write(tmp_path / "l" / name, 1)
    write(tmp_path / "i" / "a.tif", 1)
    with pytest.raises(DataError) as error:
        items(tmp_path, "i", "l")
    assert_names(str(error.value), "a_masks.tif", "a_seg.npy")


def test_a_group_is_searched_in_the_folders_where_names_are_equal(tmp_path):
    for sample in ("m1_a", "m1_b", "m2_a"):
        for name in ("image", "mask"):
            write(tmp_path / "d" / sample / f"{name}.tif", 1)
    found, _ = items(tmp_path, "d/*/image.tif", "d/*/mask.tif", group=r"(m\d)_")
    assert [raw.group for raw in found] == ["m1", "m1", "m2"]


def test_one_coco_file_has_the_labels_of_all_images(tmp_path):
    for value, name in enumerate(("a", "b"), start=1):
        write(tmp_path / "i" / f"{name}.tif", value)
    names = ["a.tif", "train\\b.tif", "elsewhere.tif"]
    images = [
        {"id": k, "file_name": n, "height": 8, "width": 9} for k, n in enumerate(names, start=1)
    ]
    annotations = [
        {"image_id": k, "segmentation": [[c, 0, c + 1, 0, c + 1, 1, c, 1]]}
        for k in (1, 2)
        for c in range(k)
    ]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    found, remarks = items(tmp_path, "i", "annotations.json")
    for raw in found:
        image, truth = raw.read()
        assert truth.max() == image[0, 0]
    assert [raw.name for raw in found] == ["a", "b"]
    assert "1, e.g. elsewhere.tif" in remarks["no_partner"]


# What is left out


def test_files_that_are_no_images_are_passed_over_and_counted(tmp_path):
    for place in ("i", "l"):
        write(tmp_path / place / "a.tif", 1)
        for name in ("Thumbs.db", "notes.txt", "more.txt", "README"):
            (tmp_path / place / name).write_text("x")
    found, remarks = items(tmp_path, "i", "l")
    assert len(found) == 1
    assert_names(remarks["passed_over"], "2 .txt", "1 .db", "1 no ending")


def test_a_folder_of_nothing_readable_says_what_is_in_it(tmp_path):
    write(tmp_path / "l" / "a.tif", 1)
    (tmp_path / "i").mkdir()
    (tmp_path / "i" / "a.bmp").write_text("x")
    with pytest.raises(UsageError) as error:
        items(tmp_path, "i", "l")
    assert_names(str(error.value), "data.images", "1 .bmp", ".tif", ".png")


@pytest.mark.parametrize(
    ("pattern", "name", "is_near"),
    [
        ("i/*.tif", "b.TIF", True),
        ("i/*.tif", "b.tiff", True),
        ("i/*.tif", "b.OME.TIF", True),
        ("i/*.ome.tif", "b.OME.TIF", True),
        ("i/*.TIF", "b.tif", True),
        ("i/*.jpg", "b.JPEG", True),
        ("i/*.tif", "b.png", False),
        ("i/a*.tif", "b.TIF", False),
        ("i/*.[tT][iI][fF]", "b.png", False),
    ],
)
def test_a_file_that_a_pattern_misses_by_its_ending_is_named(tmp_path, pattern, name, is_near):
    endings = {"i/*.ome.tif": "ome.tif", "i/*.TIF": "TIF", "i/*.jpg": "jpg"}
    ending = endings.get(pattern, "tif")
    for place in ("i", "l"):
        write(tmp_path / place / "a.tif", 1)
    if ending == "jpg":
        Pillow.new("L", (9, 8)).save(tmp_path / "i" / "a.jpg")
    elif ending != "tif":
        (tmp_path / "i" / "a.tif").rename(tmp_path / "i" / f"a.{ending}")
    (tmp_path / "i" / name).write_bytes(b"x")
    found, remarks = items(tmp_path, pattern, "l")
    assert len(found) == 1
    assert ("near_misses" in remarks) == is_near
    assert not is_near or name in remarks["near_misses"]


def test_labels_beside_the_images_are_no_near_misses(tmp_path):
    write(tmp_path / "d" / "a.tif", 1)
    write(tmp_path / "d" / "a.TIF", 1)
    assert items(tmp_path, "d/*.tif", "d/*.TIF")[1] == {}


def test_a_pattern_that_misses_everything_by_its_ending_says_so(tmp_path):
    for place in ("i", "l"):
        write(tmp_path / place / "a.TIF", 1)
    with pytest.raises(UsageError, match=r"a\.TIF"):
        items(tmp_path, "i/*.tif", "l")


def test_a_folder_of_folders_says_what_to_try(tmp_path):
    write(tmp_path / "d" / "s1" / "image.tif", 1)
    with pytest.raises(UsageError, match=r"d/\*/\*"):
        items(tmp_path, "d", "d")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


@pytest.mark.parametrize("place", ["i", "l"])
@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (None, "git annex get"),
        (POINTER, "git lfs pull"),
        ("/annex/objects/SHA256E-s9--00.tif\n", "git annex get"),
    ],
    ids=["link", "lfs", "annex"],
)
def test_what_was_not_fetched_is_a_failed_sample_with_the_command_that_fetches_it(
    tmp_path, place, content, remedy
):
    for folder in ("i", "l"):
        for name in ("a", "b"):
            write(tmp_path / folder / f"{name}.tif", 1)
    path = tmp_path / place / "b.tif"
    path.unlink()
    if content is None:
        path.symlink_to("../.git/annex/objects/xx")
    else:
        path.write_text(content)
    found, _ = items(tmp_path, "i/*.tif", "l/*.tif")
    assert [raw.name for raw in found] == ["a", "b"]
    found[0].read()
    with pytest.raises(DataError) as error:
        found[1].read()
    assert_names(str(error.value), path, remedy)


def test_a_folder_that_is_a_link_to_nothing_is_named(tmp_path):
    write(tmp_path / "l" / "a.tif", 1)
    (tmp_path / "i").symlink_to("nothing")
    with pytest.raises(UsageError, match=r"data\.images='i' is a link to nothing"):
        items(tmp_path, "i", "l")


def test_a_link_that_comes_to_life_changes_the_fingerprint(tmp_path):
    for folder in ("i", "l"):
        write(tmp_path / folder / "a.tif", 1)
    (tmp_path / "i" / "a.tif").rename(tmp_path / "x")
    (tmp_path / "i" / "a.tif").symlink_to("../y")
    source = FolderSource("i", "l", root=str(tmp_path))
    before = source.fingerprint()
    (tmp_path / "x").rename(tmp_path / "y")
    assert source.fingerprint() != before


# From end to end


def test_what_was_left_out_is_said_below_the_table_of_every_run(tmp_path):
    for folder in ("i", "l"):
        write(tmp_path / folder / "a.tif", 1)
    write(tmp_path / "i" / "b.TIF", 1)
    words = ("model=empty", "data=folder", "data.images=i/*.tif", "data.labels=l")
    for _ in range(2):
        done = main(tmp_path, *words)
        assert done.returncode == 0
        assert "b.TIF" in done.stdout


def test_a_run_of_cellpose_files_says_how_they_were_paired(tmp_path):
    for name in ("001", "002"):
        write(tmp_path / "d" / f"{name}_img.tif", 1)
        write(tmp_path / "d" / f"{name}_masks.tif", 1)
    words = ("model=empty", "data=folder", "data.images=d", "data.labels=d", "data.labels_are=ids")
    done = main(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert_names(done.stderr.replace("\n", " "), "001_img.tif with 001_masks.tif")
    assert read_image(next((tmp_path / "datasets").glob("*/*/[!.]*/images/001_img.tif"))).size


def test_one_link_to_nothing_fails_one_sample(tmp_path):
    for folder in ("i", "l"):
        for name in ("a", "b"):
            write(tmp_path / folder / f"{name}.tif", 1)
    (tmp_path / "i" / "b.tif").unlink()
    (tmp_path / "i" / "b.tif").symlink_to("nothing")
    words = ("model=empty", "data=folder", "data.images=i/*.tif", "data.labels=l")
    done = main(tmp_path, *words)
    assert done.returncode == 1
    assert_names(done.stderr.replace("\n", " "), "one image can't be used", "i/b.tif", "a link to")
    done = main(tmp_path, *words, "errors.max_failures=1")
    assert "partial (1 of 2" in done.stdout


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("nuclei/*.tif", "nuclei"),
        ("nuclei", "nuclei"),
        ("nuclei/images/*.tif", "nuclei"),
        ("nuclei/Test/IMAGES/", "nuclei"),
        ("nuclei/images/a.tif", "nuclei"),
        ("nuclei/**/*.tif", "nuclei"),
        ("./nuclei/../nuclei/images", "nuclei"),
        ("DSB/images/*.tif", "DSB_own"),
        ("absent/*.tif", "there"),
    ],
)
def test_images_are_called_by_their_folder(tmp_path, pattern, name):
    for folder in ("nuclei", "nuclei/images", "nuclei/Test/IMAGES", "DSB/images"):
        write(tmp_path / "there" / folder / "a.tif", 1)
    assert folder_name(pattern, str(tmp_path / "there"), ["dsb", "livecell"]) == name


def test_a_folder_whose_path_tells_nothing_is_called_folder():
    assert folder_name("/*.tif", None, []) == "folder"
