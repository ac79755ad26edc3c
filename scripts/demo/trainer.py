"""The state of a training, and one step of it: everything that a resumed one has to have again."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.errors import UsageError
from demo.crops import Batch, Shape
from demo.feed import Plan
from demo.losses import losses
from demo.optimizer import Optimizer
from models.demo.network import build_decoder, build_sam


@dataclass(frozen=True)
class Settings:
    """What the weights depend on, besides the images and the number of threads.

    Attributes:
        seed: of the parameters and of the crops.
        steps: of the whole training, which the learning rate is planned for.
        rate: highest learning rate.
        warm_up: steps until that is reached.
        decay: of the weights, per step and unit of learning rate.
        norm: gradients longer than this are shortened.
        average: how much of the averaged weights each step keeps.
        share_drawn: the probability that a crop is of a synthetic image.
        windows: crops of most steps, in each of their parts: of how many pixels of SAM's 1024, how
            many, points in each, whether the last is a twin.
        frames: the same of whole frames, in one of `frame_every` steps.
        frame_every: see `frames`.
        parts: of a step; the mean of their gradients is what it goes by.
        bfloat16: whether products are of this type; which one is faster depends on the CPU.
        start: digest of the weights that the training begins with; empty for random ones.
    """

    seed: int = 0
    steps: int = 2500
    rate: float = 1.5e-3
    warm_up: int = 200
    decay: float = 0.02
    norm: float = 3.0
    average: float = 0.999
    share_drawn: float = 0.25
    windows: tuple[int, int, int, bool] = (512, 3, 8, True)
    frames: tuple[int, int, int, bool] = (1024, 1, 12, False)
    frame_every: int = 4
    parts: int = 2
    bfloat16: bool = True
    start: str = ""

    @property
    def plan(self) -> Plan:
        """Which crops each step trains on."""
        windows, frames = Shape(*self.windows), Shape(*self.frames)
        return Plan(self.seed, self.share_drawn, windows, frames, self.frame_every, self.parts)


class Networks(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """SAM, and micro-sam's decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.sam = build_sam()
        self.decoder = build_decoder()


class Trainer:
    """A training: networks, their average, optimizer, and the number of steps done.

    No random numbers are drawn after the networks' first parameters: crops depend on the seed
    and the step's number alone. So a training that is resumed goes on as if it had never stopped.

    The parts of a step run side by side, each by one thread: operations as small as these gain
    little from two threads each. Their gradients are added up in order, so weights do not depend on
    how many threads there are.

    Args:
        settings: see `Settings`.
        threads: how many parts to compute at once.

    Attributes:
        settings: see `Settings`.
        step: how many are done.
        networks: as they are trained.
        average: the exponential moving average of their parameters: the weights that count.
    """

    def __init__(self, settings: Settings, threads: int = 1) -> None:
        torch.manual_seed(settings.seed)
        torch.use_deterministic_algorithms(True)
        self.settings = settings
        self.step = 0
        self._pool = ThreadPoolExecutor(threads)
        self.networks = Networks()
        self.average = copy.deepcopy(self.networks).requires_grad_(False)
        self._optimizer = Optimizer(self.networks, settings.rate, settings.decay)

    def begin(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Start from parameters that were trained before, `Settings.start` tells which.

        Args:
            states: of SAM (`model_state`) and of the decoder (`decoder_state`).

        Raises:
            UsageError: they are of other networks.
        """
        try:
            for networks in (self.networks, self.average):
                networks.sam.load_state_dict(states["model_state"])
                networks.decoder.load_state_dict(states["decoder_state"])
        except RuntimeError as error:
            [_, difference, *_] = str(error).splitlines()
            raise UsageError(
                "the weights to start from are of another network: "
                + shorten(difference.strip(), 200)
            ) from error

    def train(self, batches: Sequence[Batch]) -> dict[str, float]:
        """One step on the mean over batches.

        Returns:
            The losses' parts by name, the mean over batches, `total` and `gradient` besides.
        """
        self.networks.zero_grad(set_to_none=True)
        seen: dict[str, float] = {}
        for parts, gradients in self._pool.map(self._part, batches):
            for name, part in parts.items():
                seen[name] = seen.get(name, 0.0) + part / len(batches)
            for value, gradient in zip(self.networks.parameters(), gradients, strict=True):
                if gradient is not None:
                    share = gradient / len(batches)
                    value.grad = share if value.grad is None else value.grad.add_(share)
        length = nn.utils.clip_grad_norm_(
            self.networks.parameters(), self.settings.norm, error_if_nonfinite=True
        )
        self._optimizer.step(self._rate())
        self.step += 1
        self._average()
        return {**seen, "gradient": float(length)}

    def _part(self, batch: Batch) -> tuple[dict[str, float], Sequence[Tensor | None]]:
        """The losses of a batch, and their gradient."""
        networks = self.networks
        total, parts = losses(networks.sam, networks.decoder, batch, self.settings.bfloat16)
        gradients = torch.autograd.grad(total, list(networks.parameters()), allow_unused=True)
        named = {"total": total, **parts}
        return {name: float(value.detach()) for name, value in named.items()}, gradients

    def _rate(self) -> float:
        settings = self.settings
        warm = min(1.0, (self.step + 1) / max(1, settings.warm_up))
        done = max(0, self.step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
        return settings.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1, done))))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _average(self) -> None:
        # At first there is little worth remembering.
        keep = min(self.settings.average, self.step / (self.step + 10))
        for mean, value in zip(self.average.parameters(), self.networks.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)

    def save(self, path: Path, log: dict[str, Any]) -> None:
        """Write a checkpoint: a kill at any moment leaves the one before or this one.

        Args:
            path: of the file.
            log: what was written of the training so far, which then fits the weights.
        """
        state = {
            "settings": _plain(self.settings),
            "step": self.step,
            "networks": self.networks.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            # Not drawn from, see above; kept so that a later change that does can be resumed.
            "random": torch.get_rng_state(),
            "log": log,
        }
        temporary = path.with_suffix(".partial")
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from a checkpoint.

        Returns:
            The log that was saved with it.

        Raises:
            UsageError: it is of a training with other settings.
        """
        state = torch.load(path, weights_only=True)
        own = _plain(self.settings)
        other = {key for key, value in own.items() if state["settings"].get(key) != value}
        if other:
            raise UsageError(
                f"{path} is of a training with other settings ({', '.join(sorted(other))}); "
                "give those, or another folder."
            )
        self.step = state["step"]
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        log: dict[str, Any] = state["log"]
        return log


def _plain(settings: Settings) -> dict[str, Any]:
    """With lists for tuples, as a file gives them back."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(settings).items()
    }
