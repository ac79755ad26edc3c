"""Check this repository's adapters on a GPU: parity with the CPU, speed, precision, memory.

    python scripts/check_gpu.py [--device cuda] [--only sam3,apg]

No weights are needed: real architectures are filled with random numbers, in about 6 GB of a
temporary folder, and no check begins after seven minutes. With torch and transformers beside this
repository's own dependencies the first two adapters are checked; the others need the `models`
extra, and are reported as `not checked: library missing` without it. The exit status is 1 if a
check failed. What random weights can't show (scores on real images, the published models) stays
unchecked.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gpu_checks import checks
from gpu_checks.findings import Finding, Report, UncheckedError, held, measured
from gpu_checks.precisions import precisions
from gpu_checks.subjects import SUBJECTS, Subject

from benchmark.store.provenance import library_versions
from models.common.torch_adapter import TorchAdapter

SECONDS = 7 * 60
"""After this time no section begins."""

CHECKS = {
    "parity with the CPU": checks.parity,
    "speed and memory": checks.speed_and_memory,
    "idle share": checks.idle_share,
    "precision": precisions,
    "out of memory": checks.out_of_memory,
}
LIBRARIES = ("torch", "transformers", "micro-sam", "segment-anything", "sam2", "cellpose")


def main(words: Sequence[str] | None = None, subjects: Sequence[Subject] = SUBJECTS) -> int:
    """Run all sections and print what they found.

    Args:
        words: of the command line.
        subjects: the adapters.

    Returns:
        1 if a check failed, else 0.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "mps", "cpu"))
    parser.add_argument("--only", help="names of adapters, separated by commas")
    parser.add_argument("--size", type=int, default=512, help="of the images, in pixels")
    parser.add_argument("--images", type=int, default=8, help="how many")
    given = parser.parse_args(words)
    names = [subject.name for subject in subjects]
    chosen = given.only.split(",") if given.only else names
    if given.images < 2:
        parser.error("--images: at least two, as the first one warms up")
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        parser.error(f"--only: no adapter {', '.join(unknown)}; there are {', '.join(names)}")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded here
    report = Report(SECONDS)
    report.run("machine", partial(machine, given.device))
    report.run("clock", partial(clock, given.device))
    with tempfile.TemporaryDirectory() as scratch:
        for subject in subjects:
            if subject.name not in chosen:
                continue
            trial = checks.Trial(
                subject,
                given.device,
                Path(scratch),
                size=given.size,
                images=given.images,
                memory=checks.device_memory(given.device),
            )
            for what, check in CHECKS.items():
                report.run(f"{subject.name}: {what}", partial(check, trial))
            trial.close()
    print(report.summary())
    return int(report.failed)


def machine(device: str) -> Iterable[Finding]:
    """What the numbers were measured on."""
    import torch

    yield measured("system", f"{platform.platform()}, Python {platform.python_version()}")
    found = library_versions(LIBRARIES)
    yield measured("libraries", ", ".join(f"{k} {v or 'missing'}" for k, v in found.items()))
    if device == "cuda":
        yield held("CUDA", torch.cuda.is_available(), f"torch was built for {torch.version.cuda}")
        about = torch.cuda.get_device_properties(torch.cuda.current_device())
        yield measured("GPU", f"{about.name}, {about.total_memory / checks.MIB:.0f} MiB")


def clock(device: str) -> Iterable[Finding]:
    """The clock of stages waits for the device: its work is counted where it was asked for."""
    import torch

    if device != "cuda":
        raise UncheckedError("events time kernels on CUDA only")
    own = TorchAdapter(device)
    matrix = torch.randn(8192, 8192, device=device)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    asked: Any = None
    with own.predicting():
        for _ in range(2):  # the first warms up
            own.stages.clear()
            with own.stage("product"):
                start = time.perf_counter()
                begin.record()
                for _ in range(10):
                    matrix @ matrix
                end.record()
                asked = time.perf_counter() - start
    took = begin.elapsed_time(end) / 1000
    yield held(
        "a stage lasts as long as its kernels",
        own.stages["product"] >= 0.99 * took > 0,
        f"{own.stages['product']:.3f} s for kernels of {took:.3f} s, asked for in {asked:.4f} s",
    )


if __name__ == "__main__":
    sys.exit(main())
