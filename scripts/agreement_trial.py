"""Does cross-family agreement order methods as their true mSA does? On images with hidden labels.

    BENCHMARK_DATA=<folder> python scripts/agreement_trial.py <output> > \
        results/baselines/agreement_trial.txt

Every configuration of `trial_parts/trial.yaml` runs on each data set without labels, and is ranked
by agreement. Then the labels are given, which scores the stored predictions, and Spearman's
correlation over configurations is printed, with a bootstrap interval over images. Running it again
resumes. About an hour on two cores, as the demo network runs on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from scipy.stats import spearmanr

from benchmark.report.agreement import Agreement, agreements
from benchmark.report.results import RunResult, gather
from benchmark.scoring.protocol import Protocol
from benchmark.stats.agreement import agreement_of_samples
from benchmark.store.identity import written

PARTS = Path(__file__).parent / "trial_parts"
RESAMPLES = 2_000

Floats = NDArray[np.float64]


def main() -> None:
    """Run what is missing, then compare both orders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder for runs and prepared data")
    output: Path = parser.parse_args().output
    trial: Any = OmegaConf.to_container(OmegaConf.load(PARTS / "trial.yaml"))
    protocol = Protocol.of_settings(written("protocol", "paper"))
    print(
        f"{len(trial['models'])} configurations, protocol {protocol.name}; {platform.machine()}, "
        f"Python {platform.python_version()}",
        flush=True,
    )
    for name, data in trial["sets"].items():
        place = output / name
        recipe = json.dumps(data["recipe"]).replace('"', "")
        words = ["data=folder", f"data.name={name}", f"data.images={data['images']}"]
        words += [f"data.recipe={recipe}", f"limit={data['first']}"]
        words += [f"results={place}", f"datasets={place}/datasets"]
        words = [f"model={','.join(trial['models'])}", *words]
        run(place, words)
        before, (one,) = stored(place), agreements(hidden(gather(place / "runs", protocol)[0]))
        run(place, [*words, f"data.labels={data['labels']}"])
        if stored(place) != before:
            raise SystemExit(f"{name}: something was predicted again")
        scored = {r.run_id: r for r in gather(place / "runs", protocol)[0] if len(r.scores)}
        report(name, one, [scored[result.run_id] for result in one.compared])


def run(place: Path, words: Sequence[str]) -> None:
    """Run a sweep on a data set; what it says is kept in a file."""
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmark", "-m", "--config-dir", str(PARTS), *words]
    paths = os.pathsep.join(filter(None, (str(PARTS.parent), os.environ.get("PYTHONPATH"))))
    with (place / "log.txt").open("a") as log:
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": paths}, stdout=log, stderr=log
        )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed, see {place / 'log.txt'}")


def hidden(results: Sequence[RunResult]) -> list[RunResult]:
    """The runs as if nothing were labelled, which a run of this script before may have scored."""
    return [replace(result, unlabelled=result.expected) for result in results]


def stored(place: Path) -> dict[str, bytes]:
    """Every record of a prediction."""
    return {str(p): p.read_bytes() for p in (place / "runs").glob("*/records/*.jsonl")}


def report(name: str, one: Agreement, scored: Sequence[RunResult]) -> None:
    """Print both numbers of every configuration, and how they correlate."""
    true = np.stack([r.scores["msa"].reindex(list(one.samples)).to_numpy(float) for r in scored], 1)
    crossed = one.cross_family
    plain = np.nanmean(one.values, axis=2)
    families = [result.family_label for result in one.compared]
    print(f"\n{name}: {len(one.samples)} images, {len(set(one.families))} families")
    print(f"{'configuration':24} {'family':15} {'mSA':>6} {'cross-family':>13} {'plain':>6}")
    means = [np.nanmean(values, axis=0) for values in (true, crossed, plain)]
    for i in np.argsort(-means[0]):
        numbers = f"{means[0][i]:6.3f} {means[1][i]:13.3f} {means[2][i]:6.3f}"
        print(f"{one.compared[i].method:24} {families[i]:15} {numbers}")
    print("Spearman with the true mSA, 95 % bootstrap interval over images:")
    print(f"  configurations, cross-family agreement   {over_methods(true, crossed)}")
    print(f"  configurations, mean of all agreements   {over_methods(true, plain)}")
    best = best_of_families(one.families, means[1])
    of_families = over_methods(true[:, best], crossed[:, best])
    print(f"  best of each family, cross-family        {of_families}")
    hard = agreement_of_samples(one.values, one.families)[:, None]
    print(f"  images, agreement and mean mSA           {with_interval(over_images, true, hard)}")
    chosen, top = int(np.argmax(means[1])), int(np.argmax(means[0]))
    print(
        f"  chosen without labels: {one.compared[chosen].method}, mSA {means[0][chosen]:.3f}; the "
        f"best: {one.compared[top].method}, {means[0][top]:.3f}"
    )
    sys.stdout.flush()


def best_of_families(families: Sequence[str], values: Floats) -> list[int]:
    """The place of the best member of each family."""
    return [
        max((i for i, own in enumerate(families) if own == name), key=lambda i: float(values[i]))
        for name in sorted(set(families))
    ]


def over_methods(true: Floats, agreement: Floats) -> str:
    """Spearman over configurations of the means over images, with its interval."""

    def statistic(a: Floats, b: Floats) -> float:
        return _spearman(np.nanmean(a, axis=0), np.nanmean(b, axis=0))

    return with_interval(statistic, true, agreement)


def over_images(true: Floats, agreement: Floats) -> float:
    """Spearman over images of the means over configurations."""
    return _spearman(np.nanmean(true, axis=1), agreement[:, 0])


def with_interval(
    statistic: Callable[[Floats, Floats], float], true: Floats, agreement: Floats
) -> str:
    """A statistic with the percentiles of its bootstrap distribution over images."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(true), len(true))
        drawn.append(statistic(true[rows], agreement[rows]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return f"{statistic(true, agreement):+.2f} [{low:+.2f}, {high:+.2f}]"


def _spearman(a: Floats, b: Floats) -> float:
    known = ~(np.isnan(a) | np.isnan(b))
    return float(spearmanr(a[known], b[known])[0])


if __name__ == "__main__":
    main()
