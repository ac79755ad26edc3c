"""A part of a training, from its start or its last checkpoint to its weights."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmark.choices import CHECKOUT
from benchmark.errors import UsageError
from benchmark.types import Weights
from demo import history
from demo.checks import accuracy, load, prompting
from demo.crops import Batch
from demo.pictures import Collection, Source, collect
from demo.trainer import MASKS, Settings, Trainer
from models.apg import APG

WEIGHTS = "demo.safetensors"
BOXES = "demo_boxes.safetensors"  # of a training of the mask decoder, what was trained alone
CHECKPOINT = "checkpoint.pt"
LOG_EVERY = 20  # steps
CHECKPOINT_EVERY = 100  # a multiple of it: no step's losses fall between two files
VALIDATE_EVERY = 200
VALIDATED = 12  # of the held-out images; at the end all of them
_AHEAD = 4  # steps whose crops are made ahead of time


class Steps(Dataset[list[Batch]]):  # type: ignore[misc]  # torch is untyped here
    """The batches of each step; images are read at the first one."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self._source, self._settings = source, settings

    @cached_property
    def _collection(self) -> Collection:
        return collect(self._source, self._settings.share_drawn)

    def __getitem__(self, step: int) -> list[Batch]:
        return self._settings.batches(self._collection, step)


def train(
    source: Source,
    folder: Path,
    settings: Settings,
    threads: int = 2,
    start: Weights | None = None,
    modes: Sequence[str] = history.MODES,
) -> None:
    """Train, and keep weights, images and history in a folder laid out as the packaged one.

    Called again with the same arguments, after a kill as well, it continues from the last
    checkpoint there and ends with the weights that it would have ended with.

    Args:
        source: the images.
        folder: where to; the history that lies beside the weights to begin with is continued.
        settings: see `Settings`.
        threads: how many parts of a step to compute at once; weights do not depend on it.
        start: see `Trainer`.
        modes: by which held-out images are scored; where crops have boxes, masks are scored too.

    Raises:
        UsageError: the folder's checkpoint is of a training with other settings.
        ModelError: the weights to begin with are of another network, or no checkpoint.
    """
    trainer = Trainer(settings, threads, start)
    before = history.ending_with(start)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    part: dict[str, Any] = {
        "settings": asdict(settings), "revisions": [], "machines": [], "resumed": [],
        "images": {"training": len(source.names), "validation": len(source.held_out)},
        "seconds": 0.0,
    }  # fmt: skip
    rows: list[dict[str, float]] = []
    if checkpoint.exists():
        log = trainer.load(checkpoint)
        part, rows = log["part"], log["rows"]
        part["resumed"].append(trainer.step)
        print(f"resumed at step {trainer.step}", flush=True)
    for key, value in (("revisions", _revision()), ("machines", _machine(threads))):
        part[key] += [value] if value not in part[key] else []
    history.write_json(folder / "images.json", source.lists())
    begin = time.monotonic() - part["seconds"]

    def save() -> None:
        part["seconds"] = round(time.monotonic() - begin, 1)
        trainer.save(checkpoint, {"part": part, "rows": rows})
        before.with_part(part, rows).write(folder)

    def validate(path: Path, names: Sequence[str]) -> str:
        """Write the averaged weights and score them: what is scored is what is stored."""
        digest: str = trainer.average.write(path)
        scores = score(path, source, names, modes, prompts=settings.windows.boxes)
        rows.append({"step": trainer.step, **scores})
        print(f"{path.name} ({digest}): {rows[-1]}", flush=True)
        return digest

    loader = DataLoader(
        Steps(source, settings), batch_size=None, num_workers=1, prefetch_factor=_AHEAD,
        sampler=range(trainer.step + 1, settings.steps + 1),
    )  # fmt: skip
    seen: list[dict[str, float]] = []
    for batches in loader:
        seen.append(trainer.train(batches))
        step = trainer.step
        if step % LOG_EVERY == 0:
            rows.append({"step": step, **_means(seen)})
            seen = []
            elapsed = time.monotonic() - begin
            print(f"{step}/{settings.steps}, {elapsed:.0f} s: {rows[-1]}", flush=True)
        if step < settings.steps:
            if step % VALIDATE_EVERY == 0:
                validate(folder / f"step_{step}.safetensors", source.held_out[:VALIDATED])
            if step % CHECKPOINT_EVERY == 0:
                save()
    if "digest" not in part:
        part["digest"] = validate(folder / WEIGHTS, source.held_out)
        if settings.trained == MASKS:
            part["masks"] = trainer.average.write(folder / BOXES, MASKS)
        save()


def weights_to_begin_with(name: str) -> Weights:
    """The packaged weights (`demo`), or those in a file.

    Raises:
        UsageError: there are none, they are a published model's, or of several files.
    """
    found = APG.find_weights(name)
    if found.about().mark not in ("demo", "user"):
        raise UsageError(f"--start is '{name}', a published model: give `demo` or a file of such")
    weights = found.fetch()
    if len(weights.paths) > 1:
        raise UsageError(
            f"--start is '{name}', several files ({', '.join(weights.paths)}): give one"
        )
    return weights


def score(
    path: Path, source: Source, names: Sequence[str], modes: Sequence[str], prompts: bool = False
) -> dict[str, float]:
    """The mean mSA of weights on some images of `dsb/train`, by mode, with their number.

    Args:
        path: of the weights.
        source: of the images.
        names: of the images.
        modes: see `checks.MODES`.
        prompts: whether the masks of true prompts are scored as well, see `checks.prompting`.
    """
    begin = time.monotonic()
    images = [source.read(name) for name in names]
    found = {}
    for mode in modes:
        model = load(mode, str(path))
        scores = [accuracy(labels, model.predict(image)) for image, labels in images]
        found[mode] = round(float(np.mean([one for one in scores if one is not None])), 4)
    if prompts:
        scored = prompting(load("apg", str(path)), images)
        found |= {name: round(value, 4) for name, value in scored.items()}
    return {"images": len(names), "seconds": round(time.monotonic() - begin, 1), **found}


def _means(seen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: round(sum(one[name] for one in seen) / len(seen), 5) for name in seen[0]}


def _revision() -> str:
    """The checkout's commit, `-dirty` where files differ from it; `unknown` outside of git."""
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _machine(threads: int) -> dict[str, Any]:
    """What else the weights' last digits depend on."""
    return {
        "threads": threads,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
