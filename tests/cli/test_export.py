"""`action=export` and `action=segment`: predictions under the names of their images."""

import csv
import json
import shlex
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from helpers.command_line import main
from helpers.runs import tree

from benchmark.data.prepared import MANIFEST, Manifest
from benchmark.data.sources.synthetic import draw
from benchmark.export.folder import LIST
from benchmark.store.store import RunStore

NAMES = ["Zelle ä 1", "b (2)", "c"]  # ids of samples have neither blanks, brackets nor umlauts
pytestmark = pytest.mark.usefixtures("blank_pictures")
WORDS = ("model=otsu", "data.images=x/*.tif", "data.labels=y/*.tif")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three images and their labels, segmented."""
    root = tmp_path_factory.mktemp("export")
    for folder in ("x", "y"):
        (root / folder).mkdir()
    for index, name in enumerate(NAMES):
        image, labels = draw("fluorescent_nuclei", index, 0, 64)
        tifffile.imwrite(root / "x" / f"{name}.tif", image)
        tifffile.imwrite(root / "y" / f"{name}.tif", labels.astype(np.uint16))
    done = main(root, *WORDS)
    assert done.returncode == 0, done.stderr
    return root


def export(root, *words):
    return main(root, "action=export", *WORDS, *words)


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != LIST)


def predictions(root):
    [store] = RunStore.all(root / "results" / "runs")
    [manifest] = root.glob(f"datasets/*/prepared/*/{MANIFEST}")
    original = {entry.id: entry.original for entry in Manifest.read(manifest.parent).entries}
    return {original[name]: store.prediction(record) for name, record in store.records().items()}


def test_label_images_have_the_names_of_their_images_and_are_the_stored_ones(run, tmp_path):
    done = export(run, f"output={tmp_path / 'masks'}")
    assert done.returncode == 0 and "3 samples exported as labels" in done.stdout
    expected = predictions(run)
    assert files(tmp_path / "masks") == sorted(f"{name}.tif" for name in NAMES)
    for name in NAMES:
        read = tifffile.imread(tmp_path / "masks" / f"{name}.tif")
        np.testing.assert_array_equal(read, expected[name])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't have such images")
def test_names_that_windows_forbids_are_noted_once(tmp_path):
    for name in ("CON", "a?", "b", "c:1"):
        image, labels = draw("fluorescent_nuclei", 0, 0, 64)
        for folder, content in (("x", image), ("y", labels.astype(np.uint16))):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", content)
    done = main(tmp_path, "action=segment", *WORDS, f"output={tmp_path / 'masks'}")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "masks") == ["CON.tif", "a?.tif", "b.tif", "c:1.tif"]
    (line,) = [line for line in done.stderr.splitlines() if "Windows" in line]
    assert line.startswith("3 x file with a name that Windows does not allow, e.g. 'CON.tif'")


@pytest.mark.parametrize("format, suffix", [
    ("labels", ".tif"), ("geojson", ".geojson"), ("roi", ".zip"), ("seg_npy", "_seg.npy"),
])  # fmt: skip
def test_each_format_writes_a_file_for_each_image(run, tmp_path, format, suffix):
    done = export(run, f"format={format}", f"output={tmp_path}", "limit=2")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path) == sorted(f"{name}{suffix}" for name in sorted(NAMES)[:2])


@pytest.mark.parametrize("format", ["labels", "geojson", "roi", "seg_npy"])
def test_exported_predictions_are_read_as_predictions_again(run, tmp_path, format):
    export(run, f"format={format}", f"output={tmp_path / 'masks'}")
    done = main(tmp_path, "model=precomputed", f"model.predictions={tmp_path / 'masks'}",
                f"data.images={run / 'x'}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    again, before = predictions(tmp_path), predictions(run)
    for name in NAMES:
        read, expected = again[name], before[name]
        if format == "roi":  # which has no holes; two objects may share them
            read = read * (expected > 0)
        np.testing.assert_array_equal(read, expected)


def test_cellpose_is_given_the_users_own_image(run, tmp_path):
    export(run, "format=seg_npy", f"output={tmp_path}")
    for name in NAMES:
        content = np.load(tmp_path / f"{name}_seg.npy", allow_pickle=True).item()
        assert content["filename"] == str(run / "x" / f"{name}.tif")


def test_cellpose_is_given_the_prepared_image_where_planes_are_chosen(tmp_path):
    (tmp_path / "x").mkdir()
    stack = np.random.default_rng(0).integers(0, 99, (2, 5, 32, 32), np.uint8)
    tifffile.imwrite(tmp_path / "x" / "a b.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    words = ("model=otsu", "data.images=x", "data.z=max", "data.use_channels=[1]")
    done = main(tmp_path, "action=segment", *words, "format=seg_npy", "output=masks")
    assert done.returncode == 0, done.stderr
    content = np.load(tmp_path / "masks" / "a b_seg.npy", allow_pickle=True).item()
    expected = stack[:, 1].max(axis=0)
    np.testing.assert_array_equal(tifffile.imread(content["filename"]), expected)


def test_the_tables_name_every_object_of_every_image(run, tmp_path):
    export(run, "format=csv", f"output={tmp_path}")
    with (tmp_path / "objects.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = {name: set(np.unique(labels)) - {0} for name, labels in predictions(run).items()}
    found = {name: {int(row["id"]) for row in rows if row["image"] == name} for name in NAMES}
    assert found == expected
    assert {row["outcome"] for row in rows} <= {"matched", "spurious", "split", "merged"}
    assert files(tmp_path) == ["objects.csv", "true_objects.csv"]


def exec_with(code, napari):
    """Run a command's code with a module in place of napari."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "napari", napari)
        exec(code, {})


def test_napari_gets_a_command_for_each_image_and_no_file_is_written(run):
    before = tree(run)
    done = export(run, "format=napari")
    assert done.returncode == 0, done.stderr
    commands = [shlex.split(line) for line in done.stdout.splitlines()]
    assert len(commands) == 3 and tree(run) == before
    stores = {store.path.name: store for store in RunStore.all(run / "results" / "runs")}
    shown = {}
    viewer = SimpleNamespace(
        add_image=lambda image, **options: shown.update({options["name"]: image}),
        add_labels=lambda labels, name: shown.update({name: labels}),
    )
    for (program, flag, code), name in zip(commands, sorted(NAMES), strict=True):
        assert (program, flag) == ("python", "-c")
        exec_with(code, SimpleNamespace(Viewer=lambda: viewer, run=lambda: None))
        np.testing.assert_array_equal(shown["image"], tifffile.imread(run / "x" / f"{name}.tif"))
        np.testing.assert_array_equal(shown["truth"], tifffile.imread(run / "y" / f"{name}.tif"))
        assert shown.keys() - {"image", "truth"} == {
            store for store, its in stores.items() if len(its.completed()) == 3
        }
        shown.clear()
    assert export(run, "format=napari", "output=masks").returncode == 2


def test_napari_shows_a_data_set_that_the_model_has_not_segmented(run):
    done = main(run, "action=export", "model=empty", *WORDS[1:], "format=napari", "limit=1")
    assert done.returncode == 0 and done.stdout.count("imread(") >= 3, "image, truth, and Otsu's"
    assert '"otsu-x-' in done.stdout and "empty" not in done.stdout


@pytest.mark.parametrize(
    "output", ["x", "y", "./x/../y", "results/runs", "results/runs/mine", "datasets", "datasets/a"]
)
def test_a_folder_that_is_read_or_kept_is_refused_as_output(run, output):
    before = tree(run)
    done = export(run, f"output={output}", "format=geojson")
    assert done.returncode == 2 and "Choose another output=" in done.stderr, done.stderr
    assert tree(run) == before


def test_a_folder_whose_files_would_be_read_the_next_time_is_refused(run):
    before = tree(run)
    words = ("model=otsu", "data.images=**/x*/*.tif", "data.labels=y")
    done = main(run, "action=segment", *words, "output=x/x2/masks")
    assert done.returncode == 0, done.stderr
    for path in (run / "x" / "x2" / "masks").iterdir():
        path.unlink()
    done = main(run, "action=segment", *words, "output=x/x2")
    assert done.returncode == 2 and "read as images" in done.stderr
    assert tree(run / "x") == {
        name[2:]: content for name, content in before.items() if name[:2] == "x/"
    }


def test_the_folder_of_predictions_made_elsewhere_is_refused(run, tmp_path):
    theirs = tmp_path / "theirs"
    export(run, f"output={theirs}")
    words = ("model=precomputed", f"model.predictions={theirs}/*.tif")
    data = (f"data.images={run / 'x'}", f"data.labels={run / 'y'}")
    done = main(tmp_path, "action=segment", *words, *data, f"output={theirs}")
    assert done.returncode == 2 and "read by model.predictions" in done.stderr


def test_files_of_the_user_are_never_replaced(run, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "c.tif").write_bytes(b"mine")
    for action in ("export", "segment"):
        done = main(run, f"action={action}", *WORDS, f"output={masks}")
        assert done.returncode == 1 and "c.tif" in done.stderr
        assert tree(masks) == {"c.tif": b"mine"}
    (masks / "c.tif").unlink()
    export(run, f"output={masks}")
    (masks / "c.tif").write_bytes(b"corrected by hand")
    done = export(run, f"output={masks}")
    assert done.returncode == 1 and "changed since" in done.stderr
    assert (masks / "c.tif").read_bytes() == b"corrected by hand"


def test_a_name_that_is_one_file_on_some_systems_is_refused_before_the_model_runs(tmp_path):
    (tmp_path / "x").mkdir()
    for name in ("Cell", "cell"):
        tifffile.imwrite(tmp_path / "x" / f"{name}.tif", np.ones((32, 32), np.uint8))
    (tmp_path / "y").mkdir()
    for name in ("Cell", "cell"):
        tifffile.imwrite(tmp_path / "y" / f"{name}.tif", np.eye(32, dtype=np.uint8))
    if len(files(tmp_path / "x")) < 2:
        pytest.skip("a file system that does not tell them apart")
    done = main(tmp_path, "action=segment", *WORDS, "output=masks")
    assert done.returncode == 2 and "Cell.tif and cell.tif" in done.stderr
    assert not (tmp_path / "masks").exists() and not (tmp_path / "results" / "runs").exists()


def test_without_predictions_or_output_the_command_says_what_to_do(run, tmp_path):
    done = main(run, "action=export", "model=empty", *WORDS[1:], f"output={tmp_path / 'masks'}")
    assert done.returncode == 2 and "Run it first" in done.stderr
    done = export(run)
    assert done.returncode == 2 and "output=<folder>" in done.stderr
    assert not (tmp_path / "masks").exists()


def test_samples_without_a_prediction_are_counted(run, tmp_path):
    shifted = ("model=otsu", "model.sigma=2.5", *WORDS[1:])
    assert main(run, *shifted, "limit=1").returncode == 0
    done = main(run, "action=export", *shifted, f"output={tmp_path}")
    assert done.returncode == 1 and len(files(tmp_path)) == 1
    assert "2 of 3 requested samples have no stored prediction" in done.stderr
    done = export(run, f"output={tmp_path}")
    assert done.returncode == 0 and "from other runs" not in done.stderr
    done = main(run, "action=export", *shifted, f"output={tmp_path}", "limit=1")
    assert done.returncode == 0 and "holds 2 files exported from other runs" in done.stderr


def test_a_prediction_that_is_damaged_is_left_out_and_named(run, tmp_path):
    [store] = [s for s in RunStore.all(run / "results" / "runs") if len(s.completed()) == 3][:1]
    path = store.path / "predictions" / "c.tif"
    content = path.read_bytes()
    path.write_bytes(b"damaged")
    try:
        done = export(run, f"output={tmp_path}")
    finally:
        path.write_bytes(content)
    assert done.returncode == 1 and "sample 'c' is not exported" in done.stderr
    assert files(tmp_path) == sorted(f"{name}.tif" for name in NAMES if name != "c")


def test_segment_predicts_and_exports(tmp_path, run):
    done = main(tmp_path, "action=segment", "model=otsu", f"data.images={run / 'x'}",
                f"data.labels={run / 'y'}", "output=masks/", "format=geojson")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "data=folder" in done.stderr and "mSA" in done.stdout
    for name in NAMES:
        content = json.loads((tmp_path / "masks" / f"{name}.geojson").read_text())
        assert content["type"] == "FeatureCollection"


def test_segment_needs_no_labels(tmp_path, run):
    done = main(
        tmp_path, "action=segment", "model=otsu", f"data.images={run / 'x'}", "output=masks"
    )
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "masks") == sorted(f"{name}.tif" for name in NAMES)
    done = main(tmp_path, "action=export", "model=otsu", f"data.images={run / 'x'}", "format=csv",
                "output=tables")  # fmt: skip
    assert done.returncode == 0 and files(tmp_path / "tables") == ["objects.csv"]


@pytest.mark.parametrize("words", [
    ["action=export", "format=png"], ["action=segment", "format=html"], ["format=labels"],
    ["output=masks"], ["action=report", "format=labels"],
])  # fmt: skip
def test_a_format_or_an_output_that_an_action_does_not_have_is_refused(run, words):
    done = main(run, *WORDS, *words)
    assert done.returncode == 2 and "action=" in done.stderr, done.stderr


@pytest.mark.parametrize("words, said", [
    (["data.images=x/*.tif"], True),
    (["+data.images=x/*.tif"], True),
    (["data=folder", "data.images=x/*.tif"], False),
    (["data=u20s"], False),
])  # fmt: skip
def test_images_without_a_data_set_are_those_of_a_folder(run, words, said):
    done = main(run, "action=check", "model=otsu", "data.labels=y/*.tif", *words)
    assert ("data=folder, as" in done.stderr) == said
    assert (done.returncode == 0) == ("data=u20s" not in words), done.stderr


def test_jobs_of_a_sweep_do_not_export_into_one_folder(run):
    words = ("-m", "action=export", "model=otsu,empty", "data=folder", *WORDS[1:])
    done = main(run, *words, "output=masks")
    assert done.returncode == 2 and "${model.name}" in done.stderr, done.stderr
    done = main(run, *words, "output=masks/${model.name}")
    assert files(run / "masks" / "otsu") == sorted(f"{name}.tif" for name in NAMES)
    assert done.returncode == 1 and "1 done, 1 failed" in done.stderr, "the other has not run"
