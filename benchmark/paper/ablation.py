"""APG's variants against each other and against AIS: where prompts come from, whether tuned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.paper.card import study_card
from benchmark.report.figures.style import (
    NORMAL,
    SMALL,
    NothingToDrawError,
    footnote,
    grid,
    line_styles,
    plain_axes,
)
from benchmark.report.frame import MODALITIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AIS = "ais"
_CC, _BD, _CC_TUNED, _BD_TUNED = "apg_cc", "apg_bd", "apg_cc_grid_search", "apg_bd_grid_search"
CONTRASTS = (
    (_CC, _BD, "connected components - boundary distance", "default settings"),
    (_CC_TUNED, _BD_TUNED, "connected components - boundary distance", "grid search"),
    (_CC_TUNED, _CC, "grid search - default settings", "connected components"),
    (_BD_TUNED, _BD, "grid search - default settings", "boundary distance"),
)
"""First and second configuration, what their difference means, and what they share."""

TO_AIS = tuple(
    (variant, _AIS, f"APG, {prompts} - AIS", setting)
    for variant, prompts, setting in (
        (_CC, "connected components", "default settings"),
        (_BD, "boundary distance", "default settings"),
        (_CC_TUNED, "connected components", "grid search"),
        (_BD_TUNED, "boundary distance", "grid search"),
    )
)
"""Each variant of APG relative to AIS, which segments the same decoder's maps without prompts."""

Contrasts = Sequence[tuple[str, str, str, str]]

_ROW = 0.55  # inches


def differences(rows: pd.DataFrame, contrasts: Contrasts = CONTRASTS) -> dict[int, pd.DataFrame]:
    """MSA of the first less the second configuration, on the data sets that both have.

    Args:
        rows: what `entries.comparable` returned.
        contrasts: as `CONTRASTS`.

    Returns:
        By the place in `contrasts`, those that have a data set: columns group, modality and
        difference.
    """
    keys = dict.fromkeys(key for contrast in contrasts for key in contrast[:2])
    names = {key: study_card().name_of(key) for key in keys}
    keyed = rows[rows["key"].isin(list(names.values()))]
    # Of several runs of one configuration (other weights, another device) none is preferred.
    keyed = keyed.drop_duplicates(["group", "key"], keep=False)
    table = keyed.pivot(index=["group", "modality"], columns="key", values="score")
    table = table.reindex(columns=list(names.values()))
    found = {}
    for place, (first, second, _, _) in enumerate(contrasts):
        paired = (table[names[first]] - table[names[second]]).dropna()
        if len(paired):
            found[place] = paired.rename("difference").reset_index()
    return found


def draw(rows: pd.DataFrame, contrasts: Contrasts = CONTRASTS) -> Figure:
    """A panel per contrast: a mark per data set, a row per modality, a bar at its mean.

    Args:
        rows: what `entries.comparable` returned.
        contrasts: as `CONTRASTS`.

    Raises:
        NothingToDrawError: no data set has both configurations of a contrast.
    """
    found = differences(rows, contrasts)
    if not found:
        what = "a variant of APG and AIS" if contrasts is TO_AIS else "two variants of APG"
        raise NothingToDrawError(f"no data set has {what}.")
    every = pd.concat(found.values())
    modalities = [name for name in MODALITIES if name in set(every["modality"])]
    figure, panels = grid(
        len(found), 4.6, _ROW * len(modalities) + 0.95, "difference in mSA", columns=2
    )
    widest = 1.1 * float(every["difference"].abs().max() or 0.1)
    for axes, (place, paired) in zip(panels, found.items(), strict=True):
        _panel(axes, paired, modalities, widest)
        _, _, difference, shared = contrasts[place]
        axes.set_title(
            f"{difference}\n{shared}; {mean_text(paired['difference'])}",
            fontsize=NORMAL,
            loc="left",
        )
    panels[0].set(yticks=range(len(modalities)), ylim=(len(modalities) - 0.5, -0.5))
    panels[0].set_yticklabels([MODALITIES[name] for name in modalities])
    footnote(
        figure,
        [
            "A mark is a data set for which both are known, a bar their mean; on the right how "
            "many data sets lie above, below and at zero."
        ],
    )
    return figure


def mean_text(difference: pd.Series[float]) -> str:
    """Mean, number of data sets, and signs of paired differences."""
    count = len(difference)
    return f"mean {difference.mean():+.3f} over {count} data set{'s' * (count != 1)}"


def _panel(axes: Axes, paired: pd.DataFrame, modalities: list[str], widest: float) -> None:
    styles = line_styles(list(MODALITIES))
    axes.axvline(0, color="black", linewidth=0.8)
    for place, modality in enumerate(modalities):
        values = paired.loc[paired["modality"] == modality, "difference"].sort_values()
        if values.empty:
            axes.text(0, place, " no common data set", fontsize=SMALL, va="center", style="italic")
            continue
        style = styles[modality] | {"linestyle": ""}
        spread = np.resize([0, 0.14, -0.14], len(values)) if len(values) > 1 else np.zeros(1)
        axes.plot(
            values, place + spread, markersize=5.5, markeredgecolor="black",
            markeredgewidth=0.5, alpha=0.85, **style,
        )  # fmt: skip
        axes.plot([values.mean()] * 2, [place - 0.33, place + 0.33], color="black", linewidth=2.2)
        above, below = int((values > 0).sum()), int((values < 0).sum())
        equal = len(values) - above - below
        axes.text(
            1.02, place, f"{above} above\n{below} below" + f"\n{equal} equal" * bool(equal),
            fontsize=SMALL, va="center", transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    axes.set(xlim=(-widest, widest))
    plain_axes(axes, "x")
    axes.tick_params(axis="y", length=0)
