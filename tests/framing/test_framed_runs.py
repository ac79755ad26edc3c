"""Runs whose images are tiled or scaled: their identity, records, names and tables."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.command_line import main
from helpers.files import tiff
from helpers.runs import do, drawn, environment, make_job

from benchmark.data.sources.synthetic import draw
from benchmark.errors import UsageError
from benchmark.framing.framed import Framed
from benchmark.settings import Action
from benchmark.store.identity import run_id
from benchmark.store.store import RunStore
from benchmark.sweeps.state import StoredRuns

SHRINKING = "helpers.segmenters.Shrinking"
OWN_TILE = "helpers.segmenters.OwnTile"
OTSU = "models.otsu.OtsuWatershed"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("framed")


def of_study(job):
    """The same on a data set of this repository, as far as its name goes."""
    data = {**job.settings.data, "name": "livecell"}
    return make_job_of(job, data=data)


def make_job_of(job, **changes):
    return replace(job, settings=replace(job.settings, **changes))


@pytest.mark.parametrize(
    "changes", [{"tile": "off"}, {"tile": None}, {"tile": [64, 64], "halo": [9, 9]}, {"rescale": 1}]
)
def test_what_changes_no_image_is_no_part_of_a_run_id(root, changes):
    plain = make_job(root, target=OTSU)
    job = make_job(root, target=OTSU, **changes)
    assert job.identity == plain.identity and "framing" not in plain.identity
    assert job.describe()["model"] == plain.model_name == "traced"
    assert not isinstance(job.load_model(), Framed)


def test_tiles_and_scale_that_act_are_a_part_of_it(root):
    plain = make_job(root, target=OTSU).identity
    changes = (
        {"tile": [32, 32]},
        {"tile": [32, 32], "halo": [8, 8]},
        {"tile": [32, 16]},
        {"rescale": 0.5},
    )
    found = [make_job(root, target=OTSU, **each).identity for each in changes]
    assert len({run_id(each) for each in (plain, *found)}) == 1 + len(changes)
    for each in found:
        assert {k: v for k, v in each.items() if k != "framing"} == plain
    assert found[1]["framing"] == {"tile": [32, 32], "halo": [8, 8]}
    assert found[0]["framing"] == {"tile": [32, 32], "halo": [4, 4]}
    assert found[3]["framing"] == {"rescale": 0.5}


def test_auto_acts_on_large_images_of_ones_own_and_is_off_on_those_of_the_study(root):
    own = make_job(root, target=SHRINKING)
    assert own.identity["framing"] == {"tile": [15, 15], "halo": [1, 1], "beyond": 60}
    assert own.describe()["model"] == "traced (tile=auto)"
    assert make_job(root, target=SHRINKING, tile="off").framing.in_identity == {}
    assert "framing" not in of_study(own).identity
    asked = of_study(make_job(root, target=SHRINKING, tile="auto"))
    assert asked.identity["framing"] == own.identity["framing"]


def test_images_of_ones_own_are_so_whatever_they_are_called(root):
    job = of_study(make_job(root, target=SHRINKING))
    data = {**job.settings.data, "images": "*.tif"}
    assert make_job_of(job, data=data).framing_request.tile == "auto"


def test_auto_does_not_depend_on_the_limit(root):
    [one, other] = (make_job(root, target=SHRINKING, limit=limit) for limit in (1, None))
    assert run_id(one.identity) == run_id(other.identity)


def test_auto_never_tiles_for_a_model_that_scales_no_image(root):
    assert "framing" not in make_job(root, target=OTSU, tile="auto").identity


def test_records_and_names_say_what_was_done(root):
    job = make_job(root, target=SHRINKING, tile=[32, 32], halo=[8, 8], rescale=1.5)
    assert do(job).complete
    for record in job.store.records().values():
        assert record.details == {
            "tiled": {"tile": [32, 32], "halo": [8, 8]},
            "rescaled": [96, 96],
        }
    name = "traced (tile=[32,32], halo=[8,8], rescale=1.5)"
    assert job.describe()["model"] == name == job.model_name


def test_an_image_that_the_model_shrinks_is_recorded(root):
    job = make_job(root, target=SHRINKING, tile="off")
    assert do(job).complete
    assert {r.details["shrunk"] for r in job.store.records().values()} == {2.13}


def test_a_parameter_of_the_adapter_by_the_same_name_is_the_adapters(root):
    job = make_job(root, target="helpers.segmenters.OwnTile", tile=9, rescale=0.5)
    assert job.parameters == {"tile": 9} and job.identity["parameters"] == {"tile": 9}
    assert job.identity["framing"] == {"rescale": 0.5}
    assert job.framing_request.tile == "auto"


@pytest.mark.parametrize("changes", [{"tile": [32, 32]}, {"rescale": 0.5}])
def test_a_model_that_is_given_more_than_images_is_not_tiled(root, changes):
    job = make_job(root, target="models.controls.Oracle", **changes)
    with pytest.raises(UsageError, match=f"model.{next(iter(changes))}"):
        job.check_ready()
    auto = make_job(root, target="models.controls.Oracle", tile="auto")
    assert auto.identity == make_job(root, target="models.controls.Oracle").identity


def test_a_diameter_scales_by_the_labelled_validation_images(root):
    data = drawn(val_per_style=1, size=96)
    job = make_job(root / "val", target=OTSU, data=data, rescale={"diameter": 10})
    plain = make_job(root / "val", target=OTSU, data=data)
    areas = [
        np.unique(labels, return_counts=True)[1][1:]
        for labels in map(plain.of_split("val").data.truth, plain.of_split("val").data.entries)
    ]
    median = np.median(2 * np.sqrt(np.concatenate(areas) / np.pi))
    assert job.framing.rescale == pytest.approx(10 / median, rel=0.01)
    assert job.identity["framing"] == {"rescale": job.framing.rescale}
    assert job.describe()["model"] == f"traced (rescale={job.framing.rescale:g})"
    assert job.model_name == "traced (rescale={diameter:10})"
    by_hand = make_job(root / "val", target=OTSU, data=data, rescale=job.framing.rescale)
    assert run_id(by_hand.identity) == run_id(job.identity)


def test_a_diameter_without_labelled_validation_images_is_one_message(root):
    data = drawn(val_per_style=0)
    job = make_job(root, target=OTSU, data=data, rescale={"diameter": 10})
    with pytest.raises(UsageError, match=r"model.rescale=0.5"):
        _ = job.identity


def test_the_status_of_a_tiled_run_is_found_by_what_it_is(tmp_path):
    root = tmp_path  # no other run of the model
    job = make_job(root, target=SHRINKING)
    assert do(job).complete
    states = StoredRuns(job.runs, 1)
    assert states.of_job(make_job(root, target=SHRINKING)).is_complete
    assert states.of_job(job).model == "traced (tile=auto)"
    asked = make_job_of(make_job(root, target=SHRINKING), action=Action.status)
    assert asked.not_imported == (SHRINKING,)
    assert states.of_job(asked).done == 4
    gone = make_job_of(asked, datasets=str(root / "nowhere"))
    assert states.of_job(gone).done == 4
    tiled = make_job_of(
        make_job(root, target=SHRINKING, tile=[8, 8]), datasets=str(root / "nowhere")
    )
    assert states.of_job(tiled).done == 0


@pytest.mark.parametrize("value", [5, [8, 8]])  # no tile, and what might be one
def test_the_runs_of_a_class_that_is_not_imported_and_has_a_parameter_tile_are_found(
    tmp_path, value
):
    job = make_job(tmp_path, target=OWN_TILE, tile=value)
    assert do(job).complete
    asked = make_job_of(make_job(tmp_path, target=OWN_TILE, tile=value), action=Action.plan)
    assert asked.not_imported == (OWN_TILE,)
    assert StoredRuns(job.runs, 1).of_job(asked).done == 4
    other = make_job_of(make_job(tmp_path, target=OWN_TILE, tile=[9, 9]), action=Action.plan)
    assert StoredRuns(job.runs, 1).of_job(other).done == 0


def test_a_sweep_keeps_the_model_where_tiles_alone_differ(root):
    def inner(job):
        model = job.load_model()
        return model._segmenter if isinstance(model, Framed) else model

    one, other = (make_job(root, target=SHRINKING, tile=tile) for tile in ("off", [32, 32]))
    assert isinstance(other.load_model(), Framed) and inner(one) is inner(other)


@pytest.fixture
def folder(tmp_path):
    """Two images of one's own, one of them large for a model of 30 pixels; and a model's YAML."""
    for kind in ("i", "l"):
        (tmp_path / kind).mkdir()
    image, labels = draw("fluorescent_nuclei", 0, seed=0, size=96)
    for name, size in (("small", 48), ("large", 96)):
        tiff(tmp_path / "i" / f"{name}.tif", image[:size, :size])
        tiff(tmp_path / "l" / f"{name}.tif", labels[:size, :size].astype("u2"))
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "shrinking.yaml").write_text(
        "# Scales images to 30 pixels\nname: shrinking\n_target_: helpers.segmenters.Shrinking\n"
        "level: 1.0\n"
    )
    return tmp_path


def run(folder, *words, model="shrinking"):
    sweep = ["-m"] if "-m" in words else []
    words = (word for word in words if word != "-m")
    return main(
        folder, *sweep, "--config-dir", "own", f"model={model}", "data=folder", "data.images=i",
        "data.labels=l", *words, PYTHONPATH=environment()["PYTHONPATH"],
    )  # fmt: skip


def test_a_large_image_of_ones_own_is_tiled_and_the_table_says_so(folder):
    done = run(folder)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "shrinking (tile=auto)" in text and "warning" not in done.stderr
    assert "1 of 2 images was predicted in tiles of 15 x 15 pixels with a halo of 1 x 1" in text
    [store] = RunStore.all(folder / "results" / "runs")
    assert sorted("tiled" in r.details for r in store.records().values()) == [False, True]


def test_off_warns_once_and_the_table_says_so(folder):
    done = run(folder, "model.tile=off")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: 1 of 2 images has more than 60 pixels") == 1
    text = " ".join(done.stdout.split())
    assert "1 of 2 images was shrunk by the model, by up to 3.2" in text
    assert "tile=" not in text.replace("model.tile=auto", "")


def test_tiles_and_scale_are_given_to_any_model(folder):
    words = ("model.tile=[40,40]", "model.halo=[12,12]", "model.rescale=0.75")
    done = run(folder, *words, model="otsu")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "tile=[40,40], halo=[12,12], rescale=0.75" in text
    assert "2 of 2 images were scaled before prediction." in text


def test_a_yaml_of_ones_own_may_say_it(folder):
    path = folder / "own" / "model" / "shrinking.yaml"
    path.write_text(path.read_text() + "tile: off\nrescale: 0.5\n")
    done = run(folder)
    assert done.returncode == 0 and "rescale=0.5" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.tile=512"], "model.tile is 512; it must be auto, off or two whole numbers"),
        (["model.tile=[512]"], "model.tile is [512]"),
        (["model.tile=[0,512]"], "model.tile is [0, 512]"),
        (["model.tile=on"], "model.tile is"),
        (["model.tile=[64,64]", "model.halo=[65,65]"], "larger than the tile"),
        (["model.tile=off", "model.halo=[8,8]"], "no image is tiled"),
        (["model.rescale=half"], "model.rescale is 'half'"),
        (["model.rescale=-1"], "model.rescale is -1"),
        (["model.rescale={diameter:30}"], "images of your own do not have"),
        (["model.tiel=[64,64]"], "Did you mean 'model.tile'?"),
        (["model.hallo=[64,64]"], "Did you mean 'model.halo'?"),
    ],
)
def test_a_mistake_is_one_message_before_anything_is_done(folder, words, message):
    done = run(folder, *words)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "results" / "runs").exists()


def test_a_nested_model_is_not_tiled_by_itself(folder):
    done = run(folder, "model.source_options={tile:[64,64]}", model="otsu_demo")
    assert done.returncode == 2 and "model.source_options.tile can't be set" in done.stderr


def test_a_sweep_varies_tiles(folder):
    done = run(folder, "-m", "model.tile=off,[32,32]", model="otsu")
    assert done.returncode == 0, done.stderr
    names = {store.describe()["model"] for store in RunStore.all(folder / "results" / "runs")}
    assert names == {"otsu", "otsu (tile=[32,32], halo=[4,4])"}


def test_hydra_shows_them(folder):
    done = run(folder, "model.tile=[32,32]", "--cfg", "job", model="otsu")
    assert done.returncode == 0 and "tile:" in done.stdout, done.stderr


def test_stages_of_a_tiled_image_are_refused(folder):
    pytest.importorskip("micro_sam")
    done = run(folder, "model.tile=[64,64]", "action=account", model="demo_apg")
    assert done.returncode == 2 and "model.tile=off" in done.stderr


def test_a_tuned_model_keeps_its_tiles(folder):
    done = run(
        folder, "action=tune", "tune.grid={level:[1.0,1.5]}", "model.tile=[32,32]",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [path] = (folder / "results" / "tuning").glob("*/*/model/*.yaml")
    assert "tile" in path.read_text()
    refused = run(folder, "action=tune", "tune.grid={rescale:[0.5,1.0]}")
    assert refused.returncode == 2 and "'rescale'; it can name: level" in refused.stderr
