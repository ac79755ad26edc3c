"""What all figures share: colours with their hatches, markers, and how they are written."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.report import escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Tol's "muted" colours, safe for the colour-blind, from dark to light: methods keep this
# order in every group and in the legend, so that a grey print can be read as well.
COLOURS = (
    "#332288", "#882255", "#117733", "#AA4499", "#CC6677", "#44AA99", "#88CCEE", "#DDCC77",
)  # fmt: skip
_AGAIN = ("", "...", "xx", "oo")  # a ninth method gets the first colour, dotted, and so on
PARTIAL = "////"

# Markers of even and of odd methods differ, and lines too: prints in grey tell them apart.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
_LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))

SUFFIXES = ("png", "svg", "pdf")
_LONGEST_NAME = 44
_DPI = 150

SMALL = 7  # points
NORMAL = 9
IN_DOMAIN = "\N{BLACK DIAMOND}"

Styles = dict[str, dict[str, Any]]


class NothingToDrawError(BenchmarkError):
    """A figure can't be drawn from these results; the message says why."""

    def __init__(self, *sentences: str) -> None:
        super().__init__(" ".join(filter(None, sentences)))


def bar_styles(names: Sequence[str]) -> Styles:
    """Colour and hatch of each name's bars, in the order given."""
    every = ({"facecolor": colour, "hatch": hatch} for hatch in _AGAIN for colour in COLOURS)
    if len(names) <= len(COLOURS):  # few names: take colours far apart
        chosen = np.linspace(0, len(COLOURS) - 1, max(len(names), 2)).round().astype(int)
        every = ({"facecolor": COLOURS[i], "hatch": ""} for i in chosen)
    return dict(zip(names, islice(cycle(every), len(names)), strict=True))


def line_styles(names: Sequence[str]) -> Styles:
    """Colour, marker and dashes of each name's lines, in colours as its bars."""
    marks = ((_MARKERS[i % len(_MARKERS)], _LINES[i % len(_LINES)]) for i in range(len(names)))
    return {
        name: {"color": style["facecolor"], "marker": marker, "linestyle": line}
        for (name, style), (marker, line) in zip(bar_styles(names).items(), marks, strict=True)
    }


def shorten(name: str, longest: int = _LONGEST_NAME) -> str:
    """The name with its middle left out where it would push the drawing off the page."""
    half = longest // 2
    return name if len(name) <= longest else f"{name[:half]}...{name[-half:]}"


def written(name: str, longest: int = _LONGEST_NAME) -> str:
    """A name as matplotlib draws it: shortened, and never read as a formula."""
    return escape.mathtext(shorten(str(name), longest))


def wrapped(name: str, letters: int) -> str:
    """A name in lines of so many letters at most."""
    lines = textwrap.wrap(escape.plain(shorten(str(name))), letters)
    return "\n".join(escape.mathtext(line) for line in lines)


def grid(
    count: int, width: float, height: float, along: str, columns: int = 4
) -> tuple[Figure, list[Axes]]:
    """A figure of panels that share both axes.

    Args:
        count: of panels.
        width: of each, in inches.
        height: likewise.
        along: label of the x axis, below the lowest panel of each column.
        columns: at least, where there are so many panels; many make a square.
    """
    from matplotlib.figure import Figure

    columns = min(count, max(columns, math.ceil(math.sqrt(count))))
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for empty in panels[count:]:
        empty.remove()
    for lowest in panels[max(0, count - columns) : count]:
        lowest.tick_params(labelbottom=True)
        lowest.set_xlabel(along, fontsize=NORMAL)
    return figure, list(panels[:count])


def span(values: Any) -> tuple[float, float]:
    """The ends of an axis of scores: 0 and 1, unless a score lies beyond."""
    numbers = np.asarray(values, float)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return 0.0, 1.0
    low, high = float(numbers.min()), float(numbers.max())
    return min(low, 0.0), high if high > 1 else 1.0


def plain_axes(axes: Axes, along: Any = "both") -> None:
    """Thin grid lines behind the data, and no frame above and to the right."""
    axes.grid(axis=along, color="0.85", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend(figure: Figure, handles: Sequence[Any], longest: int, rows: bool = True) -> None:
    """A legend above the panels, in as many columns as there is room for.

    Args:
        figure: what it belongs to; made taller by the legend's rows.
        handles: labelled artists.
        longest: letters of the longest label.
        rows: whether the figure grows by the height of the legend.
    """
    width, height = figure.get_size_inches()
    columns = max(1, int(width / (0.072 * (longest + _HANDLE))))
    if rows:
        figure.set_size_inches(width, height + 0.2 * -(-len(handles) // columns))
    figure.legend(
        handles=list(handles), loc="outside upper left", ncols=columns, fontsize=8, frameon=False
    )


_HANDLE = 8  # letters that the sign before a label takes


def footnote(figure: Figure, lines: Sequence[str]) -> None:
    """Small print below the panels, wrapped to the figure's width."""
    width, height = figure.get_size_inches()
    letters = max(30, int(width / 0.06))
    text = [row for line in lines if line for row in textwrap.wrap(escape.plain(line), letters)]
    if not text:
        return
    figure.set_size_inches(width, height + 0.13 * len(text))
    figure.supxlabel(
        "\n".join(map(escape.mathtext, text)), x=0.01, ha="left", fontsize=SMALL, color="0.25"
    )


def save(figure: Figure, path_stem: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Write a figure; the same results give the same bytes.

    Args:
        figure: what to write.
        path_stem: the files' path without their suffix, in a folder that exists.
        suffixes: which formats.

    Returns:
        The paths written.
    """
    import matplotlib

    paths = [path_stem.with_name(f"{path_stem.name}.{suffix}") for suffix in suffixes]
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    # No random ids; letters as TrueType outlines, which journals ask for in a PDF.
    settings: Any = {"svg.hashsalt": "benchmark", "pdf.fonttype": 42}
    # Nor a layout of the user's own after ours.
    settings |= {"figure.autolayout": False, "figure.constrained_layout.use": False}
    with matplotlib.rc_context(settings), missing_glyphs_allowed():
        for path, suffix in zip(paths, suffixes, strict=True):
            figure.savefig(path, dpi=_DPI, facecolor="white", metadata=dates.get(suffix, {}))
            figure.set_layout_engine(None)  # one layout for all formats: it takes the most time
    return paths


@contextmanager
def missing_glyphs_allowed() -> Iterator[None]:
    """Names in scripts the font lacks are drawn as boxes; that is no reason to warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
