"""Slips in one's own YAMLs are told with their file, and cost a sweep no other job."""

import re

import pytest
from helpers.command_line import main
from helpers.messages import assert_names
from helpers.runs import environment

OTSU = "_target_: models.otsu.OtsuWatershed"
SOURCE = "benchmark.data.sources.FolderSource"
YAMLS = {
    "model/nameless.yaml": f"{OTSU}\n",
    "model/empty_file.yaml": "",
    "model/text.yaml": "just text\n",
    "model/broken.yaml": "name: [a\nb: {\n",
    "model/mine.yaml": f"name: mine\n{OTSU}\n",
    "data/unsourced.yaml": "name: d\n",
    "data/untargeted.yaml": "name: d\nsplit: test\nsource: {images: a}\n",
    "data/mistargeted.yaml": "name: d\nsplit: test\nsource: {_target_: nope.Nope}\n",
    "data/misnamed.yaml": f"name: d\nsplit: test\nsource: {{_target_: {SOURCE}, imgs: a}}\n",
    "protocol/half.yaml": "name: half\nboth_empty: zero\n",
    "experiment/one.yaml": "# @package _global_\n# No sweep\nlimit: 1\n",
    "other/x.yaml": "depth: 1\n",
}


def benchmark(root, *words):
    """Run the command line below `root`, with a folder of YAMLs of one's own."""
    for name, text in YAMLS.items():
        path = root / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    flags = [word for word in words if word == "-m"]
    words = [word for word in words if word != "-m"]
    return main(root, *flags, "--config-dir", "own", *words, **environment())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=nameless"], ("own/model/nameless.yaml", " name")),
        (["model=empty_file"], ("own/model/empty_file.yaml", " name", "_target_")),
        (["model=text"], ("own/model/text.yaml", " name", "_target_")),
        (["model=broken"], ("own/model/broken.yaml, line 2",)),
        (["data=unsourced"], ("own/data/unsourced.yaml", "split", "source")),
        (["data=untargeted"], ("own/data/untargeted.yaml", "source._target_")),
        (["data=mistargeted"], ("nope.Nope",)),
        (["data=misnamed"], (SOURCE, "'images'")),
        (["protocol=half"], ("own/protocol/half.yaml", "threshold_grid")),
        (["-m", "model=mine,nameless", "action=status"], ("own/model/nameless.yaml", " name")),
        (["+other=x"], ("key 'other'", "model,")),
        (["+experiment=one", "data.foo=1"], ("key 'data.foo'",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_slip_is_told_with_its_file(tmp_path, words, said):
    if not any(word.startswith("model=") for word in words):
        words = ["model=mine", *words]
    done = benchmark(tmp_path, *words)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("error: ") == 1, done.stderr
    assert_names(done.stderr, *said)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_what_cant_be_read_costs_a_sweep_no_other_job(tmp_path):
    done = benchmark(tmp_path, "-m", "model=nameless,broken,mine", "limit=1")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    found = dict(re.findall(r"│ model=(\w+) +│ (\w+) ", done.stdout))
    assert found == {"nameless": "failed", "broken": "failed", "mine": "done"}
    assert_names(done.stderr, "own/model/nameless.yaml", "own/model/broken.yaml, line 2")


def test_the_list_shows_the_others_and_names_what_cant_be_read(tmp_path):
    done = benchmark(tmp_path, "action=list")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "own/model/broken.yaml, line 2: " in error
    assert re.search(r"│ mine +│", done.stdout) and re.search(r"│ paper +│", done.stdout)


@pytest.mark.parametrize(
    "words",
    [["model=otsu", "++model.sigma=2"], ["+experiment=one", "model=otsu", "model.sigma=2"]],
    ids=["forced", "an experiment that is no sweep"],
)
def test_a_parameter_is_in_the_name_however_it_was_given(tmp_path, words):
    done = benchmark(tmp_path, *words, "limit=1")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^otsu \(sigma=2\) +nuclei_demo", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.slow
def test_a_parameter_that_the_class_has_and_the_yaml_not_is_added_to_those_that_have_it(tmp_path):
    done = benchmark(tmp_path, "-m", "model=mine,oracle", "+model.sigma=2", "limit=1")
    assert done.returncode == 1
    assert re.search(r"│ model=mine +│ done +│ mine \(sigma=2\)", done.stdout), done.stdout
    assert re.search(r"model=oracle: failed: .*'sigma'", done.stderr), done.stderr
