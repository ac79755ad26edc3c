"""What a training leaves behind: weights, the list of its images, a log, and its curve."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.errors import UsageError
from demo.pictures import EXCLUDED, Source
from models.weights.checkpoint import file_digest

WEIGHTS = "demo.safetensors"
LIMIT = 10_000_000  # bytes


def write_weights(path: Path, networks: Any) -> str:
    """Both networks' parameters in one safetensors file, as micro-sam's checkpoints name them.

    In half precision, which is half of the size.

    Returns:
        Its digest, as a card has it.

    Raises:
        ValueError: it is larger than 10 MB.
    """
    from safetensors.torch import save_file

    states = {"model_state": networks.sam, "decoder_state": networks.decoder}
    parameters = {
        f"{state}.{name}": value.half().contiguous().clone()
        for state, network in states.items()
        for name, value in network.state_dict().items()
    }
    save_file(parameters, path)
    size = path.stat().st_size
    if size > LIMIT:
        raise ValueError(f"{path} has {size:,} bytes; {LIMIT:,} are allowed")
    return file_digest(path)


def read_weights(path: Path) -> dict[str, dict[str, Any]]:
    """What `write_weights` wrote, in single precision: parameters by network and name.

    Raises:
        UsageError: it is no file of such weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    states: dict[str, dict[str, Any]] = {"model_state": {}, "decoder_state": {}}
    try:
        for name, value in load_file(path).items():
            state, _, parameter = name.partition(".")
            states[state][parameter] = value.float()
    except (OSError, SafetensorError, KeyError) as error:
        raise UsageError(f"{path} holds no demo weights to start from: {error}") from error
    return states


def write_images(folder: Path, source: Source) -> None:
    """The list of the images: trained on, held out, never seen, left out and why."""
    write_json(
        folder / "images.json",
        {
            "training": list(source.names),
            "validation": list(source.held_out),
            "scored": list(source.scored),
            "left_out": EXCLUDED,
        },
    )


def machine(threads: int) -> dict[str, Any]:
    """What else the weights' last digits depend on."""
    import torch

    return {
        "threads": threads,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Written beside and renamed, so that a reader never sees half of it."""
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    temporary.replace(path)


CURVE = ("losses", "validation")
"""The entries of a log that are a list of rows, one for a step."""


def joined(logs: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Losses and validations of trainings that each began with the weights of the one before.

    Args:
        logs: first to last.

    Returns:
        `losses` and `validation` of a log, with steps counted from the first one's start.
    """
    found: dict[str, list[dict[str, Any]]] = {"losses": [], "validation": []}
    done = 0
    for log in logs:
        for kind, rows in found.items():
            rows += [{**row, "step": done + row["step"]} for row in log[kind]]
        done += log["settings"]["steps"]
    return found


def write_parts(folder: Path, logs: Sequence[Mapping[str, Any]]) -> None:
    """Write the logs of a training in parts: `parts.json`, and `curve.csv` with a row per step.

    Args:
        folder: where to.
        logs: first to last.
    """
    write_json(folder / "parts.json", [_without_curve(log) for log in logs])
    rows = [
        {"part": part, **row}
        for part, log in enumerate(logs, start=1)
        for kind in CURVE
        for row in log[kind]
    ]
    pd.DataFrame(rows).to_csv(folder / "curve.csv", index=False, lineterminator="\n")


def read_parts(folder: Path) -> list[dict[str, Any]]:
    """Read what `write_parts` wrote, as it was given."""
    logs: list[dict[str, Any]] = json.loads((folder / "parts.json").read_text())
    table = pd.read_csv(folder / "curve.csv")
    counts = ("step", "images")
    for part, log in enumerate(logs, start=1):
        log |= {kind: [] for kind in CURVE}
        for row in table[table["part"] == part].drop(columns="part").to_dict("records"):
            known = {str(key): value for key, value in row.items() if value == value}
            known |= {key: int(known[key]) for key in counts if key in known}
            log["losses" if "total" in known else "validation"].append(known)
    return logs


def _without_curve(log: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in log.items() if key not in CURVE}


def write_curve(path: Path, logs: Sequence[Mapping[str, Any]]) -> None:
    """Validation mSA and the losses over steps, as a figure.

    Args:
        path: of the figure.
        logs: see `joined`. Where one ends and the next begins, a line is drawn.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    scores, falls = figure.subplots(1, 2)
    log = joined(logs)
    for number, mode in enumerate(("ais", "apg")):
        scored = [one for one in log["validation"] if mode in one]
        # Means over other images are no point of the same line.
        for place, images in enumerate(sorted({one["images"] for one in scored})):
            points = [(one["step"], one[mode]) for one in scored if one["images"] == images]
            label = f"{mode.upper()}, {images} images"
            style = {"marker": "oD"[place % 2], "linestyle": ("-", "--")[place % 2]}
            scores.plot(*zip(*points, strict=True), label=label, color=f"C{number}", **style)
    scores.set(xlabel="step", ylabel="mSA, held-out images", ylim=(0, 1))
    names = dict.fromkeys(key for one in log["losses"] for key in one)
    for number, name in enumerate(key for key in names if key not in ("step", "gradient")):
        points = [(one["step"], one[name]) for one in log["losses"] if name in one]
        color = colormaps["tab20"](number)
        falls.plot(*zip(*points, strict=True), label=name, linewidth=1, color=color)
    falls.set(xlabel="step", ylabel="loss", yscale="log")
    ends = np.cumsum([one["settings"]["steps"] for one in logs])[:-1]
    for axes in (scores, falls):
        axes.grid(alpha=0.3)
        for end in ends:
            axes.axvline(float(end), color="0.6", linestyle=":", linewidth=1)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=120)
