"""The summary as a figure."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.errors import BenchmarkError
from benchmark.report import escape
from benchmark.report.tables import data_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Tol's "muted" colours, safe for the colour-blind, from dark to light: models keep this
# order in every group and in the legend, so that a grey print can be read as well.
_COLOURS = (
    "#332288", "#882255", "#117733", "#AA4499", "#CC6677", "#44AA99", "#88CCEE", "#DDCC77",
)  # fmt: skip
_AGAIN = ("", "...", "xx", "oo")  # a ninth model gets the first colour, dotted, and so on
_PARTIAL = "////"

_BAR, _GAP, _HEADING = 0.17, 0.12, 0.24  # inches; a heading holds the name of a data set
_BARS_PER_PANEL = 80
_PANEL_WIDTH = 5.2
_LONGEST_NAME = 44
_PANEL_CHARACTERS, _HANDLE = 76, 8  # what a legend as wide as a panel holds, in letters


def bars(frame: pd.DataFrame, path_stem: Path) -> list[Path]:
    """One bar per run, grouped by data set: mSA, with its interval where there is one.

    Partial runs are hatched. Many data sets are laid out in several panels side by side.

    Args:
        frame: what `tables.summary` returned.
        path_stem: the files' path without their suffix, in a folder that exists.

    Returns:
        The paths written: PNG and SVG.

    Raises:
        BenchmarkError: the frame has no row.
    """
    from matplotlib.figure import Figure

    if frame.empty:
        raise BenchmarkError("There is no run to draw. Run a model first, then report.")
    styles = _styles(frame)
    panels = _panels(frame.assign(group=data_names(frame)))
    height = max(sum(_height(rows) for rows in panel) for panel in panels)
    widest = max(len(shorten(model)) for model in styles) + _HANDLE
    legend_columns = max(1, _PANEL_CHARACTERS * len(panels) // max(widest, len("95 % interval")))
    legend_rows = -(-(len(styles) + 2) // legend_columns)
    figure = Figure(
        figsize=(_PANEL_WIDTH * len(panels), height + 0.9 + 0.2 * legend_rows),
        layout="constrained",
    )
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel, styles, height)
    _legend(figure, styles, legend_columns, partial=bool((frame["status"] != "complete").any()))
    return _save(figure, path_stem)


def _styles(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour and hatch of each model, the best on average first."""
    models = frame.groupby("model")["msa"].mean().sort_values(ascending=False, kind="stable").index
    every = ({"facecolor": colour, "hatch": hatch} for hatch in _AGAIN for colour in _COLOURS)
    if len(models) <= len(_COLOURS):  # few models: take colours far apart
        chosen = np.linspace(0, len(_COLOURS) - 1, max(len(models), 2)).round().astype(int)
        every = ({"facecolor": _COLOURS[i], "hatch": ""} for i in chosen)
    return dict(zip(models, islice(cycle(every), len(models)), strict=True))


def _height(rows: pd.DataFrame) -> float:
    return _HEADING + _BAR * len(rows) + _GAP


def _panels(frame: pd.DataFrame) -> list[list[pd.DataFrame]]:
    """The data sets' rows, shared out evenly over as many panels as keep the page in shape."""
    groups = [rows for _, rows in frame.groupby("group", sort=False)]
    panels: list[list[pd.DataFrame]] = [[]]
    target = sum(map(_height, groups)) / -(-len(frame) // _BARS_PER_PANEL)
    for rows in groups:
        if panels[-1] and sum(map(_height, [*panels[-1], rows])) > 1.1 * target:
            panels.append([])
        panels[-1].append(rows)
    return panels


def _draw(
    axes: Axes, panel: list[pd.DataFrame], styles: dict[str, dict[str, Any]], height: float
) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.5, foreground="white")]
    order = {model: place for place, model in enumerate(styles)}
    y = 0.0  # inches from the top, so that bars are equally thick whatever the page
    for rows in panel:
        name = escape.mathtext(shorten(str(rows["group"].iloc[0])))
        axes.text(0, y + 0.8 * _HEADING, name, fontsize=9, fontweight="bold", va="baseline")
        y += _HEADING
        for row in rows.sort_values("model", key=lambda names: names.map(order)).to_dict("records"):
            middle, end = y + _BAR / 2, np.nan_to_num(row["msa"])
            style = dict(styles[row["model"]])
            if row["status"] != "complete":
                style |= {"hatch": style["hatch"] + _PARTIAL, "alpha": 0.55}
            axes.barh(middle, end, 0.88 * _BAR, edgecolor="black", linewidth=0.6, **style)
            if pd.notna(row["msa_low"]):
                axes.plot(
                    [row["msa_low"], row["msa_high"]], [middle, middle],
                    color="black", linewidth=1.1, path_effects=halo, solid_capstyle="butt",
                )  # fmt: skip
            label = "n/a" if pd.isna(row["msa"]) else f"{row['msa']:.3f}"
            right = np.nanmax([end, row["msa_high"]])
            axes.text(right + 0.012, middle, label, fontsize=7, va="center")
            y += _BAR
        y += _GAP
    axes.set(xlim=(0, 1.1), ylim=(height, 0), yticks=[], xticks=np.arange(0, 1.1, 0.2))
    axes.set_xlabel("mSA (mean over images)")
    axes.grid(axis="x", color="0.85", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["bottom"].set_bounds(0, 1)  # no mSA lies beyond; labels do


def _legend(
    figure: Figure, styles: dict[str, dict[str, Any]], columns: int, *, partial: bool
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(edgecolor="black", label=escape.mathtext(shorten(model)), **style)
        for model, style in styles.items()
    ]
    handles.append(Line2D([], [], color="black", label="95 % interval"))
    if partial:
        handles.append(Patch(facecolor="white", edgecolor="black", hatch=_PARTIAL, label="partial"))
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, fontsize=8, frameon=False
    )


def shorten(name: str) -> str:
    """The name with its middle left out where it would push the drawing off the page."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}...{name[-half:]}"


def _save(figure: Figure, path_stem: Path) -> list[Path]:
    import matplotlib

    paths = [path_stem.with_name(f"{path_stem.name}.{suffix}") for suffix in ("png", "svg")]
    # The same results give the same file: no random ids, no date.
    with matplotlib.rc_context({"svg.hashsalt": "benchmark"}), missing_glyphs_allowed():
        for path in paths:
            date = {"Date": None} if path.suffix == ".svg" else {}
            figure.savefig(path, dpi=150, facecolor="white", metadata=date)
    return paths


@contextmanager
def missing_glyphs_allowed() -> Iterator[None]:
    """Names in scripts the font lacks are drawn as boxes; that is no reason to warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
