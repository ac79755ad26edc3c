"""What the demo weights are worth, on real images that they were not trained on.

    python scripts/check_demo_weights.py <data.root> [--limit 10] [--results <folder>]

Runs Otsu, AMG, AIS and APG through the benchmark itself on `dsb/test` (whole frames) and on `u20s`
(crops, as the study prepares it) below data.root; turns images by 90 degrees, mirrors and
transposes them; replaces each stage of APG by the truth. Writes `demo_weights.md` and
`demo_weights.png` (the best and worst images) into results/baselines. Runs are kept and resumed
in results/, as those of any other command.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tifffile

from benchmark.choices import CHECKOUT

MODELS = "otsu,demo_ais,demo_apg,demo_amg"
SETS = {
    "dsb_test": (
        "data=folder", "data.name=dsb_test", "data.images=dsb/test/images/*.tif",
        "data.labels=dsb/test/masks/*.tif",
    ),
    "u20s": ("data=u20s", "data.split=all"),
}  # fmt: skip
THREADS = 2  # of torch
STAGED = 20  # images of dsb/test for the stages of APG
TURNED = {"ais": 5, "apg": 5, "amg": 2}  # images of each set that are turned


def main() -> None:
    """Run, check, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path, help="data.root, with dsb/test and u20s")
    parser.add_argument("--limit", type=int, help="images of each set; all where not given")
    parser.add_argument("--results", type=Path, default=CHECKOUT / "results")
    chosen = parser.parse_args()
    root, results = chosen.root.resolve(), chosen.results.resolve()
    limit = [] if chosen.limit is None else [f"limit={chosen.limit}"]
    for data in SETS.values():
        subprocess.run(
            [
                sys.executable, "-m", "benchmark", "-m", f"model={MODELS}", *data, *limit,
                f"data.root={root}", f"results={results}", f"threads={THREADS}",
            ],
            check=True,
            cwd=CHECKOUT,
        )  # fmt: skip

    import torch

    torch.set_num_threads(THREADS)
    runs = _results(results)
    page = results / "baselines" / "demo_weights.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(
        "# The demo weights, on images that they were not trained on\n\n"
        "dsb_test: a split of our own, whole frames; u20s: 512 x 512 crops, as the study "
        "prepares it. Protocol `paper`, micro-sam's own defaults (AMG with a grid of 16 x 16). "
        f"Seconds: median per image, {THREADS} threads.\n\n"
        + "\n".join([*_scores(runs), *_stages(root, chosen.limit), *_symmetry(root, chosen.limit)])
    )
    _examples(runs, page.with_suffix(".png"))
    print(page.read_text())


def _results(folder: Path) -> list[Any]:
    from omegaconf import OmegaConf

    from benchmark.report.results import load_results
    from benchmark.scoring.protocol import Protocol

    paper: Any = OmegaConf.load(CHECKOUT / "configs" / "protocol" / "paper.yaml")
    found = load_results(folder / "runs", Protocol(**paper))
    return [
        run for run in found if run.data in SETS and (run.mark == "demo" or run.model == "otsu")
    ]


def _scores(runs: Sequence[Any]) -> list[str]:
    from benchmark.report.tables.run_summary import summary

    numbers = ("msa", "msa_low", "msa_high", "sa50", "seconds")
    rows = (
        {name: row[name] for name in ("data", "model", "images", *numbers)}
        for row in summary(runs).to_dict("records")
    )
    return _table(rows)


def _stages(root: Path, limit: int | None) -> list[str]:
    from demo.checks import load, stages

    paths = _paths(root / "dsb/test", limit, STAGED)
    pairs = [(tifffile.imread(p), tifffile.imread(p.parents[1] / "masks" / p.name)) for p in paths]
    return [
        "", f"## Where APG loses (dsb/test, the first {len(paths)} images)", "",
        "mSA with one stage replaced by the truth; the mean IoU of masks whose prompt lies in an "
        "object, with that object.", "",
        *_table([stages(load("apg"), pairs)]),
    ]  # fmt: skip


def _symmetry(root: Path, limit: int | None) -> list[str]:
    from demo.checks import load, symmetry

    rows = []
    for mode, most in TURNED.items():
        paths = [p for data in ("dsb/test", "u20s") for p in _paths(root / data, limit, most)]
        found = symmetry(load(mode), [tifffile.imread(path) for path in paths])
        rows.append({"model": mode, "images": len(paths), **found})
    return [
        "", "## Turned images", "",
        "mSA between the labels of the turned image and the turned labels of the image; the first "
        "images of both sets.", "",
        *_table(rows),
    ]  # fmt: skip


def _paths(folder: Path, limit: int | None, most: int) -> list[Path]:
    return sorted((folder / "images").glob("*.tif"))[: min(most, limit or most)]


def _table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """In Markdown; numbers with three digits after the point."""
    rows = list(rows)
    cells = [
        [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()]
        for row in rows
    ]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *cells]
    return [f"| {' | '.join(line)} |" for line in lines]


def _examples(runs: Sequence[Any], path: Path) -> None:
    """The overlays in the reports of APG's runs, a row for each run."""
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    overlays = [
        sorted((run.path / "report/overlays").glob("*.png")) for run in runs if run.model == "apg"
    ]
    columns = max(map(len, overlays))
    figure = Figure(figsize=(6 * columns, 3.5 * len(overlays)), layout="constrained")
    rows = figure.subplots(len(overlays), columns, squeeze=False)
    for axes in rows.ravel():
        axes.set_axis_off()
    for row, drawn in zip(rows, overlays, strict=True):
        for axes, one in zip(row, drawn, strict=False):
            axes.imshow(imread(one))
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
