"""Which jobs a sweep consists of, however it is asked for."""

import re
from collections import Counter

import pytest
from helpers.command_line import main
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra_plugins.cell_benchmark import combinations

from benchmark.cli.sweep import varying

EXPERIMENTS = {
    "swept": "hydra: {mode: MULTIRUN, sweeper: {params: {model: 'otsu,oracle', seed: '1,2'}}}\n",
    "single": "limit: 1\n",
    "with_code": "hydra: {mode: MULTIRUN, callbacks: {a: {_target_: os.system}}}\n",
}


def expanded(*words):
    return combinations(OverridesParser.create().parse_overrides([*words]))


def test_every_combination_is_a_job_and_the_last_key_varies_fastest():
    assert expanded("a=1,2", "b=x", "c=choice(3,4)") == [
        [f"a={a}", "b=x", f"c={c}"] for a in (1, 2) for c in (3, 4)
    ]


def test_ranges_and_sorted_choices_are_expanded():
    assert expanded("a=range(1,4)") == [["a=1"], ["a=2"], ["a=3"]]
    assert expanded("a=sort(3,1,2,reverse=true)") == [["a=3"], ["a=2"], ["a=1"]]


def test_of_two_values_of_one_key_the_last_counts():
    assert expanded("a=1,2", "b=1", "a=3") == [["a=3", "b=1"]]
    assert expanded("a=3", "a=1,2") == [["a=1"], ["a=2"]]


def test_quotes_and_lists_are_no_sweep():
    assert expanded("a='1,2'", "b=[1,2]", "+c.d={e:1}") == [["a='1,2'", "b=[1,2]", "+c.d={e:1}"]]


def test_an_interval_has_no_end():
    with pytest.raises(HydraException, match="interval"):
        expanded("a=interval(0,1)")


def test_what_varies_is_what_not_all_jobs_share():
    assert varying([["model=a", "seed=1", "x=1"], ["model=b", "seed=1"]]) == {"model", "x"}
    assert varying([["model=a", "seed=1"]]) == set()


@pytest.fixture
def sweep(tmp_path):
    """The jobs of a command: of each the model, with its parameters, and how many there are."""
    for name, text in EXPERIMENTS.items():
        path = tmp_path / "own" / "experiment" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# @package _global_\n{text}")

    def jobs(*words):
        done = main(tmp_path, "--config-dir", "own", "action=status", *words)
        assert done.returncode == 0, done.stderr
        return Counter(re.findall(r"^│ \S* +│ (.*?) +│", done.stdout, re.MULTILINE))

    return jobs


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["-m", "model=otsu,oracle"], {"otsu": 1, "oracle": 1}),
        (["model=otsu,oracle", "-m"], {"otsu": 1, "oracle": 1}),
        (["-m", "model=choice(otsu,oracle)", "seed=0,1"], {"otsu": 2, "oracle": 2}),
        (["-m", "model=otsu", "seed=range(0,3)"], {"otsu": 3}),
        (["-m", "model=glob([or*,ots?])"], {"otsu": 1, "oracle": 1}),
        (["-m", "model=glob(*,exclude=[*_*,i*,m*,s*,c*,a*,p*])"],
         {"otsu": 1, "oracle": 1, "empty": 1}),
        (["-m", "model=otsu", "model.sigma=1,2"], {"otsu (sigma=1)": 1, "otsu (sigma=2)": 1}),
        (["-m", "model=otsu"], {"otsu": 1}),
        (["hydra.mode=MULTIRUN", "model=otsu,oracle"], {"otsu": 1, "oracle": 1}),
        (["-m", "hydra.mode=RUN", "model=otsu,oracle"], {"otsu": 1, "oracle": 1}),
        (["-m", "hydra.sweeper.params={seed:'1,2'}", "model=otsu"], {"otsu": 2}),
        (["-m", "+hydra.sweeper.params.seed='range(0,2)'", "model=otsu"], {"otsu": 2}),
        (["+experiment=swept"], {"otsu": 2, "oracle": 2}),
        (["+experiment=swept", "model=empty"], {"empty": 2}),
        (["+experiment=swept", "seed=0,1,2", "model=empty,otsu"], {"empty": 3, "otsu": 3}),
        (["-m", "+experiment=single", "model=otsu,oracle"], {"otsu": 1, "oracle": 1}),
        (["-m", "+experiment=single,swept", "model=otsu"], {"otsu": 2}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_a_sweep_has_the_jobs_that_it_asks_for(sweep, words, found):
    assert sweep(*words) == found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-m", "seed=interval(0,1)"], "an interval has no finite number of values"),
        (["-m", "hydra.sweep.dir=a,b"], "Sweeping over Hydra's configuration"),
        (["-m", "hydra/launcher=basic"], "hydra/launcher is hydra._internal"),
        (["-m", "hydra/sweeper=basic"], "hydra/sweeper is hydra._internal"),
        (["-m", "hydra.launcher._target_=hydra_plugins.cell_benchmark.No"], "cell_benchmark.No"),
        (["seed=range(0,3)"], "requires --multirun"),
        (["-m", "seed=0,1", "model.no=1"], "there is no key 'model.no'"),
        (["-m", "+experiment=with_code"], "hydra.callbacks can't be set"),
        (["+experiment=with_code"], "hydra.callbacks can't be set"),
        (["--cfg", "job", "+experiment=with_code"], "hydra.callbacks can't be set"),
        (["--info", "config", "+experiment=with_code"], "hydra.callbacks can't be set"),
        (["--config-dir", "nowhere"], "--config-dir nowhere: there is no such folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_no_sweep_is_refused_in_one_message(sweep, tmp_path, words, said):
    done = main(tmp_path, "--config-dir", "own", "model=otsu", "limit=1", *words)
    assert done.returncode == 2 and not done.stdout, done.stdout + done.stderr
    assert done.stderr.count("error: ") == 1 and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "results").exists()
