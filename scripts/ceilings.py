"""Measure what one pixel at the boundaries costs: ceilings by convention, on whole public files.

    BENCHMARK_DATA=<folder> python scripts/ceilings.py <output> > results/baselines/ceilings.txt

Runs the controls truth_eroded and truth_dilated, and Otsu beside them, through `data=folder` and
`protocol=paper`; the output folder gets prepared data and runs, and what is there is not repeated.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from benchmark.report.results import load_results
from benchmark.report.tables.objects import boundaries
from benchmark.scoring.protocol import Protocol
from benchmark.store.identity import written

SETS = {
    "dsb_test": ("dsb/test/images/*.tif", "dsb/test/masks/*.tif"),
    "u20s_whole": ("u20s/images/*.tif", "u20s/labels/*.tif"),
    "histology_whole": ("histology_rgb/images/*.tif", "histology_rgb/labels/*.tif"),
    "usiigaci_whole": (
        "usiigaci/Usiigaci/Mask R-CNN/*/set*/raw.tif",
        "usiigaci/Usiigaci/Mask R-CNN/*/set*/instances_ids.png",
    ),
}
"""What the files are called here -> patterns of images and of labels, below BENCHMARK_DATA."""

MODELS = ("truth_eroded", "truth_dilated", "otsu")


def words(name: str) -> list[str]:
    """The overrides that run the models on the files of one set."""
    images, labels = SETS[name]
    return [
        "-m", f"model={','.join(MODELS)}", "data=folder", f"data.name={name}",
        f"data.images={images}", f"data.labels={labels}", "protocol=paper",
    ]  # fmt: skip


def main() -> None:
    """Run what is missing, and print the commands and a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output.resolve()
    places = [f"results={output / 'results'}", f"datasets={output / 'datasets'}"]
    for name in SETS:
        print(shlex.join(["python", "-m", "benchmark", *words(name)]))
        subprocess.run(
            [sys.executable, "-m", "benchmark", *words(name), *places],
            check=True, stdout=sys.stderr,
        )  # fmt: skip
    paper = Protocol.of_settings(written("protocol", "paper"))
    results = load_results(output / "results" / "runs", paper)
    results.sort(key=lambda result: ([*SETS].index(result.data), MODELS.index(result.model)))
    print(
        f"\n{'files':16} {'model':14} {'images':>6} {'mSA':>6} {'tolerant':>9} {'count error':>12}"
    )
    for result, (_, row) in zip(results, boundaries(results).iterrows(), strict=True):
        print(
            f"{result.data:16} {result.model:14} {len(result.scores):6} {row['msa']:6.3f} "
            f"{row['msa_tolerant']:9.3f} {row['count_error']:12.1%}"
        )


if __name__ == "__main__":
    main()
