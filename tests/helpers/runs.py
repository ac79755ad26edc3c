"""Small runs for tests: in this process, or in one of their own."""

import atexit
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from helpers.command_line import call
from msgspec.structs import asdict

from benchmark.data.formats.images import read_labels
from benchmark.job import Job
from benchmark.run import Runner
from benchmark.settings import Action, LeaseSettings, Overwrite, Settings
from benchmark.store.digest import array_digest

HELPERS = Path(__file__).parent
CACHE = Path(tempfile.mkdtemp(prefix="cache-of-tests-"))  # nobody's own
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
STYLES = ["fluorescent_nuclei", "rod_bacteria"]
SAMPLES = [f"{style}_{index:03d}" for style in STYLES for index in range(2)]
PROTOCOLS = {
    "paper": {"name": "paper", "threshold_grid": "drifting", "both_empty": "zero"},
    "clean": {"name": "clean", "threshold_grid": "exact", "both_empty": "exclude"},
}


def drawn(**changes):
    """Settings of data: four small drawn images, as SAMPLES names them."""
    source = {"styles": STYLES, "per_style": 2, "val_per_style": 0, "size": 64, "seed": 0}
    target = {"_target_": "benchmark.data.sources.SyntheticSource"}
    return {"name": "drawn", "split": "test", "source": target | source | changes, "recipe": []}


def build(described, **objects):
    """What Hydra's `instantiate` does, without Hydra."""
    described = dict(described)
    module, _, name = described.pop("_target_").rpartition(".")
    return getattr(importlib.import_module(module), name)(**described | objects)


def make_job(root, *, protocol="paper", data=None, max_failures=0, lease=None, **changes):
    """A job on the drawn data below `root`; `changes` are settings, or the model's parameters."""
    settings = Settings(
        data=data or drawn(), protocol=PROTOCOLS[protocol], action=Action.run,
        results=str(root / "results"), datasets=str(root / "datasets"),
        lease=LeaseSettings(**(lease or {})),
    )  # fmt: skip
    settings.errors.max_failures = max_failures
    settings.overwrite = Overwrite[changes.pop("overwrite", "missing")]
    for name in ("limit", "shard", "threads", "seed"):
        setattr(settings, name, changes.pop(name, getattr(settings, name)))
    target = changes.pop("target", "helpers.segmenters.Traced")
    settings.model = {"name": "traced", "_target_": target, **changes}
    return Job(settings, (), build)


def do(job, attempt=None):
    """What `action=run` does before it reports: the outcome of the loop."""
    settings = job.settings
    environment = {"threads": settings.threads} if attempt is None else attempt
    with job.store.writing(
        job.describe(), lambda: environment, shard=job.shard, wait=settings.lease.wait,
        timeout=settings.lease.timeout,
    ) as writer:  # fmt: skip
        runner = Runner(
            job.data, job.store, writer, job.load_model, model=job.model_name,
            protocol=job.protocol, basis=job.score_basis, seed=settings.seed,
        )  # fmt: skip
        allowed = job.allowed_failures(len(job.requested))
        return runner.run(job.requested, settings.overwrite.name, allowed)


def arguments(root, *words, model="traced"):
    """The words on the command line of a small run below `root`."""
    source = drawn()["source"]
    multirun = ["-m"] if "-m" in words else []  # before all overrides, or argparse is confused
    words = tuple(word for word in words if word != "-m")
    return [
        *multirun, "--config-dir", str(HELPERS / "configs"),
        f"model={model}", "data=synthetic", f"data.source.styles=[{','.join(STYLES)}]",
        *(f"data.source.{key}={source[key]}" for key in ("per_style", "val_per_style", "size")),
        f"results={root / 'results'}", f"datasets={root / 'datasets'}", *words,
    ]  # fmt: skip


def command(root, *words, model="traced"):
    """The command line of a small run below `root`, for a process of its own."""
    return [sys.executable, "-m", "benchmark", *arguments(root, *words, model=model)]


def environment(**more):
    """The environment for `command`."""
    paths = [str(HELPERS.parent), os.environ.get("PYTHONPATH", "")]
    found = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    found["BENCHMARK_CACHE"] = str(CACHE)
    return os.environ | found | more


def run(root, *words, model="traced", **more):
    """Run the command line to its end, in this process."""
    return call(arguments(root, *words, model=model), root, environment=environment(**more))


def run_process(root, *words, model="traced", **more):
    """Run the command line to its end, in a process of its own."""
    return subprocess.run(
        command(root, *words, model=model), env=environment(**more), capture_output=True,
        text=True, timeout=600, cwd=root,
    )  # fmt: skip


def wait_for(condition, seconds=600):
    """Until something holds; an error where it takes longer."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def tree(folder):
    """Every file below a folder, with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def journals(folder, kind):
    """All rows of a kind below a folder, as they stand in the files; a torn line fails."""
    rows = []
    for path in sorted(folder.glob(f"**/{kind}/**/*.jsonl")):
        text = path.read_text()
        assert not text or text.endswith("\n"), f"{path} ends in a torn line"
        rows += map(json.loads, text.splitlines())
    return rows


_MAY_DIFFER = (
    "seconds", "stages", "cached", "memory", "stage_memory", "warm_up", "attempt",
)  # fmt: skip


def contents(store, key):
    """What a finished run says, without what may differ between two equal ones: its seconds."""
    records = {
        sample: {k: v for k, v in asdict(r).items() if k not in _MAY_DIFFER}
        for sample, r in store.records().items()
    }
    labels = {
        sample: array_digest(store.prediction(record))
        for sample, record in store.records().items()
        if record.status == "done"
    }
    return records, labels, store.scores(key), store.objects(key)


def assert_sound(root, store):
    """No torn line, no stray temporary file, and every prediction the one recorded."""
    for path in root.rglob("*.jsonl"):
        for line in path.read_text().splitlines(keepends=True):
            assert line.endswith("\n"), f"{path} has a torn line"
            json.loads(line)
    left = [str(path) for path in root.rglob("*.tmp")]
    assert left == [], f"left behind: {left}"
    for sample, record in store.records().items():
        if record.status == "done":
            stored = read_labels(store.path / "predictions" / f"{sample}.tif")
            assert array_digest(stored) == record.prediction, f"{sample} has another prediction"


def undisturbed(prepared, **changes):
    job = make_job(prepared, **changes)
    return contents(job.store, job.score_key)


def said(root, **changes):
    job = make_job(root, **changes)
    assert_sound(root, job.store)
    return contents(job.store, job.score_key)
