"""Reference results: what the code gives, as text that is compared with `tests/net/`.

Everything comes from the command line and from the files that it writes, so that modules
can move; only `identity_of` uses names of the engine. What depends on the machine is
fixed: versions of libraries, digests of weights that nobody publishes, pictures (only
their names are compared) and the last digits of numbers.
"""

import contextlib
import hashlib
import importlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tifffile
from helpers import command_line

from benchmark.scoring.metrics import METRICS

CHECKOUT = Path(__file__).parent.parent.parent
NET = CHECKOUT / "tests" / "net"
STATED: dict[str, Any] = json.loads((NET / "stated.json").read_text())
MODELS = sorted(path.stem for path in (CHECKOUT / "configs" / "model").glob("*.yaml"))
PROTOCOLS = ("paper", "clean")

CLASSICAL = ("oracle", "empty", "otsu")
DEMO = ("demo_ais", "demo_apg", "demo_apg_boundary", "demo_amg")
LIMITS = {"demo_amg": 1}
"""How many samples are predicted, where not all: AMG takes 17 seconds for each."""

OPTIONAL = [name for name, metric in METRICS.items() if metric.optional]

REPORTS = {
    "published": ("source=published", "tieless=true"),
    "both": ("source=both", "tieless=true"),
    "both_with_demo": ("source=both", "with_demo=true", "tieless=false"),
    "runs_paper": ("source=runs", "protocol=paper"),
    "runs_clean": ("source=runs", "protocol=clean", "format=html"),
}
"""The overrides of each report that is compared."""
ONLY = {"both_with_demo": ("beside", "agreement")}
"""Tables that are compared, where not all: the others are those of another report."""


def call(*words: str) -> None:
    """Run a command line in this process, without drawing."""
    with mock.patch("matplotlib.figure.Figure.savefig", _no_picture):
        done = command_line.call(words, CHECKOUT, environment={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"


def call_apart(*words: str) -> None:
    """Run a command line in a process of its own, on one thread: for networks."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *words, "threads=1"],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stderr}"


def _no_picture(figure: Any, path: Any, **how: Any) -> None:
    """Stands for drawing, which takes most of the time: only the names are compared."""
    Path(path).touch()


# ---------------------------------------------------------------------------- identities


def place_for_identities(folder: Path) -> Path:
    """Put digests of weights and stored predictions into a folder, for `identity_of`."""
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "digests.json").write_text(json.dumps(STATED["weights"]))
    predictions = folder / "predictions"
    predictions.mkdir()
    for number, place in enumerate(("r0c0", "r0c1", "r1c0", "r1c1")):
        labels = np.zeros((256, 256), np.uint16)
        labels[: number + 1] = 1
        tifffile.imwrite(predictions / f"dsb2018_nuclei_{place}.tif", labels)
    return folder


def identities(folder: Path) -> dict[str, Any]:
    """The identity of every model on nuclei_demo, and the key of its scores, by protocol."""
    place_for_identities(folder)
    return {
        model: {protocol: identity_of(folder, model, protocol) for protocol in PROTOCOLS}
        for model in MODELS
    }


def identity_of(folder: Path, model: str, protocol: str) -> dict[str, Any]:
    """What a run would be stored under. Only here names of the engine are used: adapt them."""
    jobs: list[Any] = []
    action = importlib.import_module("benchmark.actions.run")
    words = [f"model={model}", "data=nuclei_demo", f"protocol={protocol}", *places(folder)]
    if model == "precomputed":
        words.append(f"model.predictions={folder / 'predictions'}")
    with (
        _stated_versions(model),
        mock.patch.dict(os.environ, {"BENCHMARK_WEIGHTS": str(folder / "weights")}),
        mock.patch.object(action, "perform", lambda job: jobs.append(job) or 0),
    ):
        call(*words)
        [job] = jobs
        described = job.describe()
        return {
            "run_id": described["run_id"],
            "identity": described["identity"],
            "score_key": job.score_key,
        }


@contextlib.contextmanager
def _stated_versions(model: str) -> Iterator[None]:
    """Libraries have the versions of `stated.json`, whether they are installed or not."""
    installed = importlib.metadata.version
    stated = STATED["versions"] | STATED["versions_for"].get(model, {})

    def version(name: str) -> str:
        return stated[name] if name in stated else installed(name)

    with mock.patch.object(importlib.metadata, "version", version):
        yield


def places(folder: Path) -> list[str]:
    """The overrides that keep a command line below a folder, on a CPU."""
    places = {"results": folder / "results", "datasets": folder / "datasets"}
    return [*(f"{key}={place}" for key, place in places.items()), "device=cpu", "seed=0"]


# --------------------------------------------------------------------------- predictions


def predictions(folder: Path, model: str) -> dict[str, Any]:
    """What a model predicts and scores under both protocols, read from its run on disk."""
    do = call_apart if model in DEMO else call
    words = [f"model={model}", "data=nuclei_demo", *places(folder), "cache=off"]
    words += [f"limit={LIMITS[model]}"] if model in LIMITS else []
    do(*words, "protocol=paper")
    do(*words, "protocol=clean", "action=evaluate")
    [run] = (folder / "results" / "runs").iterdir()
    written = sorted(path.relative_to(run) for path in (run / "report").rglob("*.*"))
    return {
        "labels": {row["sample"]: row["prediction"] for row in rows(run / "records")},
        "scores": dict(map(_scores, sorted((run / "scores").iterdir()))),
        "objects": {
            key.name: {row["sample"]: _digest(row) for row in rows(key)}
            for key in sorted((run / "objects").iterdir())
        },
        "report": [path.as_posix().replace(run.name, "RUN") for path in written],
    }


def rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's journal, in the order of their samples."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    return sorted(map(json.loads, lines), key=lambda row: row["sample"])


def _scores(folder: Path) -> tuple[str, dict[str, Any]]:
    basis = json.loads((folder / "basis.json").read_text())
    del basis["written"]
    samples = {row["sample"]: row for row in rows(folder)}
    for row in samples.values():  # an optional metric changes no other number, nor the key
        row["metrics"] = {k: v for k, v in row["metrics"].items() if k not in OPTIONAL}
    return folder.name, {"basis": basis, "samples": samples}


def _digest(row: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()


def environment() -> dict[str, str | None]:
    """What the label images of networks depend on, to the bit."""
    import torch

    names = ("torch", "micro-sam", "torch-em", "numpy", "scipy", "scikit-image")
    versions = {name: importlib.metadata.version(name) for name in names}
    return versions | {"processor": torch.backends.cpu.get_cpu_capability()}


# ------------------------------------------------------------------------------- reports


def report(folder: Path, name: str) -> dict[str, str]:
    """The tables of a report by file name, and `files.txt`: the names of all its files."""
    results = stored_runs(folder)
    if "format=html" in REPORTS[name]:  # the site shows samples where their images are prepared
        call("model=oracle", "data=nuclei_demo", *places(folder))
    call("action=report", f"results={results}", *REPORTS[name])
    [written] = (results / "reports").iterdir()
    paths = sorted(path.relative_to(written) for path in written.rglob("*") if path.is_file())
    only = ONLY.get(name)
    tables = {
        path.as_posix(): (written / path).read_bytes().decode("utf-8")
        for path in paths
        if (path.parts[0] == "tables" or path.stem == "table")
        and (only is None or path.stem in only)
    }
    return tables | {"files.txt": "".join(f"{path.as_posix()}\n" for path in paths)}


def stored_runs(folder: Path) -> Path:
    """A results folder with a copy of the stored runs."""
    results = folder / "results"
    shutil.copytree(NET / "runs", results / "runs")
    for path in results.glob("runs/*/run.json"):
        path.write_text(path.read_text().replace("DATASETS", str(folder / "datasets")))
    for path in results.glob("runs/*/records/*.jsonl"):  # those of random numbers have none
        (path.parents[1] / "predictions").mkdir(exist_ok=True)
        for line in path.read_text().splitlines():
            (path.parents[1] / "predictions" / f"{json.loads(line)['sample']}.tif").touch()
    return results


# ---------------------------------------------------------------------------- comparison


def text(value: Any) -> str:
    """JSON with a value on each line."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


_LONG = re.compile(r"-?\d+\.\d{11,}(?:e[-+]?\d+)?|-?\d(?:\.\d+)?e-\d+")


def rounded(content: str) -> str:
    """A text in which numbers of full precision have 11 digits.

    The last ones differ between processors and between versions of numpy and scipy. Numbers
    that were rounded for people stay as they are.
    """
    return _LONG.sub(lambda found: f"{float(found[0]):.11g}", content)


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """The files that differ between two folders of texts, with the first line that does."""
    said = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    said += [f"unexpected: {name}" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        before, now = rounded(expected[name]).split("\n"), rounded(found[name]).split("\n")
        if before != now:
            pairs = zip(before + [None] * len(now), now + [None] * len(before), strict=True)
            line, pair = next((i, p) for i, p in enumerate(pairs, 1) if p[0] != p[1])
            said.append(f"{name}, line {line}:\n  stored: {pair[0]!r}\n  now:    {pair[1]!r}")
    return said


def read_folder(folder: Path) -> dict[str, str]:
    """Every file below a folder, with its line ends as they are stored."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write_folder(folder: Path, contents: dict[str, str]) -> None:
    """Replace what a folder holds by texts."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8"))
