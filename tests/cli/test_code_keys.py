"""A YAML from elsewhere is data: it names code at its keys alone, and reads no variables."""

import json
import re
import sys
from unittest import mock

import pytest
from helpers.command_line import main
from helpers.data_sets import composed_whole, public_data_sets
from helpers.runs import do, environment, make_job
from omegaconf import OmegaConf

from benchmark.choices import CHECKOUT, choices
from benchmark.cli.code_keys import check_loader, refuse_code, refuse_leaks
from benchmark.cli.compose import build
from benchmark.errors import NotImportedError, UsageError
from benchmark.settings import Action
from benchmark.sweeps.state import StoredRuns

SECRET = "hf_0123456789"
EVIL = "{_target_: benchmark.store.files.write_synced, path: evil.txt, content: x}"
DATA = """\
defaults: [nuclei_demo, _self_]
name: mine
"""
MODULE = """\
from pathlib import Path
Path("imported.txt").write_text("imported")
from models.otsu import OtsuWatershed as Mine
from benchmark.data.sources import PackagedNuclei
class Source(PackagedNuclei): pass
"""
MODEL = "name: mine\n_target_: mine.Mine\n"
SOURCE = "name: theirs\nsplit: test\nsource: {_target_: mine.Source}\n"


def benchmark(root, *words, yamls=None, **more):
    """Run the command line below `root`, with a folder of YAMLs of somebody else's."""
    for name, text in (yamls or {}).items():
        path = root / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "own").mkdir(exist_ok=True)
    (root / "modules").mkdir(exist_ok=True)
    (root / "modules" / "mine.py").write_text(MODULE)
    flags = [word for word in words if word == "-m"]
    words = [word for word in words if word != "-m"]
    found = environment(HF_TOKEN=SECRET, **more)
    found["PYTHONPATH"] += f":{root / 'modules'}"
    with mock.patch.object(sys, "path", [*sys.path, str(root / "modules")]):
        return main(root, *flags, "--config-dir", "own", *words, without=(), **found)


def refused(done, root, *said):
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr, done.stderr
    assert all(text in done.stderr for text in said), done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert not list(root.rglob("evil.txt"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.citation", {"_target_": "x.y"}),
        ("data.licence", {"a": [{"b": {"_target_": "x.y"}}]}),
        ("data.recipe", [{"min_objects": {"count": {"_target_": "x.y"}}}]),
        ("data.expect", [[{"_args_": []}]]),
        ("data.source.root", {"_target_": "x.y"}),
        ("data.source._partial_", True),
        ("data.source._args_", ["a"]),
        ("data.source._convert_", "all"),
        ("data.source._recursive_", True),
        ("data._target_", "x.y"),
        ("model.sigma", {"_target_": "x.y"}),
        ("model._partial_", True),
        ("model._args_", ["a"]),
        ("model.list", [1, {"_target_": "x.y"}]),
        ("protocol.counting", {"_target_": "x.y"}),
        ("protocol._target_", "x.y"),
        ("_target_", "x.y"),
        ("errors._target_", "x.y"),
        ("hydra.callbacks", {"a": {"_target_": "x.y"}}),
        ("hydra.launcher.params", {"_target_": "x.y"}),
        ("hydra.job_logging.handlers", {"a": {"()": "x.y"}}),
        ("hydra.hydra_logging.formatters", {"a": {"()": "x.y"}}),
        ("hydra.job.env_set", {"PYTHONPATH": "x"}),
        ("data.citation", "${oc.env:HOME}"),
        ("data.citation", "by ${oc.env:HOME}, and others"),
        ("data.notes", [{"a": "${oc.env:HOME}"}]),
        ("data.source.root", "${oc.env:HOME}"),
        ("data.citation", "${oc.decode:'${oc.env:HOME}'}"),
        ("data.citation", "${oc.${data.name}:HOME}"),
        ("data.citation", "${data.x.${oc.env:HOME}}"),
        ("data.citation", "${hydra:job.name}"),
        ("data.citation", "${now:%Y}"),
        ("data.x", "${oc.create:{a: 1}}"),
        ("data.x", "${oc.select:data.root}"),
        ("data.root", "${oc.decode:${oc.env:HOME}}"),
        ("model.sigma", "${oc.env:HOME}"),
        ("protocol.name", "${oc.env:HOME}"),
        ("results", "${oc.env:HOME}"),
        ("hydra.job.name", "${oc.env:HOME}"),
    ],
)  # fmt: skip
def test_code_and_resolvers_are_refused_anywhere_else(key, value):
    config = OmegaConf.create({"model": {"_target_": "a.B"}, "data": {"source": {"_target_": "a.C"},
        "root": "${oc.env:BENCHMARK_DATA,null}"}, "results": "${checkout:}/results",
        "hydra": {"launcher": {"_target_": "hydra_plugins.x"}}})  # fmt: skip
    refuse_code(config)
    OmegaConf.update(config, key, value, force_add=True)
    with pytest.raises(UsageError, match=re.escape(key.split(".")[0])):
        refuse_code(config)


@pytest.mark.parametrize(
    ("yamls", "words", "said"),
    [
        ({"data/d.yaml": f"{DATA}citation: {EVIL}"}, ["data=d"], "data.citation._target_"),
        ({"data/d.yaml": f"{DATA}source: {{x: {EVIL}}}"}, ["data=d"], "own/data/d.yaml"),
        ({"data/d.yaml": f"{DATA}source: {{x: [{EVIL}]}}"}, ["-m", "data=d", "action=status"],
         "data.source.x.0._target_"),
        ({"data/d.yaml": f"{DATA}notes: [{EVIL}]"}, ["data=d", "action=check"], "data.notes.0"),
        ({"data/d.yaml": f"{DATA}source: {{x: {EVIL}}}"}, ["data=d", "action=report"], "data.sou"),
        ({"data/d.yaml": f"{DATA}source: {{x: {EVIL}}}"}, ["data=d", "action=list"], "data.sou"),
        ({"data/d.yaml": f"{DATA}citation: ${{oc.env:HF_TOKEN}}"}, ["data=d"], "data.citation"),
        ({"data/d.yaml": f"{DATA}root: ${{oc.env:HF_TOKEN}}\nnotes: ['a ${{data.root}}']"},
         ["data=d"], "data.notes.0"),
        ({"experiment/e.yaml": "# @package _global_\nweights_dir: \\${oc.env:HF_TOKEN}\n"
          "data: {citation: '${weights_dir}'}"}, ["+experiment=e"], "oc.env"),
        ({"experiment/e.yaml": f"# @package _global_\nhydra: {{callbacks: {{a: {EVIL}}}}}"},
         ["+experiment=e"], "hydra.callbacks"),
        ({"experiment/e.yaml": f"# @package _global_\nmodel: {{foo: {EVIL}}}"},
         ["-m", "+experiment=e", "action=status"], "own/experiment/e.yaml"),
        ({}, [f"+model.foo={EVIL.replace(': ', ':').replace(', ', ',')}"], "model.foo._target_"),
        ({}, ["data.recipe=[{a:{_target_:benchmark.store.files.write_synced}}]"], "recipe.0.a"),
        ({}, ["data.source._target_=benchmark.store.files.write_synced"], "is not a class"),
        ({}, ["data.source._target_=subprocess.check_output"], "is not a class"),
        ({}, ["data=toiam", "data.loader=shutil.rmtree"], "data.loader is 'shutil.rmtree'"),
        ({}, ["data=toiam", "data.loader=torch_em.data.datasets.util.unzip"], "data.loader"),
        ({}, ["-m", "data=toiam", "data.source.loader=os.system", "action=status"], "loader"),
    ],
)  # fmt: skip
def test_no_command_builds_what_a_yaml_nests(tmp_path, yamls, words, said):
    if not any(word.startswith("model=") for word in words):
        words = ["model=otsu", *words]
    done = benchmark(tmp_path, *words, *([] if "-m" in words else ["limit=1"]), yamls=yamls)
    refused(done, tmp_path, said)


def test_looking_imports_no_class_from_elsewhere(tmp_path, blank_pictures):
    yamls = {"model/mine.yaml": MODEL, "data/theirs.yaml": SOURCE}
    do(make_job(tmp_path))  # something to report
    for words in (
        ["-m", "model=mine", "data=theirs", "action=status"],
        ["-m", "model=otsu", "data=theirs", "action=status"],
        ["-m", "model=mine", "data=theirs", "action=report"],
        ["model=mine", "data=theirs", "action=list"],
    ):
        done = benchmark(tmp_path, *words, yamls=yamls)
        assert "Traceback" not in done.stderr and done.returncode == 0, done.stderr
        assert not (tmp_path / "imported.txt").exists(), words
        if "action=status" in words:
            assert "not imported: " in done.stderr and "mine.Source" in done.stderr
    assert re.search(r"│ mine +│.*not imported", done.stdout), done.stdout


def test_the_runs_of_a_class_from_elsewhere_are_found_by_their_names(tmp_path):
    do(make_job(tmp_path, limit=3))

    def state(**changes):
        job = make_job(tmp_path, **changes)
        job.settings.action = Action.status
        with pytest.raises(NotImportedError):
            _ = job.adapter
        found = StoredRuns(job.runs, 300).of_job(job)
        return found.state, found.done, found.samples

    assert state() == ("partial", 3, 4) and state(limit=2) == ("done", 2, 2)
    assert state(seed=1) == ("to do", 0, 4) and state(protocol="clean")[1:] == (0, 4)
    assert state(target="helpers.segmenters.Raising") == ("to do", 0, 4)


def test_what_is_nested_in_a_description_stays_data():
    nested = {"_target_": "benchmark.store.files.write_synced"}
    made = build({"_target_": "builtins.dict", "x": nested})
    assert made == {"x": nested}


@pytest.mark.parametrize(
    ("extra", "leaks"),
    [
        ({}, False),
        ({"citation": "${data.root}"}, True),
        ({"notes": [{"a": "see ${...root}"}]}, True),
        ({"b": "${data.root}", "citation": "${data.b}"}, True),
        ({"root": "/own", "citation": "${data.root}"}, False),
    ],
)  # fmt: skip
def test_a_root_from_the_environment_goes_to_the_source_alone(extra, leaks):
    data = {"root": "${oc.env:HOME}", "source": {"root": "${data.root}"}} | extra
    config = OmegaConf.create({"data": data, "model": {}})
    if leaks:
        with pytest.raises(UsageError, match=r"it refers to data\.root"):
            refuse_leaks(config)
    else:
        refuse_leaks(config)


def test_the_root_is_not_stored(tmp_path):
    job = make_job(tmp_path)
    job.settings.data |= {"root": SECRET, "citation": "ours"}
    card = job.describe()["data_card"]
    assert card["citation"] == "ours" and SECRET not in json.dumps(card)


@pytest.mark.parametrize("key", [*choices("data")])
def test_our_data_sets_pass(key):
    words = ["data.images=a", "data.labels=b"] if key == "folder" else []
    whole = composed_whole(f"data={key}", *words)
    check_loader(whole["data"])
    assert key not in public_data_sets() or whole["data"]["source"]["loader"]
    refuse_code(OmegaConf.create(whole))


@pytest.mark.parametrize("file", sorted((CHECKOUT / "configs").rglob("*.yaml")), ids=str)
def test_our_yamls_pass(file):
    path = file.relative_to(CHECKOUT / "configs").parts
    content = OmegaConf.load(file)
    if path[0] in ("model", "data", "protocol"):
        refuse_code(OmegaConf.create({path[0]: content}))
    elif path[0] == "model_source":  # of a nested model, and composed in the place of a model
        refuse_code(OmegaConf.create({"model": content}))
    elif path[0] == "launcher":
        refuse_code(OmegaConf.create({"hydra": {"launcher": content}}))
    else:
        refuse_code(content)
