"""What version 0.1 stored and reported: written once by its code, and compared ever since.

`python scripts/write_net.py` writes the files in `tests/net`. What differs on purpose is named in
the commit that changes them.
"""

from __future__ import annotations

import importlib.metadata
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tifffile
from helpers.command_line import call

from benchmark.choices import CHECKOUT, CONFIGS

NET = Path(__file__).parents[1] / "net"
MODELS = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))
PROTOCOLS = ("paper", "clean")
FAST = ("otsu", "oracle", "empty", "demo_ais")
SLOW = ("demo_apg", "demo_apg_boundary", "demo_amg")
LIMITED = {"demo_amg": 1}  # images; a grid of points takes 17 s each on one core

LIBRARIES = {
    "cellpose": "4.2.1.1", "cellSAM": "1.0.0", "micro-sam": "1.8.14", "numpy": "2.3.5",
    "sam2": "1.1.0", "scikit-image": "0.25.2", "scipy": "1.16.3", "segment-anything": "1.0",
    "torch": "2.14.1", "transformers": "5.23.0",
}  # fmt: skip
"""Versions that identities are computed with, whatever is installed."""


def command(*words: str, cwd: Path = CHECKOUT) -> str:
    """What the command line prints for these words; it has to succeed."""
    done = call(words, cwd, environment={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def stated_libraries() -> Iterator[None]:
    """Every library has the version that is stated above; one that is not has none."""

    def version(name: str) -> str:
        if name not in LIBRARIES:
            raise importlib.metadata.PackageNotFoundError(name)
        return LIBRARIES[name]

    with mock.patch.object(importlib.metadata, "version", version):
        yield


def identities(folder: Path) -> dict[str, dict[str, Any]]:
    """Run id and identity of every model's YAML under both protocols on nuclei_demo.

    Weights without a published digest are stated by their name.

    Args:
        folder: gets the prepared data.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    from benchmark.cli import plugin
    from benchmark.cli.compose import make_job
    from benchmark.settings import Settings
    from benchmark.store.identity import run_id

    plugin.register()
    ConfigStore.instance().store(name="settings", node=Settings)
    OmegaConf.register_new_resolver("checkout", lambda: str(CHECKOUT), replace=True)
    GlobalHydra.instance().clear()
    places = [f"results={folder}/results", f"datasets={folder}/datasets", "device=cpu"]
    found = {}
    with initialize_config_dir(str(CONFIGS), version_base="1.3"), stated_libraries():
        for model in MODELS:
            for protocol in PROTOCOLS:
                words = [f"model={model}", f"protocol={protocol}", *places]
                if model == "precomputed":
                    words.append(f"model.predictions={_predictions(folder)}")
                config = compose("config", overrides=words)
                OmegaConf.set_struct(config, False)
                job = make_job(config, words, {"model": model, "data": "nuclei_demo"})
                identity = _identity(job)
                found[f"{model}, {protocol}"] = {"run_id": run_id(identity), "identity": identity}
    GlobalHydra.instance().clear()
    return found


def _identity(job: Any) -> dict[str, Any]:
    choice = job.weights_choice
    if choice is not None and choice.expected() is None:
        from benchmark.types import Weights

        name = str(job.parameters["weights"])
        job.__dict__["weights"] = Weights(name, "verified", {"weights": f"stated:{name}"})
    return dict(job.identity)


def _predictions(folder: Path) -> Path:
    """Label images for `precomputed`, named as the samples of nuclei_demo are."""
    place = folder / "predictions"
    if not place.exists():
        place.mkdir(parents=True)
        command("model=empty", f"results={folder}/first", f"datasets={folder}/datasets")
        (run,) = (folder / "first" / "runs").iterdir()
        for number, sample in enumerate(sorted(labels_of(run))):
            labels = np.full((8, 8), number + 1, np.uint16)
            tifffile.imwrite(place / f"{sample}.tif", labels)
    return place


def run_of(model: str, folder: Path) -> Path:
    """Run a model on nuclei_demo and score it under both protocols; the run's folder."""
    places = [f"results={folder}/results", f"datasets={folder}/datasets", "device=cpu"]
    limit = [f"limit={LIMITED[model]}"] if model in LIMITED else []
    before = {path.parent for path in folder.rglob("run.json")}
    for protocol in PROTOCOLS:
        command(f"model={model}", f"protocol={protocol}", *limit, *places, "cache=off")
    [run] = {path.parent for path in folder.rglob("run.json")} - before
    return run


def labels_of(run: Path) -> dict[str, str]:
    """The digest of each sample's stored prediction."""
    from benchmark.store.store import RunStore

    return {sample: str(row.prediction) for sample, row in RunStore(run).records().items()}


def scores_of(run: Path) -> dict[str, Any]:
    """Every number of each sample under each stored basis, by the protocol's switches."""
    from benchmark.store.store import RunStore

    store = RunStore(run)
    return {
        json.dumps(basis["protocol"], sort_keys=True): store.scores(key)
        for key, basis in store.score_bases().items()
    }


def stored_runs(folder: Path) -> Path:
    """A results folder with the runs that version 0.1 stored."""
    with zipfile.ZipFile(NET / "runs.zip") as archive:
        archive.extractall(folder)
    return folder / "results"


def report_of(results: Path, *words: str) -> Path:
    """Write a report; its folder."""
    command("action=report", *words, f"results={results}")
    [report] = [path for path in (results / "reports").iterdir() if path.is_dir()]
    return report


def tables_of(report: Path) -> dict[str, str]:
    """Every table of a report, by its file."""
    return {
        path.relative_to(report).as_posix(): path.read_text()
        for path in sorted(report.rglob("*"))
        if path.suffix in (".csv", ".md", ".tex")
    }


def files_of(report: Path) -> list[str]:
    """Every file of a report, by name."""
    return sorted(
        path.relative_to(report).as_posix()
        for path in report.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )
