"""Train the demo weights: a small SAM with micro-sam's decoder, on two CPU cores, in hours.

    python scripts/train_demo_weights.py --data <data.root> --output <folder>

Trains on `dsb/train` below `data.root` and on drawn images of four styles. Run again with the same
arguments, it goes on from the last checkpoint in the output folder, and ends with the weights
that it would have ended with; so it does after a kill. `--start demo.safetensors` begins with
weights of an earlier training instead of random ones. Needs the `models` extra.

The output folder gets `demo.safetensors` (the weights, at the end), `images.json` (what was
trained on), `log.json`, `curve.png`, `checkpoint.pt`.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_REPORT_EVERY = 10  # steps
_LOG_EVERY = 20


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, from the start or from the last checkpoint."""
    chosen = _arguments(arguments)
    from demo import cpu

    cpu.prepare(1)
    import torch

    torch.set_num_threads(1)  # to an operation; `--threads` is how many batches at once
    from benchmark.errors import UsageError

    try:
        _train(chosen)
    except UsageError as error:
        sys.exit(str(error))


def _train(chosen: argparse.Namespace) -> None:
    from demo import output
    from demo.feed import feed
    from demo.pictures import HELD_OUT, VALIDATED, find
    from demo.trainer import Settings, Trainer

    from models.weights.checkpoint import file_digest

    tiny = {"windows": (256, 2, 2, True), "frames": (256, 1, 2, False)}
    sizes: dict[str, Any] = tiny if chosen.tiny else {}
    states = output.read_weights(chosen.start) if chosen.start else None
    start = file_digest(chosen.start) if chosen.start else ""
    settings = Settings(
        seed=chosen.seed, steps=chosen.steps, rate=chosen.rate, start=start,
        bfloat16=not chosen.float32, **sizes,
    )  # fmt: skip
    source = find(chosen.data)
    chosen.output.mkdir(parents=True, exist_ok=True)
    output.write_images(chosen.output, source)
    trainer = Trainer(settings, chosen.threads)
    checkpoint = chosen.output / "checkpoint.pt"
    log: dict[str, Any] = {
        "settings": {**vars(settings)}, "revisions": [], "machines": [], "resumed": [],
        "images": {"training": len(source.names), "validation": len(source.held_out)},
        "seconds": 0.0, "losses": [], "validation": [],
    }  # fmt: skip
    if checkpoint.exists():
        log = trainer.load(checkpoint)
        log["resumed"].append(trainer.step)
        print(f"resumed at step {trainer.step}", flush=True)
    elif states is not None:
        trainer.begin(states)
    _add(log["revisions"], chosen.revision)
    _add(log["machines"], output.machine(chosen.threads))

    stop = min(settings.steps, chosen.stop or settings.steps)
    clock = _Clock(log["seconds"])
    seen: list[dict[str, float]] = []
    for batches in feed(chosen.data, settings.plan, trainer.step + 1, stop):
        seen.append(trainer.train(batches))
        if trainer.step % _REPORT_EVERY == 0:
            _report(trainer.step, settings.steps, seen[-_REPORT_EVERY:], clock)
        if trainer.step % _LOG_EVERY == 0:
            log["losses"].append({"step": trainer.step, **_means(seen)})
            seen = []
        if trainer.step % chosen.validate_every == 0 and trainer.step < settings.steps:
            _validate(trainer.step, trainer.average, source, log, chosen.tiny, VALIDATED)
        # At multiples of the log's interval: no step's losses fall between two files.
        if trainer.step % chosen.checkpoint_every == 0 or trainer.step == stop:
            _write(trainer, checkpoint, log, clock, chosen.output)

    if trainer.step == stop:
        # What is scored is what is stored.
        networks = copy.deepcopy(trainer.average).half().float()
        _validate(trainer.step, networks, source, log, chosen.tiny, HELD_OUT)
        log["digest"] = output.write_weights(chosen.output / output.WEIGHTS, networks)
        _write(trainer, checkpoint, log, clock, chosen.output)
        print(f"done in {log['seconds'] / 3600:.2f} h: {log['digest']}", flush=True)


class _Clock:
    """Seconds of training, those before a resumption included."""

    def __init__(self, before: float) -> None:
        self._start = time.monotonic() - before

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start


def _write(trainer: Any, path: Path, log: dict[str, Any], clock: _Clock, folder: Path) -> None:
    from demo import output

    log["seconds"] = round(clock.seconds, 1)
    trainer.save(path, log)
    output.write_json(folder / "log.json", log)
    if log["losses"]:
        output.write_curve(folder / "curve.png", [log])


def _validate(
    step: int, networks: Any, source: Any, log: dict[str, Any], tiny: bool, count: int
) -> None:
    """Score averaged weights on some of the held-out images."""
    from demo.pictures import read
    from demo.scoring import MicroSam, mean

    # Weights that are good for nothing prompt everywhere, which takes APG minutes.
    modes = ("ais",) if tiny else ("ais", "apg")
    names = source.held_out[: 1 if tiny else count]
    images = ((name, *read(source.root / "dsb" / "train", name)) for name in names)
    model = MicroSam(networks.sam, networks.decoder)
    start = time.monotonic()
    rows = model.scores(images, modes)
    found = {mode: round(mean(rows, mode), 4) for mode in modes}
    seconds = round(time.monotonic() - start, 1)
    row = {"step": step, "images": len(names), "seconds": seconds, **found}
    log["validation"].append(row)
    print(f"step {step}: validation on {len(names)} images: {found}", flush=True)


def _report(step: int, steps: int, seen: list[dict[str, float]], clock: _Clock) -> None:
    means = _means(seen)
    pace = clock.seconds / step
    left = pace * (steps - step)
    parts = " ".join(f"{name} {value:.3f}" for name, value in means.items())
    hours, minutes = divmod(int(left / 60), 60)
    print(
        f"{step}/{steps} {pace:.2f} s/step, {hours} h {minutes:02d} min left: {parts}", flush=True
    )


def _means(seen: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(sum(one[name] for one in seen) / len(seen), 5) for name in seen[0]}


def _add(values: list[Any], value: Any) -> None:
    if value not in values:
        values.append(value)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="data.root, the folder that holds dsb/train")
    add("--output", type=Path, required=True, help="folder for weights, log, checkpoint")
    add("--steps", type=int, default=2500, help="of the whole training")
    add("--start", type=Path, help="weights to begin with; random ones where not given")
    add("--seed", type=int, default=0, help="of parameters and crops")
    add("--rate", type=float, default=1.5e-3, help="highest learning rate")
    add("--float32", action="store_true", help="not bfloat16; faster on some CPUs: try 20 steps")
    add("--threads", type=int, default=2, help="1 on a machine that others use")
    add("--revision", default="unknown", help="of the code, for the log")
    add("--validate-every", type=int, default=1000, help="steps between two validations")
    add("--checkpoint-every", type=int, default=100, help="steps between two checkpoints")
    add("--tiny", action="store_true", help="crops so small that a test can train; no good weights")
    add("--stop", type=int, help="end after this step of the plan; a later run may go on")
    chosen = parser.parse_args(arguments)
    if chosen.checkpoint_every % _LOG_EVERY:
        parser.error(f"--checkpoint-every: give a multiple of {_LOG_EVERY}")
    return chosen


if __name__ == "__main__":
    main()
