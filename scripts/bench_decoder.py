"""Measure SAM's decoding of prompts beside the library's own: time, peak memory, equal masks.

    BENCHMARK_DATA=<folder> python scripts/bench_decoder.py [--only 512x512] [--prompts 16] [...]

Before: `SamPredictor.predict_torch` for batches of 8, all masks of a batch whole, as up to version
0.1. Now: `models.prompting.masks.decode`. Both are of APG's prompts with the demo weights, and of
the same points with SAM's decoder of random parameters, on images mirrored or cut from the first
of u20s and of histology_rgb (beyond 2048 pixels magnified: the demo would find no cell in so many
fields). They take turns; times are medians of a thread's own seconds, peaks are what they add to
the process.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from benchmark.profiling import PeakMemory
from models.apg import APG
from models.common import memory
from models.common.images import to_rgb8
from models.common.masks import Patch, cut
from models.prompting.masks import Way, decode
from models.prompting.promptable import PromptableSam
from models.prompting.prompts import Prompt, stack

BATCH = 8
SIZES = [(512, 512), (520, 696), (300, 700), (1024, 1024), (2048, 2048), (4096, 4096)]
HEADER = (
    "| decoder | image | prompts | before, ms a prompt | now | ratio | before, peak MB | now "
    "| equal |",
    "|---|---|---|---|---|---|---|---|---|",
)

Found = tuple[list[Patch], list[float]]


def before(predictor: Any, prompts: Sequence[Prompt]) -> Found:
    """The masks of prompts, and their scores, by segment-anything's own call."""
    masks: list[Patch] = []
    scores: list[float] = []
    for start in range(0, len(prompts), BATCH):
        batch = list(prompts[start : start + BATCH])
        arrays = stack([*batch, *batch[-1:] * (BATCH - len(batch))])
        points = predictor.transform.apply_coords(arrays["points"], predictor.original_size)
        logits, ious, _ = predictor.predict_torch(
            torch.as_tensor(points, dtype=torch.float32),
            torch.as_tensor(arrays["point_labels"], dtype=torch.float32),
            multimask_output=False,
            return_logits=True,
        )
        logits, ious = logits[: len(batch), 0], ious[: len(batch), 0]
        inner, outer = (torch.count_nonzero(logits > level, dim=(1, 2)) for level in (1.0, -1.0))
        scores += (ious * (inner / outer)).tolist()
        masks += [cut(mask) for mask in (logits > 0.0).numpy()]
    return masks, scores


def now(predictor: Any, prompts: Sequence[Prompt]) -> Found:
    """The same by the benchmark."""
    pool = decode(PromptableSam(predictor), [(Way(), prompts)], BATCH)[0][Way()]
    return pool.masks, pool.scores


class Turn(NamedTuple):
    """One call: its result, its seconds, and how far it raised the process's memory, in MB."""

    found: Found
    seconds: float
    peak: float


def turn(call: Callable[[Any, Sequence[Prompt]], Found], *given: Any) -> Turn:
    """Call a function, and measure it."""
    memory.release()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    with PeakMemory() as peak:
        start = time.thread_time()
        found = call(*given)
        seconds = time.thread_time() - start
    used = peak.memory["host"] - pages * os.sysconf("SC_PAGE_SIZE")
    return Turn(found, seconds, used / 1e6)


def equal(one: Found, other: Found) -> bool:
    """Whether masks and scores are the same to the bit."""
    return np.array_equal(one[1], other[1], equal_nan=True) and all(
        mine[1:] == theirs[1:] and np.array_equal(mine.mask, theirs.mask)
        for mine, theirs in zip(one[0], other[0], strict=True)
    )


def line(decoder: str, image: str, predictor: Any, prompts: list[Prompt], rounds: int) -> str:
    """A row of the table."""
    turns: dict[str, list[Turn]] = {"before": [], "now": []}
    for number in range(rounds + 1):  # the first warms up
        for name, call in (("before", before), ("now", now)):
            made = turn(call, predictor, prompts)
            turns[name] += [made] if number else []
    times = [median(one.seconds for one in each) / len(prompts) * 1e3 for each in turns.values()]
    peaks = [median(one.peak for one in each) for each in turns.values()]
    same = all(equal(a.found, b.found) for a, b in zip(*turns.values(), strict=True))
    return (
        f"| {decoder} | {image} | {len(prompts)} | {times[0]:.1f} | {times[1]:.1f} | "
        f"{times[0] / times[1]:.2f} | {peaks[0]:.0f} | {peaks[1]:.0f} | {'yes' if same else 'NO'} |"
    )


def image_of(file: Path, shape: tuple[int, int]) -> NDArray[Any]:
    """A field mirrored, or beyond 2048 pixels magnified, and cut to a size."""
    field = tifffile.imread(file)
    if max(shape) > 2048:
        times = max(shape) // max(field.shape[:2])
        field = field.repeat(times, 0).repeat(times, 1)
    wanted = [(0, max(0, size - have)) for size, have in zip(shape, field.shape[:2], strict=True)]
    padding = wanted + [(0, 0)] * (field.ndim - 2)
    whole: NDArray[Any] = np.pad(field, padding, mode="symmetric")
    return whole[: shape[0], : shape[1]]


def random_sam() -> Any:
    """A predictor with vit_b's prompt encoder and mask decoder, random, and no encoder."""
    from segment_anything import SamPredictor
    from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    torch.manual_seed(0)
    masks = MaskDecoder(
        transformer_dim=256, num_multimask_outputs=3, iou_head_hidden_dim=256,
        transformer=TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048),
    )  # fmt: skip
    prompts = PromptEncoder(256, (64, 64), (1024, 1024), mask_in_chans=16)
    with torch.no_grad():  # what is nearly constant else
        for network in masks.output_hypernetworks_mlps:
            for value in network.layers[-1].parameters():
                value *= 300
    encoder = torch.nn.Module()
    encoder.img_size = 1024
    return SamPredictor(Sam(encoder, prompts, masks).eval())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prompts", type=int, default=16, help="of each image, at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="sizes of images, as 512x512,1024x1024; else all")
    given = parser.parse_args()
    torch.set_num_threads(1)
    root = Path(os.environ["BENCHMARK_DATA"])
    u20s, rgb = (min(root.glob(p)) for p in ("u20s/images/*.tif", "histology_rgb/images/*.tif"))
    model = APG(APG.find_weights("demo").fetch())
    predictor, other = model._backbone.predictor, random_sam()
    print(
        f"torch {torch.__version__}, one thread; medians of {given.rounds} rounds in turns, of "
        f"the thread's own seconds; load before: {os.getloadavg()[0]:.1f}\n"
    )
    print("\n".join(HEADER), flush=True)
    cases = [(u20s, shape) for shape in SIZES] + [(rgb, tifffile.imread(rgb).shape[:2])]
    for file, shape in cases:
        picture = image_of(file, shape)
        image = " x ".join(map(str, picture.shape))
        if given.only and "x".join(map(str, shape)) not in given.only.split(","):
            continue
        with model.predicting(), torch.no_grad():
            [prompts] = model._prompts(picture, to_rgb8(picture), [model.setting])
            # Over the whole image.
            prompts = prompts[:: max(1, len(prompts) // given.prompts)][: given.prompts]
            print(line("demo", image, predictor, prompts, given.rounds), flush=True)
            if file == u20s and shape in ((512, 512), (2048, 2048)):
                other.features = torch.randn(1, 256, 64, 64)
                other.original_size, other.is_image_set = predictor.original_size, True
                other.input_size = predictor.input_size
                row = line("random, vit_b's", image, other, prompts, given.rounds)
                print(row, flush=True)


if __name__ == "__main__":
    main()
