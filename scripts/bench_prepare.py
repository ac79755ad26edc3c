"""How fast many images are prepared: two workers against one, and few images against many.

    python scripts/bench_prepare.py <folder with u20s in it> [> results/baselines/bench_prepare.txt]

The real images of U2OS nuclei (BBBC039) that are there are repeated under other names, and
prepared as `data=u20s data.split=all` prepares them, in a process of its own each time: start-up,
with the import of torch_em for its loader, is part of the time. One worker and two take turns;
medians are compared. The threads of numerical libraries are set to one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FEW, MANY = 200, 2_000


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    runs: dict[tuple[int, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for images in (FEW, MANY):
            _repeat(given.root / "u20s", Path(scratch, str(images), "u20s"), images)
        own = []
        for turn in range(given.rounds):
            own.append(_scaling())
            print(f"round {turn + 1}: the machine itself: {own[-1]:.2f}", file=sys.stderr)
            for images in (FEW, MANY):
                for workers in (1, 2):
                    told = _measure(Path(scratch), images, workers)
                    runs.setdefault((images, workers), []).append(told)
                    print(
                        f"round {turn + 1}: {images} images, {workers} workers: {told}",
                        file=sys.stderr,
                    )
    _print_table(runs, own)


BUSY = """
import os, zlib
data = os.urandom(2**20) + bytes(2**20)
for _ in range(150):
    zlib.compress(data)
"""


def _scaling() -> float:
    """How much more two busy processes do than one: shared cores may give less than 2."""

    def seconds(processes: int) -> float:
        begin = time.monotonic()
        running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
        for process in running:
            process.wait()
        return time.monotonic() - begin

    return 2 * seconds(1) / seconds(2)


def _repeat(source: Path, target: Path, images: int) -> None:
    """The same files under other names; links would be told apart by nothing but names too."""
    for kind in ("images", "labels"):
        (target / kind).mkdir(parents=True)
        files = sorted((source / kind).iterdir())
        for number in range(images):
            file = files[number % len(files)]
            (target / kind / f"{file.stem}_{number:04d}.tif").write_bytes(file.read_bytes())


def _measure(scratch: Path, images: int, workers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=scratch) as datasets:
        command = [
            sys.executable,
            __file__,
            "--child",
            str(scratch / str(images)),
            datasets,
            str(workers),
        ]
        begin = time.monotonic()
        done = subprocess.run(
            command, env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return {"seconds": time.monotonic() - begin, **json.loads(done.stdout)}


def child(root: str, datasets: str, workers: str) -> None:
    """Prepare once, and tell how long the images took, and the peaks of memory."""
    import yaml  # type: ignore[import-untyped]

    from benchmark.data.prepare import prepare
    from benchmark.data.sources.torch_em import TorchEmSource

    card = yaml.safe_load((Path(__file__).parent.parent / "configs/data/u20s.yaml").read_text())
    source = TorchEmSource(
        name="u20s", loader=card["loader"], folder="u20s", splits=card["splits"], read={},
        lists=datasets, root=root, group=card["group"],
    )  # fmt: skip
    recipe: list[dict[str, Any]] = [
        {"center_crop": {"shape": [512, 512], "cut_objects": "one"}},
        {"min_objects": {"count": 5, "counting": "values"}},
    ]
    times: list[float] = []
    peaks = [0.0]

    def watch(done: int, total: int) -> None:
        times.append(time.monotonic())
        peaks.extend(_peaks_of_workers())

    prepare(
        "u20s", source, recipe, parameters={}, datasets=Path(datasets), split="all",
        allowed_failures=lambda n: 0, workers=int(workers),
        on_progress=watch,
    )  # fmt: skip
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"images_seconds": times[-1] - times[0], "own_mb": own, "worker_mb": max(peaks)}
    print(json.dumps(told))


def _peaks_of_workers() -> list[float]:
    """The largest resident memory, in MB, of each process that prepares (the loader's is gone)."""
    own = os.getpid()
    peaks = []
    for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split():
        with contextlib.suppress(OSError, StopIteration):
            lines = Path("/proc", pid, "status").read_text().splitlines()
            peaks.append(next(int(x.split()[1]) / 1024 for x in lines if x.startswith("VmHWM")))
    return peaks


def _print_table(runs: dict[tuple[int, int], list[dict[str, float]]], own: list[float]) -> None:
    def middle(images: int, workers: int, what: str) -> float:
        return statistics.median(told[what] for told in runs[images, workers])

    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"medians of {len(runs[MANY, 1])} rounds; start-up included in `seconds`\n")
    print(
        "| images | workers | seconds | ms per image after start-up | peak, MB | a worker's, MB |"
    )
    print("|---|---|---|---|---|---|")
    for images, workers in runs:
        each = 1000 * middle(images, workers, "images_seconds") / images
        print(
            f"| {images} | {workers} | {middle(images, workers, 'seconds'):.1f} | {each:.1f} "
            f"| {middle(images, workers, 'own_mb'):.0f} "
            f"| {middle(images, workers, 'worker_mb'):.0f} |"
        )
    ratios = [
        one["seconds"] / two["seconds"]
        for one, two in zip(runs[MANY, 1], runs[MANY, 2], strict=True)
    ]
    print(
        f"\n{MANY} images: two workers are {statistics.median(ratios):.2f} times as fast as one",
        end="",
    )
    print(f" ({', '.join(f'{ratio:.2f}' for ratio in ratios)}).")
    print(f"Two busy processes did {statistics.median(own):.2f} times as much as one", end="")
    print(f" ({', '.join(f'{ratio:.2f}' for ratio in own)}), each measured before its round.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
