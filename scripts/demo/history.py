"""The record of a training in parts: `parts.json`, `curve.csv` (a row per step), `curve.png`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.store.files import write_whole
from benchmark.types import Weights

MODES = ("ais", "apg")
"""The methods that a validation scores."""
PROMPTS = ("points", "boxes", "both")
"""What the masks of a validation are of, where crops have boxes."""
_TITLES = {mode: f"mSA of {mode.upper()}" for mode in MODES}
_TITLES |= {kind: f"IoU, true prompts: {kind}" for kind in PROMPTS}


@dataclass(frozen=True)
class History:
    """The parts of a training, each of which began with the weights of the one before.

    Attributes:
        parts: what is known of each, first to last: `settings`, `digest` of the weights, ...
        curve: a row per step that was recorded: `part` from 1, `step` in the part, losses, or mean
            segmentation accuracy by mode and mean IoU by kind of prompt with the number of
            `images`.
    """

    parts: Sequence[Mapping[str, Any]]
    curve: pd.DataFrame

    def with_part(self, part: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> History:
        """The same with one more part."""
        parts = [*self.parts, part]
        frame = pd.DataFrame(rows).assign(part=len(parts))
        curve = pd.concat([self.curve, frame]) if len(self.curve) else frame
        return History(parts, curve[["part", *curve.columns.drop("part")]])

    def write(self, folder: Path) -> None:
        """Write all three files."""
        write_json(folder / "parts.json", self.parts)
        table = self.curve.to_csv(index=False, lineterminator="\n")
        write_whole(folder / "curve.csv", table.encode())
        self.draw(folder / "curve.png")

    def draw(self, path: Path) -> None:
        """Draw validation scores and losses over the steps, with a line between two parts."""
        from matplotlib import colormaps
        from matplotlib.figure import Figure

        ends = np.cumsum([0, *(part["settings"]["steps"] for part in self.parts)])
        curve = self.curve.assign(step=self.curve["step"] + ends[self.curve["part"] - 1])
        figure = Figure(figsize=(12, 4), layout="constrained")
        scores, falls = figure.subplots(1, 2)
        modes = [mode for mode in (*MODES, *PROMPTS) if mode in curve]
        for number, mode in enumerate(modes):
            # Means over other images are no point of the same line.
            for place, (images, rows) in enumerate(curve.dropna(subset=mode).groupby("images")):
                scores.plot(
                    rows["step"], rows[mode], color=f"C{number}",
                    label=f"{_TITLES[mode]}, {images:.0f} images",
                    marker="oD"[place % 2], linestyle=("-", "--")[place % 2],
                )  # fmt: skip
        scores.set(xlabel="step", ylabel="held-out images", ylim=(0, 1))
        others = ["part", "step", "gradient", "images", "seconds", "score_error", *modes]
        losses = curve.columns.drop(others, "ignore")
        for number, name in enumerate(losses):
            rows = curve.dropna(subset=name)
            colour = colormaps["tab20"](number)
            falls.plot(rows["step"], rows[name], label=name, linewidth=1, color=colour)
        falls.set(xlabel="step", ylabel="loss", yscale="log")
        for axes in (scores, falls):
            axes.grid(alpha=0.3)
            for end in ends[1:-1]:
                axes.axvline(float(end), color="0.6", linestyle=":", linewidth=1)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        figure.savefig(path, dpi=120)


def ending_with(weights: Weights | None) -> History:
    """The history that lies beside weights and ends with them; an empty one where there is none."""
    if weights is not None:
        folder = weights.paths["weights"].parent
        path = folder / "parts.json"
        parts = json.loads(path.read_text()) if path.exists() else []
        if parts and parts[-1].get("digest") == weights.digests["weights"]:
            return History(parts, pd.read_csv(folder / "curve.csv"))
    return History([], pd.DataFrame())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_whole(path, f"{json.dumps(content, indent=1)}\n".encode())
