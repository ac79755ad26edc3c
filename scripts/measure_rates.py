"""Measure seconds per image of published architectures, for results/baselines/rates.csv.

    python scripts/measure_rates.py [--device cuda] [--only musam_ais,sam3] [--images 3]

Prints a line of that table for each method at its defaults, on drawn nuclei of 512 x 512 pixels.
Weights are random numbers, so only methods are measured whose time hardly depends on what they
find: how many objects APG prompts for, or StarDist sees, random weights can't say. On a CPU the
seconds are those of the processor, with one thread.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gpu_checks.checks import Trial
from gpu_checks.findings import UncheckedError
from gpu_checks.subjects import SUBJECTS, Subject

from benchmark.store.provenance import code_revision, processor_name

MEASURED: Mapping[str, Sequence[str]] = {
    "musam_ais": ("musam_ais",),
    "cellpose_sam": ("cellpose_sam",),
    "musam_amg": ("musam_amg", "sam"),
    "sam3": ("sam3",),
}
"""An adapter with random weights, and the YAMLs of the models that it stands for."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "mps"))
    parser.add_argument("--only", default=",".join(MEASURED), help="names, separated by commas")
    parser.add_argument("--images", type=int, default=3, help="how many; the first warms up")
    given = parser.parse_args()
    if given.images < 2:
        parser.error("--images must be 2 or more: the first one warms up")
    subjects = {subject.name: subject for subject in SUBJECTS}
    lines = csv.writer(sys.stdout, lineterminator="\n")
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.only.split(","):
            subject = subjects[name]._replace(parameters={})
            try:
                seconds = measure(subject, given.device, Path(scratch), given.images)
            except UncheckedError as reason:
                print(f"{name}: {reason}", file=sys.stderr)
                continue
            for model in MEASURED[name]:
                row = (model, "", given.device, f"{seconds:.3g}", "", source(given.device))
                lines.writerow(row)
            sys.stdout.flush()


def measure(subject: Subject, device: str, scratch: Path, images: int) -> float:
    """Seconds for an image, the median of all but the first."""
    trial = Trial(subject, device, scratch, images=images)
    clock: Callable[[], float] = time.process_time if device == "cpu" else time.perf_counter
    found = []
    for image in trial.images:
        begin = clock()
        trial.model.predict(image)  # a label image, so that the device has finished
        found.append(clock() - begin)
        print(f"  {subject.name}: {found[-1]:.2f} s", file=sys.stderr)
    trial.close()
    return statistics.median(found[1:])


def source(device: str) -> str:
    """What it was measured on."""
    if device == "cuda":
        import torch

        hardware = torch.cuda.get_device_name()
    else:
        hardware = f"{processor_name()}, one thread"
    commit = str(code_revision()["commit"])[:7]
    return f"measure_rates.py: {hardware}, random weights, commit {commit}"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
