"""What a grid search costs by `predict_each` against a loop over its points, and what it brings.

    BENCHMARK_DATA=<folder> python scripts/bench_tuning.py <output> [gain:demo_apg loop:otsu ...]

`tuning_parts/trial.yaml` says which images, models, grids and points. Each image adds a line to a
file in <output>: running it again resumes, and the tables are printed from all lines. Of a search
that stands: the prompts that a loop would decode and those decoded; the score of each point; of the
chosen points the scores on images that did not choose. Of a loop: seconds of the search and of
points drawn at random, half of them predicted before and half after it, each compared to the bit;
nothing is kept from one to the next. Seconds are those of the processor, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
import torch
from omegaconf import OmegaConf

from benchmark.adapter import find_class
from benchmark.choices import CONFIGS
from benchmark.data.prepared import Entry, PreparedData
from benchmark.scoring.match import match
from benchmark.scoring.metrics import score
from benchmark.scoring.protocol import Protocol
from benchmark.stats.choice import Choice, choose
from benchmark.stats.interval import bootstrap_interval
from benchmark.store.digest import array_digest
from benchmark.store.identity import written
from benchmark.store.provenance import processor_name
from benchmark.tuning.grid import Grid, find_grid
from benchmark.types import Labels, Sample

Row = dict[str, Any]
TRIAL: Any = OmegaConf.to_container(
    OmegaConf.load(Path(__file__).parent / "tuning_parts" / "trial.yaml")
)
PROTOCOL = Protocol.of_settings(written("protocol", TRIAL["protocol"]))
METRIC, SEED = TRIAL["metric"], TRIAL["seed"]


@dataclass(frozen=True)
class Case:
    """A model on a set.

    Attributes:
        method: its name in the trial.
        data: the set's.
        output: the folder of all lines and prepared images.
    """

    method: str
    data: str
    output: Path

    @property
    def about(self) -> Mapping[str, Any]:
        """What the trial says of the model."""
        about: Mapping[str, Any] = TRIAL["methods"][self.method]
        return about

    @cached_property
    def adapter(self) -> Any:
        """The model's class."""
        return find_class(self.about["adapter"])

    def build(self, **point: Any) -> Any:
        """The model with a point's parameters in place of the default ones."""
        return self.adapter(**{**self.parameters, **point})

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Those that it is built with."""
        given = dict(self.about.get("parameters", {}))
        if hasattr(self.adapter, "find_weights"):
            given["weights"] = _weights(self.adapter, self.output)
        return given

    @cached_property
    def grid(self) -> Grid:
        """The points of the search, of which the first is the default."""
        return find_grid(
            self.about["grid"], self.adapter, self.parameters, model=self.method, folders=[CONFIGS]
        )

    @cached_property
    def settings(self) -> list[Mapping[str, Any]]:
        """The points as settings."""
        return [{}, *self.grid.points[1:]]

    def lines(self, kind: str) -> Path:
        """The file of one kind of lines."""
        return self.output / f"{kind}-{self.data}-{self.method}.jsonl"

    def rows(self, kind: str) -> list[Row]:
        """What is stored, in the order of the images."""
        path = self.lines(kind)
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def add(self, kind: str, entries: Iterable[Entry], measure: Callable[[Sample], Row]) -> None:
        """Measure the images that have no line yet."""
        stored = {row["sample"] for row in self.rows(kind)}
        for entry in entries:
            if entry.id in stored:
                continue
            row = measure(images(self.data, "test" if kind == "test" else "val", self.output).read(
                entry
            ))  # fmt: skip
            with self.lines(kind).open("a") as file:
                file.write(json.dumps({"sample": entry.id, "group": entry.group, **row}) + "\n")
            print(self.method, self.data, kind, entry.id, file=sys.stderr, flush=True)


_fetched: dict[Any, Any] = {}


def _weights(adapter: Any, output: Path) -> Any:
    """The demo weights; of a small network, random ones."""
    if adapter not in _fetched:
        from helpers import small_cellpose

        name = "demo"
        if adapter is small_cellpose.SmallCellposeSam:
            name = str(small_cellpose.make_checkpoint(output / "small_cellpose_sam"))
        _fetched[adapter] = adapter.find_weights(name).fetch()
    return _fetched[adapter]


def images(data: str, split: str, output: Path) -> PreparedData:
    """The prepared images of a split, those that the trial names.

    Raises:
        SystemExit: there are others.
    """
    place = output / "prepared" / split
    if not (place / data).exists():
        command = [
            sys.executable, "-m", "benchmark", "model=empty", f"data={data}", f"data.split={split}",
            f"protocol={PROTOCOL.name}", f"datasets={place}", f"results={output / 'empty'}",
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=sys.stderr)
    (folder,) = (place / data / "prepared").glob("[!.]*")
    found = PreparedData(folder, data, split)
    if found.images_digest() != TRIAL["sets"][data][split]:
        raise SystemExit(f"{data}, {split}: these are other images than {Path(__file__)} was for")
    return found


def value(sample: Sample, labels: Labels) -> float | None:
    """The metric of a label image."""
    assert sample.labels is not None
    return score(match(sample.labels, labels), PROTOCOL).metrics[METRIC]


def search(case: Case) -> None:
    """Score all points on the images that choose, and the best point on those that are tested."""
    model = case.build()

    def points(sample: Sample) -> Row:
        numbers: dict[str, int] = {}
        of_points, values = [], []
        start = time.process_time()
        each = model.predict_each(sample.image, case.settings)
        for labels in each:
            digest = array_digest(labels)
            if digest not in numbers:
                numbers[digest] = len(numbers)
                values.append(value(sample, labels))
            of_points.append(numbers[digest])
        seconds = time.process_time() - start
        counts = {name: getattr(model, "details", {}).get(name) for name in ("prompts", "decodes")}
        return {"points": of_points, "values": values, "seconds": seconds, **counts}

    case.add("val", images(case.data, "val", case.output).entries, points)
    best = chosen(case)[0].best

    def both(sample: Sample) -> Row:
        found = model.predict_each(sample.image, [{}, case.grid.points[best]])
        return {"best": best, "values": [value(sample, labels) for labels in found]}

    case.add("test", images(case.data, "test", case.output).entries, both)


def chosen(case: Case) -> tuple[Choice, int, int]:
    """The choice, by how many images, and how many had no say as their group is tested."""
    tested = {entry.group for entry in images(case.data, "test", case.output).entries}
    rows = case.rows("val")
    apart = [row for row in rows if row["group"] not in tested]
    scores = np.array([np.array(row["values"], float)[row["points"]] for row in apart])
    defined = ~np.isnan(scores).any(axis=1)
    groups = [row["group"] for row, kept in zip(apart, defined, strict=True) if kept]
    found = choose(scores[defined], groups, case.grid.distances(), SEED)
    return found, len(groups), len(rows) - len(apart)


def loop(case: Case) -> None:
    """Search, and predict some points one by one, on the first images that choose."""
    about = case.about["loop"]
    rng = np.random.default_rng(SEED)
    numbers = rng.choice(len(case.settings), about["equal"], replace=False).tolist()
    timed = numbers[: about["timed"]]
    entries = images(case.data, "val", case.output).entries[: about["images"]]
    model = case.build()

    def measure(sample: Sample) -> Row:
        seconds = []
        alone: dict[int, Labels] = {}

        def one_by_one(some: Sequence[int]) -> None:
            for number in some:
                single = case.build(**case.settings[number])
                if number in timed:
                    forget(single)
                start = time.process_time()
                alone[number] = single.predict(sample.image)
                if number in timed:
                    seconds.append(time.process_time() - start)

        one_by_one(numbers[::2])
        forget(model)
        start = time.process_time()
        found = list(model.predict_each(sample.image, case.settings))
        together = time.process_time() - start
        one_by_one(numbers[1::2])
        equal = sum(np.array_equal(found[number], labels) for number, labels in alone.items())
        counts = {name: getattr(model, "details", {}).get(name) for name in ("prompts", "decodes")}
        return {
            "together": together, "alone": seconds, "equal": equal, "compared": len(alone),
            "distinct": len({id(one) for one in found}), **counts,
        }  # fmt: skip

    case.add("loop", entries, measure)


def forget(model: Any) -> None:
    """Let what a model keeps of the last image be made again."""
    if hasattr(model, "_backbone"):
        model._backbone._last.clear()


def report(cases: Sequence[Case]) -> Iterator[str]:
    """The tables, of what is stored."""
    yield "Seconds of the processor for an image; of the loop: timed points, extrapolated"
    yield (
        f"{'method':18} {'set':4} {'images':>6} {'points':>6} {'label images':>12} {'search':>8} "
        f"{'timed':>5} {'loop':>8} {'ratio':>6} {'equal':>8}"
    )
    for case in cases:
        rows = case.rows("loop")
        if rows:
            size = len(case.settings)
            together = np.mean([row["together"] for row in rows])
            every = np.mean([np.mean(row["alone"]) for row in rows]) * size
            equal = f"{sum(r['equal'] for r in rows)}/{sum(r['compared'] for r in rows)}"
            yield (
                f"{case.method:18} {case.data:4} {len(rows):6} {size:6} "
                f"{np.mean([row['distinct'] for row in rows]):12.0f} {together:8.2f} "
                f"{len(rows[0]['alone']):5} {every:8.1f} {every / together:6.0f} {equal:>8}"
            )
    yield "\nPrompts of SAM: asked for by all points, decoded"
    yield f"{'method':18} {'set':4} {'images':>6} {'asked for':>9} {'decoded':>8} {'ratio':>6}"
    for case in cases:
        rows = [row for row in case.rows("val") or case.rows("loop") if row["decodes"]]
        if rows:
            asked, decoded = (sum(row[name] for row in rows) for name in ("prompts", "decodes"))
            yield (
                f"{case.method:18} {case.data:4} {len(rows):6} {asked:9} {decoded:8} "
                f"{asked / decoded:6.0f}"
            )
    yield f"\nChoices by {METRIC} under protocol {PROTOCOL.name}"
    for case in cases:
        if case.rows("test"):
            yield from _choice(case)


def _choice(case: Case) -> Iterator[str]:
    found, number, left_out = chosen(case)
    rows = [r for r in case.rows("test") if r["best"] == found.best and None not in r["values"]]
    default, best = np.array([row["values"] for row in rows]).T
    ends = bootstrap_interval(best - default, [row["group"] for row in rows], SEED)
    interval = "too few groups" if ends is None else f"{ends[0]:+.4f} to {ends[1]:+.4f}"
    point, start = case.grid.points[found.best], case.grid.points[0]
    changed = {name: value for name, value in point.items() if value != start[name]}
    safe = "the default" if found.of_rule("safe") == 0 else "the same"
    lower = "-" if found.lower is None else f"{found.lower:+.4f}"
    by_chance = "-" if found.by_chance is None else f"{found.by_chance:.4f}"
    words = ", ".join(f"{name} {value}" for name, value in changed.items()) or "the default"
    seconds = [row["seconds"] for row in case.rows("val")]
    yield (
        f"{case.method} on {case.data}: {len(case.settings)} points; {number} images in "
        f"{found.groups} groups choose ({left_out} left out, as their group is tested), "
        f"{np.mean(seconds):.1f} s each; {len(rows)} are tested\n"
        f"  default there {default.mean():.4f}, best {best.mean():.4f}\n"
        f"  promised {found.gain:+.4f} (by chance {by_chance}, lower end {lower}), "
        f"delivered {(best - default).mean():+.4f} ({interval})\n"
        f"  best: {words}\n"
        f"  safe: {safe}; another is the best in {found.differs:.0%} of resamples"
    )


def main() -> None:
    """Measure what is missing, then print all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path, help="folder for lines and prepared images")
    parser.add_argument("parts", nargs="*", help="such as gain:demo_apg or loop:otsu:dsb; else all")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.output.mkdir(parents=True, exist_ok=True)
    kinds = {"gain": search, "loop": loop}
    every = [
        f"{kind}:{method}"
        for method, about in TRIAL["methods"].items()
        for kind in kinds
        if kind == "loop" or about["gain"]
    ]
    for part in given.parts or every:
        kind, method, *sets = part.split(":")
        if f"{kind}:{method}" not in every or not set(sets) <= set(TRIAL["sets"]):
            parser.error(f"there is no {part}; there are {', '.join(every)}")
        for data in sets or TRIAL["sets"]:
            kinds[kind](Case(method, data, given.output))
    print(f"{processor_name()}, one thread, torch {torch.__version__}; demo weights")
    cases = [
        Case(method, data, given.output) for method in TRIAL["methods"] for data in TRIAL["sets"]
    ]
    print("\n".join(report(cases)))


if __name__ == "__main__":
    main()
