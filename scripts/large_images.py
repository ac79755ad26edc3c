"""What tiles are worth on images larger than the models, and how much memory they take.

    BENCHMARK_DATA=<folder> python scripts/large_images.py <output> mosaics [--only ais-2048]
    python scripts/large_images.py <output> memory [--only otsu-16000]
    python scripts/large_images.py <output> table > results/baselines/large_images.txt

`mosaics`: different fields of u20s side by side, shifted by 173 and 211 pixels so that borders of
tiles lie elsewhere than borders of fields; the same fields predicted singly are what tiles are
compared with. `memory`: the peak of the whole command, from preparing to the report, on a drawn
image with 50,000 nuclei. Both keep what they have measured in the output folder, a line for each
case, and repeat none of it; `--only` measures one case.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmark.choices import CHECKOUT
from benchmark.framing.framed import framed
from benchmark.framing.framing import Framing
from benchmark.framing.tiling import predict_tiled
from benchmark.scoring.match import match

SHIFT = (173, 211)
FIELD = (512, 696)
TILE, HALO = (512, 512), (64, 64)
SIZES = (1024, 2048, 4096)
MODES = ("ais", "apg")
WAYS = ("singly", "untiled", "tiled", "generic")
"""Each field by itself; the whole image; in tiles, as the adapter does; by the engine's tiler."""

MEMORY = {
    "otsu-2000": ("otsu", 2000, "off"),
    "otsu-4000": ("otsu", 4000, "off"),
    "otsu-4000-tiled": ("otsu", 4000, "[2048,2048]"),
    "otsu-8000-tiled": ("otsu", 8000, "[2048,2048]"),
    "otsu-16000-tiled": ("otsu", 16000, "[2048,2048]"),
    "demo_ais-4000-tiled": ("demo_ais", 4000, "[512,512]"),
    "demo_apg-4096-tiled": ("demo_apg", 4096, "[512,512]"),
    "demo_ais-16000-tiled": ("demo_ais", 16000, "[512,512]"),
}
"""Case -> model, side in pixels, and `model.tile`."""

PER_SIDE = 224  # nuclei along a side of 16,000 pixels: 50,176 in all

Labels = NDArray[Any]


def fields(root: Path) -> list[tuple[Labels, Labels]]:
    """The fields of u20s, 512 x 696, and their labels."""
    images = sorted((root / "u20s" / "images").glob("*.tif"))
    pairs = ((tifffile.imread(p), tifffile.imread(root / "u20s/labels" / p.name)) for p in images)
    return [(image[4:516], labels[4:516]) for image, labels in pairs]


def mosaic(parts: Sequence[Labels], size: int) -> Labels:
    """Fields side by side, shifted around the border; size x size."""
    columns = -(-size // FIELD[1])
    rows = [parts[start : start + columns] for start in range(0, len(parts), columns)]
    whole = np.block([[*row] for row in rows])
    return np.roll(whole, SHIFT, axis=(0, 1))[:size, :size]


def label_mosaic(parts: Sequence[Labels], size: int) -> Labels:
    """The same of label images: ids of fields differ, and objects cut by the border are several."""
    first, numbered = 0, []
    for labels in parts:
        numbered.append(np.where(labels > 0, labels.astype(np.int64) + first, 0))
        first += int(labels.max(initial=0))
    found = mosaic(numbered, size)
    # What was shifted out at one side came in at the other.
    quadrant = np.add.outer(
        2 * (np.arange(size) < SHIFT[0]), (np.arange(size) < SHIFT[1]).astype(int)
    )
    return np.where(found > 0, found * 4 + quadrant, 0)


def cut_by_tiles(truth: Labels) -> NDArray[np.uint64]:
    """The ids of the objects that a border between tiles cuts."""
    cut = []
    for axis in (0, 1):
        lines = np.arange(TILE[axis], truth.shape[axis], TILE[axis])
        sides = (np.take(truth, lines - 1, axis), np.take(truth, lines, axis))
        cut.append(sides[0][(sides[0] == sides[1]) & (sides[0] > 0)])
    return np.unique(np.concatenate(cut)).astype(np.uint64)


def away_from_seams(labels: Labels) -> Labels:
    """The label image without the objects that touch a border of a field or of the mosaic."""
    on_seam = []
    for axis, (shift, field) in enumerate(zip(SHIFT, FIELD, strict=True)):
        seams = np.arange(shift % field, labels.shape[axis], field)
        lines = np.concatenate([[0, labels.shape[axis] - 1], seams - 1, seams])
        on_seam.append(np.unique(np.take(labels, lines, axis)))
    return np.where(np.isin(labels, np.concatenate(on_seam)), 0, labels)


def scores(truth: Labels, found: Labels) -> dict[str, Any]:
    """Scores of one image, and what became of the objects cut by borders of tiles and the others.

    Of these: how many are matched at an IoU of 0.5, and their mean IoU. `msa_inside` is without
    objects at the borders of fields, where nuclei of two fields lie side by side as in no image.
    """
    from demo.checks import accuracy

    overlap = match(truth, found)
    matched = overlap.matched_pairs
    index, iou = overlap.true_index[matched], overlap.iou[matched]
    is_cut = np.isin(overlap.true.ids, cut_by_tiles(truth))
    row: dict[str, Any] = {
        "msa": accuracy(truth, found),
        "msa_inside": accuracy(away_from_seams(truth), away_from_seams(found)),
        "true": len(overlap.true),
        "predicted": len(overlap.predicted),
    }
    for name, which in (("cut", is_cut), ("others", ~is_cut)):
        here = which[index]
        row[f"{name}_objects"] = int(which.sum())
        row[f"{name}_matched"] = float(here.sum() / max(which.sum(), 1))
        row[f"{name}_iou"] = float(iou[here].mean()) if here.any() else None
    return row


class _Plain:
    """An adapter's `predict` alone, so that the engine tiles."""

    def __init__(self, model: Any) -> None:
        self.predict = model.predict


def predict(way: str, model: Any, parts: Sequence[Labels], size: int) -> Labels:
    """The label image of a mosaic of fields, size x size."""
    if way == "singly":
        return label_mosaic([model.predict(part) for part in parts], size)
    image = mosaic(parts, size)
    if way == "untiled":
        return np.asarray(model.predict(image))
    if way == "generic":
        return predict_tiled(image, TILE, HALO, _Plain(model).predict)
    return framed(model, Framing(TILE, HALO), "model").predict(image)


def measure_mosaics(wanted: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    """Measure what is not measured yet.

    Args:
        wanted: whether a case is.
    """
    from demo.checks import load

    from benchmark.types import Tiled

    every = fields(Path(os.environ["BENCHMARK_DATA"]))
    for mode in MODES:
        model = None
        for size in SIZES:
            count = size // FIELD[0] * -(-size // FIELD[1])
            for way in WAYS:
                case = f"{mode}-{size}-{way}"
                if not wanted(case):
                    continue
                model = model or load(mode)
                if way == "generic" and not isinstance(model, Tiled):
                    continue  # it is what `tiled` does
                images, labels = zip(*every[:count], strict=True)
                truth = label_mosaic(labels, size)
                start = time.perf_counter()
                found = predict(way, model, images, size)
                seconds = time.perf_counter() - start
                native = isinstance(model, Tiled) and way == "tiled"
                yield {
                    "case": case,
                    "seconds": seconds,
                    "fields": count,
                    "by": "adapter" if native else "engine",
                    **scores(truth, found),
                }


def drawn(folder: Path, side: int) -> tuple[Path, Path]:
    """An image with as many nuclei per area as 50,176 on 16,000 x 16,000, and its labels."""
    paths = folder / f"image_{side}.tif", folder / f"labels_{side}.tif"
    if all(path.exists() for path in paths):
        return paths
    random = np.random.default_rng(0)
    count = round(PER_SIDE * side / 16000)
    pitch = side / count
    image = random.integers(5, 15, (side, side), np.uint8)
    labels = np.zeros((side, side), np.uint16)
    grid = np.mgrid[-30:31, -30:31]
    number = 0
    for row in range(count):
        for column in range(count):
            number += 1
            radius = random.uniform(12, 24)
            y, x = ((np.array([row, column]) + 0.5) * pitch + random.uniform(-8, 8, 2)).astype(int)
            disk = np.hypot(*grid) <= radius
            rows, columns = grid[0][disk] + y, grid[1][disk] + x
            inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
            rows, columns = rows[inside], columns[inside]
            labels[rows, columns] = number
            image[rows, columns] = random.integers(90, 200)
    folder.mkdir(parents=True, exist_ok=True)
    for path, array in zip(paths, (image, labels), strict=True):
        tifffile.imwrite(path, array, compression="zlib")
    return paths


def measure_memory(output: Path, wanted: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    """Run each case as a command of its own, and take the peak of its process.

    Args:
        output: for images and results.
        wanted: whether a case is.
    """
    for case, (model, side, tile) in MEMORY.items():
        if not wanted(case):
            continue
        image, labels = drawn(output / "drawn", side)
        place = output / "runs" / case
        words = [
            f"model={model}", "data=folder", f"data.name=drawn_{side}", f"data.images={image}",
            f"data.labels={labels}", f"model.tile={tile}", "workers=1", "threads=1", "device=cpu",
            f"results={place / 'results'}", f"datasets={place / 'datasets'}",
        ]  # fmt: skip
        start = time.perf_counter()
        pid = os.spawnve(
            os.P_NOWAIT, sys.executable, [sys.executable, "-m", "benchmark", *words], os.environ
        )
        status, peak = _watched(pid)
        runs = [json.loads(p.read_text()) for p in place.glob("results/runs/*/run.json")]
        assert os.waitstatus_to_exitcode(status) == 0, f"{case} failed"
        records = [
            json.loads(line)
            for path in place.glob("results/runs/*/records/*.jsonl")
            for line in path.read_text().splitlines()
        ]
        lines = [
            json.loads(line)
            for path in place.glob("results/runs/*/scores/*/*.jsonl")
            for line in path.read_text().splitlines()
        ]
        yield {
            "case": case,
            "model": runs[0]["model"],
            "seconds": time.perf_counter() - start,
            "peak": max(peak, records[-1]["memory"]["host"]),
            "predict": records[-1]["memory"]["host"],
            **({key: lines[-1][key] for key in ("n_true", "n_predicted")} if lines else {}),
        }


def _watched(pid: int) -> tuple[int, int]:
    """Wait for a process: its status, and its highest memory in bytes.

    A run begins its own count again before each prediction, so what it has had is read as it runs.
    """
    peak = 0
    while True:
        try:
            text = Path(f"/proc/{pid}/status").read_text()
            peak = max([peak, *(int(kb) * 1024 for kb in re.findall(r"VmHWM:\s+(\d+)", text))])
        except OSError:  # it has ended, which `wait4` says next
            pass
        ended, status, _ = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, peak
        time.sleep(0.05)


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What was measured, for people."""
    by_case = {row["case"]: row for row in rows}
    yield f"u20s in mosaics shifted by {SHIFT}; tiles {TILE}, halo {HALO}; demo weights, CPU"
    yield "singly: each field by itself; untiled: the mosaic at once; generic: the engine's tiler"
    yield "inside: mSA without objects at borders of fields, which no real image has"
    yield "cut: objects that a border between tiles cuts; matched at an IoU of 0.5, and their IoU"
    yield (
        f"{'case':20} {'fields':>6} {'true':>6} {'found':>6} {'mSA':>6} {'inside':>6} "
        f"{'cut':>5} {'matched':>8} "
        f"{'IoU':>6} {'others':>7} {'IoU':>6} {'s':>7}"
    )
    for case in (f"{m}-{s}-{w}" for m in MODES for s in SIZES for w in WAYS):
        row = by_case.get(case)
        if row is not None:
            by = f" by the {row['by']}" if case.endswith("-tiled") else ""
            yield (
                f"{case:20} {row['fields']:6} {row['true']:6} {row['predicted']:6} "
                f"{_three(row['msa']):>6} {_three(row['msa_inside']):>6} "
                f"{row['cut_objects']:5} {row['cut_matched']:8.1%} "
                f"{_three(row['cut_iou']):>6} {row['others_matched']:7.1%} "
                f"{_three(row['others_iou']):>6} {row['seconds']:7.0f}{by}"
            )
    yield ""
    yield "Peak memory of the command, and of its prediction; nuclei drawn, 196 per million pixels"
    yield f"{'case':22} {'true':>6} {'found':>6} {'peak GB':>8} {'predict GB':>11} {'s':>7}  model"
    for case in MEMORY:
        row = by_case.get(case)
        if row is not None:
            yield (
                f"{case:22} {row.get('n_true', ''):>6} {row.get('n_predicted', ''):>6} "
                f"{row['peak'] / 1e9:8.2f} {row['predict'] / 1e9:11.2f} {row['seconds']:7.0f}  "
                f"{row['model']}"
            )


def _three(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path, help="what was measured, drawn images and runs")
    parser.add_argument("part", choices=("mosaics", "memory", "table"))
    parser.add_argument("--only", default="", help="the beginning of the cases to measure")
    chosen = parser.parse_args()
    output: Path = chosen.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    path = output / "measured.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    if chosen.part == "table":
        print("\n".join(table(rows)))
        return
    known = {row["case"] for row in rows}

    def wanted(case: str) -> bool:
        return case.startswith(chosen.only) and case not in known

    os.chdir(CHECKOUT)
    measured = (
        measure_mosaics(wanted) if chosen.part == "mosaics" else measure_memory(output, wanted)
    )
    for row in measured:
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
