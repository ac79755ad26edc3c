"""model=prompted on the command line: the nested source, its identity, its names, its faults."""

import importlib
from unittest import mock

import numpy as np
import pytest
import tifffile
from helpers import command_line
from helpers.runs import HELPERS

from benchmark.errors import SkippedError, UsageError
from benchmark.store.identity import comparable
from benchmark.store.store import RunStore
from benchmark.types import Sample

BASE = ("model=prompted", "model.weights=demo", "data=nuclei_demo", "device=cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("prompted")


def job(root, *words, base=BASE):
    """The job of a command line, not done."""
    jobs = []

    def perform(one):
        assert isinstance(one.nested, dict)  # composed while the command line is there
        jobs.append(one)
        return 0

    action = importlib.import_module("benchmark.actions.run")
    with mock.patch.object(action, "perform", perform):
        done = command_line.main(root, *base, *words)
    assert done.returncode == 0, done.stderr
    return jobs[0]


def test_the_identity_holds_the_whole_identity_of_the_source(root):
    made = job(root, "model.source=otsu")
    source = made.identity["parameters"]["source"]
    alone = job(root, base=("model=otsu", *BASE[2:])).identity
    assert source == {key: alone[key] for key in ("target", "parameters", "version", "libraries")}
    assert made.identity["target"] == "models.prompted.Prompted"
    assert "source_options" not in made.identity["parameters"]
    weights = job(root, "model.source=demo_ais").identity["parameters"]["source"]["parameters"]
    assert weights["weights"] == dict(made.weights.digests)


DISTINCT = [
    (),
    ("model.source=otsu", "model.source_options={sigma:2}"),
    ("model.source=demo_ais",),
    ("model.source=demo_ais", "model.prompts=boxes"),
    ("model.source=truth",),
    ("model.source=grid",),
    ("model.source=grid", "model.source_options={points_per_side:8}"),
    ("model.masks=sam", "model.weights={file}"),
]


def test_jobs_of_other_sources_prompts_or_masks_have_names_and_run_ids_of_their_own(root, tmp_path):
    file = tmp_path / "sam.pt"
    file.write_bytes(b"weights")
    jobs = [job(root, *(word.replace("{file}", str(file)) for word in words)) for words in DISTINCT]
    assert len({one.describe()["run_id"] for one in jobs}) == len(DISTINCT)
    names = [one.model_name for one in jobs]
    assert len(set(names)) == len(DISTINCT)
    assert names[1] == "prompted (source=otsu, source_options={sigma:2}, demo)"
    again = job(root, "model.source=otsu", "model.source_options={sigma:0.5}")
    assert again.describe()["run_id"] == jobs[0].describe()["run_id"], "the source's default"


def test_the_truth_as_source_makes_the_whole_a_control_that_sees_it(root):
    truth = job(root, "model.source=truth")
    assert truth.info.sees_truth and truth.describe()["control"]
    assert truth.identity["labels"] == truth.data.labels_digest()
    otsu = job(root, "model.source=otsu")
    assert not otsu.info.sees_truth and otsu.identity["labels"] is None
    assert truth.attends and not otsu.attends


def test_a_ready_pair_is_the_same_run_as_its_words(root):
    ready = job(root, base=("model=ais_demo_boxes", *BASE[2:]))
    words = job(root, "model.source=demo_ais", "model.prompts=boxes")
    assert ready.identity == words.identity and ready.model_name == "ais_demo_boxes"


def predictions(root):
    folder = root / "labels"
    folder.mkdir(exist_ok=True)
    for place in ("r0c0", "r0c1", "r1c0", "r1c1"):
        labels = np.zeros((256, 256), np.uint16)
        labels[20:60, 30:90] = 1
        tifffile.imwrite(folder / f"dsb2018_nuclei_{place}.tif", labels)
    return folder


def test_a_folder_counts_by_its_label_images_wherever_it_lies(root, tmp_path):
    pytest.importorskip("micro_sam")
    options = "model.source_options={{predictions:{}}}".format
    made = [
        job(root, "model.source=folder", options(predictions(place))) for place in (root, tmp_path)
    ]
    assert made[0].identity == made[1].identity
    assert str(root) not in made[0].model_name, "a name does not contain a place"
    tifffile.imwrite(tmp_path / "labels" / "dsb2018_nuclei_r0c0.tif", np.eye(256, dtype=np.uint16))
    changed = job(root, "model.source=folder", options(tmp_path / "labels"))
    assert changed.identity != made[0].identity
    model = made[0].load_model()
    entry = made[0].data.entries[0]
    model.attend(Sample(entry.id, np.zeros((256, 256), np.uint8), None, "a"))
    stages = model.segment_stages(np.zeros((256, 256), np.uint8))
    assert len(stages.prompts) == 1


def test_a_stored_run_is_a_source_by_its_identity(root):
    pytest.importorskip("micro_sam")
    words = ("model=otsu", "data=nuclei_demo", "limit=1", "device=cpu")
    assert command_line.main(root, *words).returncode == 0
    [run] = (root / "results" / "runs").glob("otsu-nuclei_demo-*")
    made = job(root, "model.source=run", f"model.source_options={{run:{run}}}")
    stored = RunStore(run).describe()["identity"]
    assert made.identity["parameters"]["source"]["parameters"] == {"run": stored}
    assert run.name in made.model_name and str(root) not in made.model_name
    model = made.load_model()
    for entry, reason in ((made.data.entries[0], None), (made.data.entries[1], "no prediction")):
        sample = made.data.read(entry)
        model.attend(sample)
        if reason is None:
            source = model._source.predict(sample.image)
            otsu = job(root, base=words).load_model().predict(sample.image)
            assert np.array_equal(source, otsu)
        else:
            with pytest.raises(Exception, match=reason):
                model.predict(sample.image)
    with pytest.raises(UsageError, match="not the folder of a stored run"):
        _ = job(root, "model.source=run", "model.source_options={run:nowhere}").identity


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model.source=ots",), "Did you mean 'otsu'?"),
        (("model.source=null",), "the name of a model"),
        (("model.source=otsu", "model.source_options={sigmo:2}"), "sigmo"),
        (("model.source=otsu", "model.source_options={sigma:large}"), "sigma is 'large'"),
        (("model.source=otsu", "model.source_options={name:x}"), "name can't be set"),
        (("model.source=otsu", "model.source_options={_target_:os.getcwd}"), "is refused"),
        (("model.source=folder",), "please give model.source_options.predictions=..."),
        (("model.prompts=circles",), "give one of points, boxes, both, own"),
        (("model.masks=sam9",), "give one of musam, sam, sam2, sam3"),
        (("model.source=grid", "model.prompts=boxes"), "gives no prompts 'boxes'"),
    ],
)
def test_a_slip_is_one_sentence(root, words, message):
    pytest.importorskip("micro_sam")
    done = command_line.main(root, *BASE, *words)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_where_library_or_weights_of_the_source_are_missing_the_pair_is_skipped(tmp_path):
    pytest.importorskip("micro_sam")
    with mock.patch.dict("os.environ", {"BENCHMARK_WEIGHTS": str(tmp_path)}):
        for source, reason in (("cellsam", "library missing: cellSAM"), ("sam", "weights unav")):
            made = job(tmp_path, f"model.source={source}")
            with pytest.raises(SkippedError, match=reason):
                made.check_ready()


def test_weights_of_both_are_described_and_the_weaker_mark_counts(root):
    config = ("--config-dir", str(HELPERS / "configs"))
    own = job(
        root, "model.source=weighted", f"model.source_options={{weights:{__file__}}}", *config
    )
    described = own.describe()["weights"]
    assert described["name"] == f"demo + {own.nested['source'].weights.name}"
    assert described["mark"] == own.nested["source"].weights.mark != "demo"
    assert described["parts"][0] == "demo" and len(described["parts"]) == 2
    assert own.identity["parameters"]["weights"] == dict(own.weights.digests)
    same = job(root, "model.source=demo_ais").describe()["weights"]
    assert same["name"] == "demo" and same["mark"] == "demo" and "parts" not in same


def test_identities_compare_without_the_libraries_of_nested_models():
    nested = {"target": "a", "libraries": {"x": "1"}, "parameters": {}}
    identity = {"libraries": {}, "device": "cpu", "parameters": {"source": nested, "level": 1}}
    other = {"libraries": {}, "device": "cpu", "parameters": {
        "source": nested | {"libraries": {"x": None}}, "level": 1}}  # fmt: skip
    assert comparable(identity, ("device",)) != comparable(other, ("device",))
    assert comparable(identity, ("libraries",)) == comparable(other, ("libraries",))


def test_a_sweep_over_sources_is_one_table_with_a_row_for_each(root):
    words = ("model.source=otsu,empty", "limit=1", "action=status")
    done = command_line.main(root, "-m", *BASE, *words)
    assert done.returncode == 0, done.stderr
    for source in ("otsu", "empty"):
        assert f"prompted (source={source}, demo)" in done.stdout
