"""Figure (d): how soon something is there."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path

from bench_parts.common import Figure, command, seconds, turns

LIMITS = (1.5, 3.0, 0.5)


def figure_d(scratch: Path, rounds: int) -> list[Figure]:
    """`--help`, `action=list`, and `import benchmark`, which must not load torch."""
    places = (f"results={scratch / 'd'}", f"datasets={scratch / 'datasets'}")
    look = "import sys, benchmark; print('torch' in sys.modules)"
    commands = {
        "--help": ("-m", "benchmark", "--help"),
        "action=list": ("-m", "benchmark", "action=list", *places),
        "import benchmark": ("-c", look),
    }
    for words in commands.values():
        command(*words)  # byte code is written
    starts = [partial(seconds, partial(command, *words)) for words in commands.values()]
    found = turns(rounds, *starts)
    loads_torch = command(*commands["import benchmark"]).stdout.strip() == "True"
    figures = []
    for name, times, limit in zip(commands, zip(*found, strict=True), LIMITS, strict=True):
        middle = statistics.median(times)
        holds = middle <= limit and not (name == "import benchmark" and loads_torch)
        torch = ", torch imported" if loads_torch else ", no torch imported"
        what = f"start-up, {name}" + (torch if name == "import benchmark" else "")
        told = ", ".join(f"{one:.2f}" for one in times)
        figures.append(Figure("d", what, f"{middle:.2f} s", f"<= {limit} s", holds, told))
    return figures
