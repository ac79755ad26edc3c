"""Runs to report on, and tables read back as their readers would."""

import csv
import io
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
from markdown_it import MarkdownIt
from rich.console import Console

from benchmark.report.results import RunResult
from benchmark.report.tables import run_summary

HOSTILE = [
    "<img src=x>", "a&b_%.tif", "[red]", "$x$", "=1+1", "\x1b[31mred", "a|b\\", "line\nbreak",
    "*bold* `code` ~~x~~ #1", "^{~}\\end{tabular}", "$$", "\u202egpj", "Zelle_é_細胞", "\ud800", "",
]  # fmt: skip


def run(model="otsu", data="dsb", msa=(0.5,) * 6, **changes):
    """A RunResult whose images score `msa`, each image a group of its own."""
    n = len(msa)
    scores = pd.DataFrame(
        {
            "group": [f"g{i}" for i in range(n)],
            "n_true": [4] * n,
            "n_predicted": [4] * n,
            "true_positives": [(2,) + (1,) * 9] * n,
            "both_empty": [False] * n,
            "seconds": np.arange(n, dtype=float) ** 2,
            "msa": np.array(msa, float),
            "sa50": np.array(msa, float) / 2,
        },
        index=[f"s{i}" for i in range(n)],
    )
    scores = scores.assign(**changes.pop("scores", {}))
    fields = {
        "run_id": f"{abs(hash((model, data))):032x}"[-32:],
        "path": Path("nowhere"),
        "model": model,
        "data": data,
        "split": "test",
        "protocol": "paper",
        "expected": n,
        "failed": 0,
        "mixed": False,
    }
    return RunResult(**(fields | changes), scores=scores)


def printed(frame, width=200):
    console = Console(
        width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(run_summary.console(frame))
    return console.file.getvalue()


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def markdown_cells(text):
    """The table's body as a Markdown reader shows it, row by row."""
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    tree = xml.etree.ElementTree.fromstring(f"<page>{html}</page>")
    return [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")][1:]


def fake(model, data="dsb", msa=None, seed=0, **changes):
    """The same on eight images, with scores drawn from a seed and an id of its own."""
    msa = np.random.default_rng(seed).uniform(0.2, 0.8, 8) if msa is None else msa
    run_id = f"{abs(hash((model, data, seed, str(changes)))):032x}"[-32:]
    return run(model, data, msa, **({"run_id": run_id} | changes))
