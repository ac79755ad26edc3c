"""Train the demo weights: a small SAM with micro-sam's decoder, on two CPU cores, in hours.

    python scripts/train_demo_weights.py --data <data.root> --output <folder>

Trains on `dsb/train` below `data.root` and on drawn images of four styles. Run again with the same
arguments, it resumes from the last checkpoint in the output folder, and ends with the weights
that it would have ended with; so it does after a kill. `--start demo.safetensors` begins with
weights of an earlier training instead of random ones. With `--boxes` the mask decoder alone is
trained further, on points, boxes, and both; all else stays as it was. Needs the `models` extra.

The output folder gets what `models/weights/packaged/demo` has: `demo.safetensors` (the weights, at
the end), `images.json` (what was trained on), `parts.json`, `curve.csv` and `curve.png` (its
history, that of an earlier training included); and `checkpoint.pt`, and the weights after every
200 steps. With `--boxes` it gets `demo_boxes.safetensors` besides: what was trained, alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.threads import limit_threads
from models.common import memory


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, from the start or from the last checkpoint."""
    chosen = _arguments(arguments)
    # Before torch is imported. Small networks on a CPU are two to three times faster: one thread
    # for an operation, `--threads` batches side by side; threads that wait for one that another
    # process has displaced do so without a loop; freed memory is kept.
    limit_threads(1)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    memory.keep()
    import torch
    from demo.history import MODES
    from demo.pictures import find
    from demo.train import train, weights_to_begin_with
    from demo.trainer import Settings, on_boxes

    from benchmark.errors import BenchmarkError

    torch.set_num_threads(1)
    settings = Settings(
        seed=chosen.seed, steps=chosen.steps, rate=chosen.rate, bfloat16=not chosen.float32
    )
    if chosen.boxes:
        settings = on_boxes(settings)
    try:
        start = weights_to_begin_with(chosen.start) if chosen.start else None
        if start:
            settings = replace(settings, start=start.digests["weights"])
        modes = ("apg",) if chosen.boxes else MODES  # AIS has nothing of the mask decoder
        train(find(chosen.data), chosen.output, settings, chosen.threads, start, modes)
    except BenchmarkError as error:
        sys.exit(str(error))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="data.root, the folder that holds dsb/train")
    add("--output", type=Path, required=True, help="folder for weights, history, checkpoint")
    add("--steps", type=int, default=2500, help="of the whole training")
    add("--start", help="weights to begin with, a file or `demo`; random ones where not given")
    add("--boxes", action="store_true", help="the mask decoder alone, on points and boxes")
    add("--seed", type=int, default=0, help="of parameters and crops")
    add("--rate", type=float, default=1.5e-3, help="highest learning rate")
    add("--float32", action="store_true", help="not bfloat16; faster on some CPUs")
    add("--threads", type=int, default=2, help="1 on a machine that others use")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
