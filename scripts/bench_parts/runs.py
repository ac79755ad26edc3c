"""Figures (a), (c), (f) and (g): one run, its evaluation, its memory, its records."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_parts.common import (
    Figure,
    StandIn,
    apart,
    command,
    harness,
    make_job,
    ratio,
    repeats_for,
    seconds,
    turns,
    writing,
)

RECORDS = 10_000

_BUSY = (
    "import os, zlib; d = os.urandom(2**20) + bytes(2**20); [zlib.compress(d) for _ in range(60)]"
)


def scaling() -> float:
    """How much more two busy processes do than one: 2 where the cores are free."""

    def busy(processes: int) -> float:
        def run() -> None:
            running = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(processes)]
            for process in running:
                process.wait()

        return seconds(run)

    return statistics.median(2 * busy(1) / busy(2) for _ in range(3))


def figure_a(scratch: Path, rounds: int) -> Figure:
    """The harness against a bare loop over `predict`, on images that lie in memory."""
    told = apart("runs.loops", scratch=str(scratch), rounds=rounds)
    ratios = [with_harness / bare for bare, with_harness in told["turns"]]
    what = f"harness / bare loop, {told['samples']} images of {told['each']:.3f} s"
    return ratio("a", what, ratios, 1.05)


def loops(scratch: str, rounds: int, samples: int = 40, size: int = 512) -> dict[str, Any]:
    """Seconds of the bare loop and of the harness, in turns, in one process."""
    data = make_job(Path(scratch), "none", size=size, samples=samples).data
    images = [data.read(entry).image for entry in data.entries]
    repeats = repeats_for(0.2, images[0])

    def bare() -> float:
        model = StandIn(repeats)
        return seconds(lambda: [model.predict(image) for image in images])

    def with_harness() -> float:
        with tempfile.TemporaryDirectory(dir=scratch) as results:
            job = make_job(Path(scratch), results, size=size, samples=samples, repeats=repeats)
            return seconds(lambda: harness(job))

    with_harness()  # numba's machine code is compiled, and the disk has seen the data
    found = turns(rounds, bare, with_harness)
    each = statistics.median(one for one, _ in found) / samples
    return {"turns": found, "samples": samples, "each": each}


def figure_c(scratch: Path, rounds: int, least: float) -> Figure:
    """`action=evaluate` with two workers against one, as commands."""
    told = apart("runs.crowded", scratch=str(scratch), least=least)

    def evaluate(workers: int) -> float:
        return seconds(
            lambda: command(
                "-m", "benchmark", *told["words"], "action=evaluate", f"workers={workers}"
            )
        )  # fmt: skip

    found = turns(rounds, lambda: evaluate(1), lambda: evaluate(2))
    what = (
        f"evaluate, 1 worker / 2 workers, start-up included, {told['samples']} images, "
        f"{statistics.median(one for one, _ in found):.0f} s by one"
    )
    return ratio("c", what, [one / two for one, two in found], 1.7, least=True)


def crowded(scratch: str, least: float, size: int = 1536) -> dict[str, Any]:
    """A run on label images with thousands of objects, so many that scoring takes long.

    The model is `oracle`: of `precomputed` every command reads all files, to know which run it is.

    Args:
        scratch: where they go.
        least: seconds that scoring them shall take by one process.
        size: of an image, in pixels.
    """
    import numpy as np
    from skimage.segmentation import watershed

    from benchmark.store.tiff import tiff_bytes

    folder = Path(scratch, "crowded")
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    seeds = np.zeros((size, size), np.int32)
    seeds[tuple(rng.integers(0, size, (2, 5000)))] = np.arange(1, 5001)
    truth = watershed(rng.random((size, size)), seeds).astype(np.uint16)
    truth[rng.random((size, size)) < 0.05] = 0
    content = {
        "images": tiff_bytes(truth.astype(np.uint8)), "labels": tiff_bytes(truth),
    }  # fmt: skip

    def write(number: int) -> None:
        for kind, written in content.items():
            (folder / kind / f"{number:05d}.tif").write_bytes(written)

    def run(samples: int) -> None:
        for number in range(samples):
            write(number)
        command("-m", "benchmark", *words)

    def evaluated(samples: int) -> float:
        run(samples)
        return seconds(lambda: command("-m", "benchmark", *words, "action=evaluate", "workers=1"))

    words = [
        "model=oracle", "data=folder", "data.name=crowded",
        f"data.images={folder / 'images' / '*.tif'}", f"data.labels={folder / 'labels' / '*.tif'}",
        f"results={folder}", f"datasets={Path(scratch, 'datasets')}",
    ]  # fmt: skip
    few, more = evaluated(50), evaluated(150)
    samples = max(150, round(least / ((more - few) / 100)) + 1)
    run(samples)
    return {"samples": samples, "words": words}


class Watched(StandIn):
    """A stand-in that looks at its process's memory."""

    resident: list[int] = []  # noqa: RUF012  # of the one process that is looked at

    def predict(self, image: Any) -> Any:
        """Bright regions; the resident memory is noted first."""
        lines = Path("/proc/self/status").read_text().splitlines()
        self.resident.append(next(int(x.split()[1]) for x in lines if x.startswith("VmRSS")))
        return super().predict(image)


def figure_f(scratch: Path, samples: int = 1000) -> Figure:
    """Resident memory after 1,000 images against that after 50."""
    kib = apart("runs.memory", scratch=str(scratch), samples=samples)
    early, late = kib[50], kib[-1]
    growth = late / early - 1
    what = (
        f"resident memory, {early / 1024:.0f} MB after 50 images, {late / 1024:.0f} MB after 1,000"
    )
    return Figure("f", what, f"{growth:+.1%}", "<= 5 %", growth <= 0.05)


def memory(scratch: str, samples: int) -> list[int]:
    """KiB before each prediction of one run."""
    job = make_job(
        Path(scratch), "memory", size=256, samples=samples, _target_="bench_parts.runs.Watched"
    )
    harness(job)
    return Watched.resident


def figure_g(scratch: Path, rounds: int) -> list[Figure]:
    """Writing and reading back 10,000 records, and what the disk alone takes of it."""
    told = apart("runs.records", scratch=str(scratch), rounds=rounds)
    both = statistics.median(written + read for written, read, _ in told)
    rounds_told = ", ".join(f"{written + read:.2f}" for written, read, _ in told)
    bare = statistics.median(flushed for *_, flushed in told)
    return [
        Figure("g", f"writing and reading back {RECORDS:,} records", f"{both:.2f} s", "<= 5 s",
               both <= 5, rounds_told),
        Figure("", f"of it, flushing {RECORDS:,} lines to this disk takes", f"{bare:.2f} s"),
    ]  # fmt: skip


def records(scratch: str, rounds: int) -> list[tuple[float, ...]]:
    """Seconds of writing, of reading, and of a bare loop that writes and flushes lines."""
    import os

    from benchmark.store.record import Record

    def made(number: int) -> Record:
        return Record(
            f"sample_{number:05d}", "done", 1, "0" * 64, 0.2, {"encode": 0.1, "decode": 0.05},
            {"host": 10**9}, details={"batch_size": 32, "reproducible": True},
        )  # fmt: skip

    def once(turn: int) -> tuple[float, ...]:
        job = make_job(Path(scratch), f"records{turn}", size=64, samples=2)
        with writing(job) as writer:
            written = seconds(lambda: [writer.append(made(n)) for n in range(RECORDS)])
        read = seconds(lambda: job.store.records())
        if len(job.store.records()) != RECORDS:
            raise SystemExit("records were lost")

        def flush() -> None:
            with Path(scratch, f"lines{turn}").open("ab", buffering=0) as file:
                for _ in range(RECORDS):
                    file.write(b"x" * 400 + b"\n")
                    os.fsync(file.fileno())

        return written, read, seconds(flush)

    return [once(turn) for turn in range(rounds)]
