"""What a training leaves behind: weights, the list of its images, a log, and its curve."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import UsageError
from demo.pictures import EXCLUDED, Source
from models.weights.digests import file_digest

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


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Written beside and renamed, so that a reader never sees half of it."""
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    temporary.replace(path)


def write_curve(path: Path, log: Mapping[str, Any]) -> None:
    """Validation mSA and the losses over steps, as a figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    scores, falls = figure.subplots(1, 2)
    validations = log["validation"]
    for number, mode in enumerate(("ais", "apg")):
        # Means over other images are no point of the same line.
        for images in sorted({one["images"] for one in validations if mode in one}):
            points = [
                (one["step"], one[mode])
                for one in validations
                if mode in one and one["images"] == images
            ]
            label = f"{mode.upper()}, {images} images"
            marker = "o" if len(points) > 1 else "D"
            scores.plot(*zip(*points, strict=True), marker=marker, label=label, color=f"C{number}")
    scores.set(xlabel="step", ylabel="mSA, held-out images", ylim=(0, 1))
    names = [key for key in (log["losses"] or [{}])[0] if key not in ("step", "gradient")]
    for name in names:
        steps = [one["step"] for one in log["losses"]]
        falls.plot(steps, [one[name] for one in log["losses"]], label=name, linewidth=1)
    falls.set(xlabel="step", ylabel="loss", yscale="log")
    for axes in (scores, falls):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=120)
