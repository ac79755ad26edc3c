"""Predictions made elsewhere find their images by name, whatever the names are."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.command_line import main
from helpers.messages import assert_names
from PIL import Image as Pillow

from benchmark.data.sources.layouts import stem_of
from benchmark.errors import DataError, ModelError, UsageError
from benchmark.store.names import hashed_name, safe_names
from benchmark.types import Sample, check_labels
from models.precomputed import Precomputed

HOSTILE = [
    "[red]",
    "a&b_%",
    "<img src=x>",
    "A",
    "a",
    "CON",
    "nul.txt",
    "=1+1",
    "-rf",
    "x" * 245,
    "zélle",
    "a\nb",
    "\x1b[31m",
    "{x}",
    "a b'\"$(true)",
    "..x",
    hashed_name("[red]"),
    os.fsdecode(b"\xff\xfe"),
]


def write(path, value, shape=(8, 9)):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.full(shape, value, np.uint16))
    return path


def ask(model, sample):
    image = np.zeros((8, 9), np.uint8)
    model.attend(Sample(sample, image, image, "group"))
    return model.predict(image)


def test_a_prediction_is_found_by_name_not_by_order(tmp_path):
    for value, name in enumerate(("b", "a", "c"), start=1):
        write(tmp_path / f"{name}.tif", value)
    model = Precomputed(str(tmp_path))
    assert [ask(model, name)[0, 0] for name in ("a", "b", "c", "a")] == [2, 1, 3, 2]


def test_hostile_names_are_found_by_what_preparation_made_of_them(tmp_path):
    for value, name in enumerate(HOSTILE, start=1):
        write(tmp_path / f"{name}.tif", value)
    model = Precomputed(str(tmp_path / "*"))
    hidden = {"..x"}  # a leading dot hides a file from patterns
    stems = {name: stem_of(Path(f"{name}.tif")) for name in HOSTILE if name not in hidden}
    safe = safe_names(stems.values())
    for value, name in enumerate(HOSTILE, start=1):
        if name not in hidden:
            assert ask(model, safe[stems[name]])[0, 0] == value


def test_neighbours_of_a_prediction_do_not_hide_it(tmp_path):
    """Names that differ in case get a hash, and the two sides may hold different neighbours."""
    write(tmp_path / "cell.tif", 1)
    assert ask(Precomputed(str(tmp_path)), hashed_name("cell"))[0, 0] == 1
    write(tmp_path / "Cell.tif", 2)
    both = Precomputed(str(tmp_path))
    assert [ask(both, name)[0, 0] for name in ("cell", "Cell")] == [1, 2]
    assert [ask(both, hashed_name(name))[0, 0] for name in ("cell", "Cell")] == [1, 2]


def test_a_prediction_may_be_called_by_the_sample_itself(tmp_path):
    sample = hashed_name("[red]") + "_r0c0"  # a tile's
    write(tmp_path / f"{sample}.tif", 7)
    assert ask(Precomputed(str(tmp_path)), sample)[0, 0] == 7


def test_a_missing_prediction_is_named_with_the_remedy(tmp_path):
    write(tmp_path / "a.tif", 1)
    with pytest.raises(ModelError) as error:
        ask(Precomputed(str(tmp_path)), "b")
    assert_names(str(error.value), f"model.predictions='{tmp_path}'", "sample 'b'", "b.tif")


def test_no_predictions_and_two_of_one_name_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"model.predictions='.*'"):
        Precomputed(str(tmp_path / "*.tif"))
    write(tmp_path / "a.tif", 1)
    write(tmp_path / "a.tiff", 1)
    with pytest.raises(DataError, match=r"model.predictions: .*a\.tif"):
        Precomputed(str(tmp_path))


def test_a_damaged_prediction_is_named(tmp_path):
    path = write(tmp_path / "a.tif", 1)
    path.write_bytes(path.read_bytes()[:-1])
    model = Precomputed(str(tmp_path))
    with pytest.raises(DataError, match=r"a.tif: can't be read"):
        ask(model, "a")


@pytest.mark.parametrize("content", [b"", b"garbage", None], ids=["empty", "garbage", "link"])
def test_a_prediction_that_cant_be_read_fails_its_sample_alone(tmp_path, content):
    write(tmp_path / "a.tif", 1)
    if content is None:
        (tmp_path / "b.tif").symlink_to("nothing")
    else:
        (tmp_path / "b.tif").write_bytes(content)
    model = Precomputed(str(tmp_path))
    assert ask(model, "a")[0, 0] == 1
    with pytest.raises(DataError, match=r"b\.tif"):
        ask(model, "b")
    before = Precomputed.identity({"predictions": str(tmp_path)})
    (tmp_path / "b.tif").unlink()
    write(tmp_path / "b.tif", 1)
    after = Precomputed.identity({"predictions": str(tmp_path)})
    assert after["a"] == before["a"] and after["b"] != before["b"]


NAMED = {
    "a": ["a_cp_masks.png", "a_masks.tif", "a_seg.npy", "a.geojson", "a.tif.geojson", "A.x/a.tif",
          "RoiSet_a.zip", "a.ome.tif"],
    "a_img": ["a_img.tif", "a_masks.tif", "a_img_cp_masks.png", "a_img_seg.npy"],
    "a b": ["a b.tif", "a b_cp_masks.png"],
}  # fmt: skip


def store(path, labels):
    """Write labels in the format of a file's name."""
    path.parent.mkdir(exist_ok=True, parents=True)
    suffix = path.suffix
    if suffix == ".png":
        Pillow.fromarray(labels.astype(np.uint8)).save(path)
    elif suffix == ".npy":
        np.save(path, {"masks": labels})
    elif suffix == ".tif":
        tifffile.imwrite(path, labels)
    else:
        rows, columns = np.nonzero(labels)
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        ring = [[int(x), int(y)] for x, y in ring]
        if suffix == ".zip":
            roifile = pytest.importorskip("roifile")
            roifile.roiwrite(path, [roifile.ImagejRoi.frompoints(ring[:-1])])
        else:
            geometry = {"type": "Polygon", "coordinates": [ring]}
            path.write_text(json.dumps([{"type": "Feature", "geometry": geometry}]))


@pytest.mark.parametrize(
    ("sample", "name"), [(sample, name) for sample, names in NAMED.items() for name in names]
)
def test_a_prediction_is_found_in_every_format_and_name_that_labels_have(tmp_path, sample, name):
    labels = np.zeros((8, 9), np.uint16)
    labels[2:5, 1:7] = 1
    store(tmp_path / name, labels)
    (tmp_path / "notes.txt").write_text("x")
    model = Precomputed(str(tmp_path / "*/*.tif" if "/" in name else tmp_path))
    np.testing.assert_array_equal(ask(model, safe_names([sample])[sample]), labels)


def test_predictions_in_a_folder_per_sample_are_found_by_folder(tmp_path):
    for value, sample in enumerate(("s1", "s2"), start=1):
        write(tmp_path / sample / "masks.tif", value)
    model = Precomputed(str(tmp_path / "*" / "masks.tif"))
    assert [ask(model, sample)[0, 0] for sample in ("s2", "s1")] == [2, 1]


def test_several_predictions_for_one_sample_fail_it_by_name(tmp_path):
    write(tmp_path / "a_masks.tif", 1)
    write(tmp_path / "a_seg.tif", 2)
    model = Precomputed(str(tmp_path))
    with pytest.raises(ModelError) as error:
        ask(model, "a")
    assert_names(str(error.value), "a_masks.tif", "a_seg.tif", "'a'")
    assert ask(model, "a_seg")[0, 0] == 2  # named as it is


def test_an_image_beside_its_prediction_is_not_taken_for_it(tmp_path):
    image = np.arange(72, dtype=np.uint8).reshape(8, 9)
    tifffile.imwrite(tmp_path / "a.tif", image)
    write(tmp_path / "a_cp_masks.tif", 5)
    model = Precomputed(str(tmp_path))
    assert asked(model, image)[0, 0] == 5
    assert asked(model, image + 1)[0, 1] == 1  # a.tif is another array: named as the sample


def test_a_mask_is_no_prediction_unless_it_is_called_so(tmp_path, capsys):
    labels = np.zeros((30, 30), np.uint8)
    for start in (2, 9, 16, 23):
        labels[start : start + 5, 3:9] = 255
    tifffile.imwrite(tmp_path / "a.tif", labels)
    image = np.zeros((30, 30), np.uint8)
    plain = {"predictions": str(tmp_path)}
    with pytest.raises(DataError, match=r"model\.labels_are=mask"):
        asked(Precomputed(**plain), image)
    as_mask = plain | {"labels_are": "mask", "background": 0}
    assert asked(Precomputed(**as_mask), image).max() == 4
    as_before = plain | {"labels_are": None, "background": 0}
    assert Precomputed.identity(as_before) == Precomputed.identity(plain)
    assert Precomputed.identity(as_mask) != Precomputed.identity(plain)
    tifffile.imwrite(tmp_path / "a.tif", labels // 255 * np.arange(1, 31, dtype=np.uint8) % 3)
    asked(Precomputed(**plain), image)
    assert_names(capsys.readouterr().err, "id 1 has 8 parts", "model.labels_are=mask")


def asked(model, image):
    model.attend(Sample("a", image, image, "group"))
    return model.predict(image)


def test_a_prediction_of_another_shape_comes_as_far_as_the_border(tmp_path):
    write(tmp_path / "a.tif", 1, shape=(9, 8))
    image = np.zeros((8, 9), np.uint8)
    with pytest.raises(ModelError, match=r"'m', sample 'a': predict returned .*\(9, 8\).*8 x 9"):
        check_labels(ask(Precomputed(str(tmp_path)), "a"), image, model="m", of="sample 'a'")


def test_the_identity_is_what_is_predicted_not_where_it_lies(tmp_path):
    def identity(folder):
        return json.dumps(Precomputed.identity({"predictions": str(tmp_path / folder)}))

    for value, name in enumerate(("a", "b"), start=1):
        write(tmp_path / "x" / f"{name}.tif", value)
    first = identity("x")
    shutil.copytree(tmp_path / "x", tmp_path / "y")
    assert identity("y") == identity("y/*.tif") == first
    tifffile.imwrite(  # another file, of the same labels
        tmp_path / "y" / "b.tiff", np.full((8, 9), 2, np.uint16), compression="zlib"
    )
    (tmp_path / "y" / "b.tif").unlink()
    assert identity("y") == first
    changed = np.full((8, 9), 2, np.uint16)
    changed[-1, -1] = 3
    tifffile.imwrite(tmp_path / "y" / "b.tiff", changed)
    assert identity("y") != first
    (tmp_path / "x" / "b.tif").rename(tmp_path / "x" / "c.tif")
    assert identity("x") != first


def run(tmp_path, *words):
    given = ("data.images=i", "data.labels=l", "model.predictions=p")
    return main(tmp_path, "model=precomputed", "data=folder", *given, *words)


def test_from_end_to_end_hostile_names_score_one_where_predictions_are_the_truth(tmp_path):
    names = [name for name in HOSTILE if not name.startswith(".")]
    for value, name in enumerate(names, start=1):
        labels = np.zeros((32, 32), np.uint32)
        labels[2 : 4 + value % 7, 3:9] = value
        labels[14:, 20:] = 2**31 + value
        for kind in "ilp":
            (tmp_path / kind).mkdir(exist_ok=True)
            pixels = labels.astype(np.uint8) if kind == "i" else labels
            tifffile.imwrite(tmp_path / kind / f"{name}.tif", pixels)
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    (scores,) = (tmp_path / "results" / "runs").glob("*/scores/*/*.jsonl")
    rows = [json.loads(line) for line in scores.read_text().splitlines()]
    assert len(rows) == len(names)
    assert {row["metrics"]["msa"] for row in rows} == {1.0}
    # A prediction the less: one clear error, and exit status 1.
    (tmp_path / "p" / "a&b_%.tif").unlink()
    done = run(tmp_path)
    assert done.returncode == 1
    assert "sample 'a_b__-" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
