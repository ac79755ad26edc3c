"""What the demo weights are worth, on real images that they were not trained on.

    python scripts/check_demo_weights.py <data.root> [--limit 10] [--amg 10] [--threads 2]

Runs Otsu, AMG, AIS and APG through the benchmark itself on `dsb/test` (whole frames) and on `u20s`
(crops, as the study prepares it) below data.root; turns images by 90 degrees, mirrors and
transposes them; takes APG apart; times each mode on a 512 x 512 image. Writes `demo_weights.md` and
`demo_weights.png` (examples, good and bad) into results/baselines, and draws the whole training's
curve beside the weights. Runs are kept and resumed in results/, as those of any other command.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
MODELS = ("otsu", "demo_ais", "demo_apg")
SETS = {
    "dsb/test": (
        "data=folder", "data.name=dsb_test", "data.images=dsb/test/images/*.tif",
        "data.labels=dsb/test/masks/*.tif",
    ),
    "u20s": ("data=u20s", "data.split=all"),
}  # fmt: skip
TURNED = {"ais": 5, "apg": 5, "amg": 2}  # images of each set that are turned
TIMES = 5
STAGED = 20  # images of dsb/test by which APG is taken apart


def main() -> None:
    """Run, check, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path, help="data.root, with dsb/test and u20s")
    parser.add_argument("--limit", type=int, help="images of each set; all where not given")
    parser.add_argument("--amg", type=int, help="images of each set for AMG, which takes longest")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--results", type=Path, default=CHECKOUT / "results")
    chosen = parser.parse_args()
    for data in SETS.values():
        _run(chosen, data, MODELS, chosen.limit)
        _run(chosen, data, ["demo_amg"], chosen.amg or chosen.limit)

    import torch

    torch.set_num_threads(chosen.threads)
    lines = [
        *_scores(chosen.results), *_stages(chosen), *_symmetry(chosen),
        *_seconds(chosen),
    ]  # fmt: skip
    page = CHECKOUT / "results" / "baselines" / "demo_weights.md"
    page.write_text("\n".join(lines) + "\n")
    _examples(chosen.results, page.with_suffix(".png"))
    _curve(CHECKOUT / "models" / "weights" / "packaged" / "demo")
    print("\n".join(lines))


def _run(
    chosen: argparse.Namespace, data: Sequence[str], models: Sequence[str], limit: int | None
) -> None:
    command = [
        sys.executable, "-m", "benchmark", "-m", f"model={','.join(models)}", *data,
        f"data.root={chosen.root.resolve()}", f"results={chosen.results.resolve()}",
        f"threads={chosen.threads}",
        *([f"limit={limit}"] if limit else []),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=CHECKOUT)


def _results(folder: Path) -> list[Any]:
    from omegaconf import OmegaConf

    from benchmark.report.results import load_results
    from benchmark.scoring.protocol import Protocol

    path = CHECKOUT / "configs" / "protocol" / "paper.yaml"
    paper: Any = OmegaConf.load(path)
    found = load_results(folder / "runs", Protocol(**paper))
    names = {"dsb_test", "u20s"}
    return [
        one for one in found if one.data in names and (one.mark == "demo" or one.model == "otsu")
    ]


def _scores(folder: Path) -> list[str]:
    from benchmark.report.tables.run_summary import summary

    frame = summary(_results(folder))
    lines = [
        "# The demo weights, on images that they were not trained on", "",
        "dsb_test: a split of our own, whole frames; u20s: 512 x 512 crops, as the study "
        "prepares it. Protocol `paper`, micro-sam's own defaults (AMG with a grid of 16 x 16). "
        "Each set's first images, as many as the table says.", "",
        "| data | model | images | mSA | 95 % interval | SA50 |",
        "|---|---|---:|---:|---|---:|",
    ]  # fmt: skip
    for row in frame.to_dict("records"):
        known = row["msa_low"] == row["msa_low"]
        interval = f"{row['msa_low']:.3f} - {row['msa_high']:.3f}" if known else "n/a"
        lines.append(
            f"| {row['data']} | {row['model']} | {row['images']} | {row['msa']:.3f} | {interval} "
            f"| {row['sa50']:.3f} |"
        )
    return lines


def _images(root: Path, count: int) -> list[Any]:
    import tifffile

    folders = (root / "dsb/test/images", root / "u20s/images")
    return [tifffile.imread(p) for folder in folders for p in sorted(folder.glob("*.tif"))[:count]]


def _stages(chosen: argparse.Namespace) -> list[str]:
    import tifffile
    from demo.checks import load
    from demo.stages import stages

    root = chosen.root / "dsb/test"
    paths = sorted((root / "images").glob("*.tif"))[: min(STAGED, chosen.limit or STAGED)]
    print("stages of apg", flush=True)
    pairs = [(tifffile.imread(p), tifffile.imread(root / "masks" / p.name)) for p in paths]
    found = stages(load("apg"), pairs)
    return [
        "", f"## Where APG loses (dsb/test, the first {len(paths)} images)", "",
        "mSA with one stage replaced by the truth; the mean IoU of masks whose prompt lies in an "
        "object, with that object.", "",
        "| " + " | ".join(found) + " |", "|" + "---:|" * len(found),
        "| " + " | ".join(f"{value:.3f}" for value in found.values()) + " |",
    ]  # fmt: skip


def _symmetry(chosen: argparse.Namespace) -> list[str]:
    from demo.checks import MODES, TURNS, load, symmetry

    lines = [
        "", "## Turned images", "",
        "mSA between the labels of the turned image and the turned labels of the image; the first "
        "images of both sets.", "",
        f"| model | images | {' | '.join(TURNS)} |", "|---|---:|" + "---:|" * len(TURNS),
    ]  # fmt: skip
    for mode in MODES:
        print(f"turned images: {mode}", flush=True)
        images = _images(chosen.root, min(TURNED[mode], chosen.limit or TURNED[mode]))
        found = symmetry(load(mode), images)
        numbers = [str(len(images)), *(f"{found[turn]:.3f}" for turn in TURNS)]
        lines.append(f"| {mode} | {' | '.join(numbers)} |")
    return lines


def _seconds(chosen: argparse.Namespace) -> list[str]:
    from demo.checks import MODES, load, seconds

    [image] = _images(chosen.root, 1)[1:]
    lines = [
        "", f"## Seconds for one image of 512 x 512, {chosen.threads} threads", "",
        f"Median of {TIMES} (of 2 by AMG); {platform.machine()}, {os.cpu_count()} cores. "
        "Loading comes after the imports.", "",
        "| model | seconds | loading |", "|---|---:|---:|",
    ]  # fmt: skip
    for mode in MODES:
        print(f"seconds: {mode}", flush=True)
        load(mode)
        start = time.perf_counter()
        model = load(mode)
        loading = time.perf_counter() - start
        taken = seconds(model, image[:512, :512], 2 if mode == "amg" else TIMES)
        lines.append(f"| {mode} | {taken:.2f} | {loading:.2f} |")
    return lines


def _examples(folder: Path, path: Path) -> None:
    """Best, median and worst image of each data set by APG, truth and prediction outlined."""
    from demo.examples import draw

    draw([one for one in _results(folder) if one.model == "apg"], path)


def _curve(folder: Path) -> None:
    """The whole training, from the logs of its parts."""
    from demo.output import read_parts, write_curve

    write_curve(folder / "curve.png", read_parts(folder))


if __name__ == "__main__":
    main()
