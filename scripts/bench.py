"""The benchmark of the benchmark: what the harness adds to the model's own time, and what it saves.

    python scripts/bench.py [--only a,d] [--weights demo] [...]

Each figure, (a) to (h), compares side by side in one run, in turns, as medians. Its lines also go
to results/baselines/bench.txt, in place of those of an earlier run, with the machine and the commit
that they were measured on. On a machine that does other things besides, no figure means much: what
two busy processes do against one is measured first, and told.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from bench_parts import family, runs, startup, sweeps
from bench_parts.common import CHECKOUT, Figure

from benchmark.threads import limit_threads, usable_cores

BASELINE = CHECKOUT / "results" / "baselines" / "bench.txt"


def main() -> None:
    """Measure, print the table, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="a,b,c,d,e,f,g,h", help="which figures")
    parser.add_argument("--rounds", type=int, default=5, help="turns of all figures but b, e and h")
    parser.add_argument("--sweep-rounds", type=int, default=1, help="turns of b, e and h")
    parser.add_argument("--images", type=int, default=4, help="of b")
    parser.add_argument("--sweep-images", type=int, default=8, help="of e")
    parser.add_argument("--family-images", type=int, default=2, help="of each data set of h")
    parser.add_argument("--weights", default="demo", help="of b and e: by name or path")
    parser.add_argument("--output", type=Path, default=BASELINE, help="the file to write to")
    parser.add_argument("--seconds", type=float, default=60, help="of scoring, for c")
    given = parser.parse_args()
    limit_threads(None)  # as every command does where nothing is said
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        measure: dict[str, Callable[[], Iterator[Figure] | list[Figure]]] = {
            "a": lambda: [runs.figure_a(scratch, given.rounds)],
            "b": lambda: sweeps.figure(
                "b", "AMG, AIS and APG", sweeps.MODES, scratch / "b", images=given.images,
                rounds=given.sweep_rounds, weights=given.weights,
            ),
            "c": lambda: [runs.figure_c(scratch, given.rounds, given.seconds)],
            "d": lambda: startup.figure_d(scratch, given.rounds),
            "e": lambda: sweeps.figure(
                "e", "20 points of APG", sweeps.PARAMETERS, scratch / "e",
                images=given.sweep_images, rounds=given.sweep_rounds, weights=given.weights,
            ),
            "f": lambda: [runs.figure_f(scratch)],
            "g": lambda: runs.figure_g(scratch, given.rounds),
            "h": lambda: family.figure_h(scratch / "h", given.family_images, given.sweep_rounds),
        }  # fmt: skip
        chosen = given.only.split(",")
        unknown = sorted(set(chosen) - measure.keys())
        if unknown:
            parser.error(f"there is no figure {', '.join(unknown)}")
        machine = _machine()
        print("\n".join([*machine, "", *_HEADER]), flush=True)
        for letter in sorted(chosen):
            print(f"figure {letter}", file=sys.stderr)
            lines = []
            for figure in measure[letter]():
                lines.append(_line(figure))
                print(lines[-1], flush=True)
            _write(given.output, letter, [*machine, "", *_HEADER, *lines])
    print(f"written to {given.output}", file=sys.stderr)


def _write(path: Path, letter: str, lines: Sequence[str]) -> None:
    """Put a figure's lines into the file, in the place of those that it had."""
    text = path.read_text() if path.exists() else ""
    parts = [part.strip() for part in re.split(r"(?m)^(?=Figure \w$)", text) if part]
    kept = [part for part in parts if not part.startswith(f"Figure {letter}\n")]
    own = "\n".join([f"Figure {letter}", *lines])
    path.write_text("\n\n".join(sorted([*kept, own])) + "\n")


_HEADER = ("| figure | what | value | wanted | holds | rounds |", "|---|---|---|---|---|---|")


def _line(figure: Figure) -> str:
    holds = {True: "yes", False: "NO", None: ""}[figure.holds]
    cells = (figure.letter, figure.what, figure.value, figure.limit, holds, figure.rounds)
    return f"| {' | '.join(cells)} |"


def _machine() -> list[str]:
    """What it was measured on, and how busy that was."""
    from benchmark.store.provenance import code_revision, processor_name

    names = ("numpy", "scipy", "numba", "tifffile", "torch", "micro-sam", "hydra-core")
    revision = code_revision()
    return [
        f"{processor_name()}, {usable_cores()} cores, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, " + ", ".join(f"{n} {version(n)}" for n in names),
        f"commit {revision['commit']}{', changed' if revision['dirty'] else ''}; threads of "
        f"numerical libraries: {os.environ['OMP_NUM_THREADS']}",
        f"load before: {', '.join(f'{load:.2f}' for load in os.getloadavg())}; two busy processes "
        f"do {runs.scaling():.2f} times as much as one",
    ]


if __name__ == "__main__":
    main()
