"""Which prompts, which masks: tables of the sweep `+experiment=prompts`, with paired gains.

    BENCHMARK_DATA=<folder> python scripts/prompts_table.py <results> > results/baselines/prompts.md

It reads stored runs, and predicts nothing. The runs come from

    python -m benchmark +experiment=prompts data=dsb results=<results>
    python -m benchmark +experiment=prompts data=u20s data.split=all results=<results>

and, for the weights that know boxes, from both lines with `+experiment=prompts_boxes`. A run that
is missing or incomplete is named as such.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmark.report.results import RunResult, gather
from benchmark.scoring.protocol import Protocol
from benchmark.stats.comparison import Comparison, compare
from benchmark.store.identity import written

METHODS = {
    "otsu": "Otsu",
    "otsu_demo": "Otsu's points, demo masks",
    "musam_ais": "AIS",
    "ais_demo": "AIS's points, demo masks",
    "ais_demo_boxes": "AIS's boxes, demo masks",
    "ais_demo_both": "AIS's points and boxes, demo masks",
    "apg": "APG: its decoder's points, demo masks",
    "truth_demo": "true points, demo masks",
    "truth_demo_boxes": "true boxes, demo masks",
    "truth_demo_both": "true points and boxes, demo masks",
}
"""By the name in the YAML, in the order of the table."""
BOXES = "demo_boxes"
"""The weights that know boxes; a method with them has this before its name."""

PAIRS = (
    ("otsu_demo", "otsu"),
    ("ais_demo", "musam_ais"),
    ("ais_demo_boxes", "musam_ais"),
    ("ais_demo_both", "musam_ais"),
    ("ais_demo_boxes", "ais_demo"),
    ("ais_demo_both", "ais_demo"),
    ("apg", "musam_ais"),
    ("apg", "ais_demo"),
    ("apg", "otsu_demo"),
    ("truth_demo", "apg"),
    ("truth_demo_boxes", "truth_demo"),
    ("truth_demo_both", "truth_demo"),
)
"""The first against the second: what it starts from, or what differs in one thing."""

KNOWING = {
    f"{BOXES} {name}": title.replace("demo masks", f"{BOXES} masks")
    for name, title in METHODS.items()
    if "demo masks" in title and name != "otsu_demo"
}
KNOWING_PAIRS = (
    *((name, name.removeprefix(f"{BOXES} ")) for name in KNOWING),
    *((f"{BOXES} {name}", "musam_ais") for name, other in PAIRS if other == "musam_ais"),
    *((f"{BOXES} {a}", f"{BOXES} {b}") for a, b in PAIRS if f"{BOXES} {b}" in KNOWING),
)


def main() -> None:
    """Print the tables of both data sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder of the sweep's results")
    results: Path = parser.parse_args().results
    protocol = Protocol.of_settings(written("protocol", "paper"))
    found, _ = gather(results / "runs", protocol)
    by_data: dict[str, dict[str, RunResult]] = {}
    for result in found:
        name = result.model.partition(" (")[0]
        if result.weights.startswith(BOXES):  # of masks first, then of the source
            name = f"{BOXES} {name}"
        by_data.setdefault(result.data, {})[name] = result
    print("# Which prompts, which masks\n")
    print(
        "Demo weights, each method at its defaults, protocol paper. mSA: mean over images with its "
        "95 % bootstrap interval. Gain: mean paired difference with its 95 % interval, and p of "
        "the sign-flip permutation test, each comparison alone: none is corrected for the others."
    )
    for data, methods in sorted(by_data.items()):
        print(f"\n## {data}\n")
        for titles, pairs in ((METHODS, PAIRS), (KNOWING, KNOWING_PAIRS)):
            print("\n".join(_scores(methods, titles)))
            print()
            print("\n".join(_gains(methods, pairs)))
            print()


def _scores(methods: Mapping[str, RunResult], titles: Mapping[str, str]) -> Iterator[str]:
    yield "| method | images | mSA | 95 % interval | SA50 | status |"
    yield "|---|---|---|---|---|---|"
    for name, title in titles.items():
        result = methods.get(name)
        if result is None:
            yield f"| {title} | | | | | missing |"
            continue
        n = result.numbers
        yield (
            f"| {title} | {n['images']} | {n['msa']:.3f} | {n['msa_low']:.3f} to "
            f"{n['msa_high']:.3f} | {n['sa50']:.3f} | {result.status} |"
        )


def _gains(methods: Mapping[str, RunResult], pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    titles = METHODS | KNOWING
    yield "| a | against b | images | gain of a | 95 % interval | p | a better on |"
    yield "|---|---|---|---|---|---|---|"
    for a, b in pairs:
        if a in methods and b in methods:
            found = compare(methods[a].scores, methods[b].scores)
            yield f"| {titles[a]} | {titles[b]} | {_gain(found)} |"


def _gain(found: Comparison) -> str:
    low, high = found.interval or (float("nan"), float("nan"))
    p = "< 0.0001" if found.p is not None and found.p < 0.0001 else f"{found.p:.4f}"
    better = f"{found.a_better} of {found.samples}"
    return f"{found.samples} | {found.difference:+.3f} | {low:+.3f} to {high:+.3f} | {p} | {better}"


if __name__ == "__main__":
    main()
