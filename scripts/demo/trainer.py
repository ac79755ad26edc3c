"""The state of a training, and one step of it."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from benchmark.errors import UsageError
from benchmark.store.files import write_whole
from benchmark.types import Weights
from demo.crops import Batch, Shape, batch
from demo.losses import losses
from demo.optimizer import Optimizer
from demo.pictures import Collection
from models.demo.network import build_decoder, build_sam
from models.weights.checkpoint import file_digest, load_parameters, open_checkpoint


@dataclass(frozen=True)
class Settings:
    """What the weights depend on, besides the images."""

    seed: int = 0  # of the parameters and of the crops
    steps: int = 2500  # of the whole training, which the learning rate is planned for
    rate: float = 1.5e-3  # highest learning rate
    warm_up: int = 200  # steps until that is reached
    decay: float = 0.02  # of the weights, per step and unit of learning rate
    norm: float = 3.0  # gradients longer than this are shortened
    average: float = 0.999  # how much of the averaged weights each step keeps
    share_drawn: float = 0.25  # the probability that a crop is of a synthetic image
    windows: Shape = Shape(512, 3, 8, twin=True)  # noqa: RUF009  # immutable
    frames: Shape = Shape(1024, 1, 12)  # noqa: RUF009  # of each step that `frame_every` divides
    frame_every: int = 4
    parts: int = 2  # batches of a step, which goes by the mean of their gradients
    bfloat16: bool = True  # the type of products; which one is faster depends on the CPU
    start: str = ""  # digest of the weights to begin with; empty for random ones
    trained: tuple[str, ...] = ("",)  # what parameters' names begin with; others stay as they were

    def batches(self, collection: Collection, step: int) -> list[Batch]:
        """The batches of a step, which depend on the settings and on its number alone."""
        shape = self.windows if step % self.frame_every else self.frames
        return [batch(collection, shape, self.seed, step, part) for part in range(self.parts)]


MASKS = (
    "model_state.mask_decoder.",
    "model_state.prompt_encoder.point_embeddings.2.",
    "model_state.prompt_encoder.point_embeddings.3.",
)
"""The mask decoder, and what marks the corners of a box, which points alone never train."""


def on_boxes(settings: Settings) -> Settings:
    """The settings of a short part that trains `MASKS` alone, on points, boxes, and both."""
    return replace(
        settings,
        trained=MASKS,
        warm_up=50,
        windows=Shape(512, 2, 8, boxes=True),
        frames=Shape(1024, 1, 6, boxes=True),
    )


class Networks(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """SAM and micro-sam's decoder, under the names that micro-sam's checkpoints have for them."""

    def __init__(self) -> None:
        super().__init__()
        self.model_state = build_sam()
        self.decoder_state = build_decoder()

    @property
    def sam(self) -> Any:
        """The `segment_anything` model."""
        return self.model_state

    @property
    def decoder(self) -> Any:
        """micro-sam's decoder."""
        return self.decoder_state

    def write(self, path: Path, names: tuple[str, ...] = ("",)) -> str:
        """Write parameters into a safetensors file, in half precision.

        Args:
            path: of the file.
            names: what those begin with that are written.

        Returns:
            Its digest, as a card has it.
        """
        halves = {
            name: value.half().contiguous()
            for name, value in self.state_dict().items()
            if name.startswith(names)
        }
        write_whole(path, save(halves))
        return file_digest(path)


class Trainer:
    """A training: networks, their average, optimizer, and the number of steps done.

    No random numbers are drawn after the networks' first parameters, so a training that is resumed
    ends with the weights that it would have ended with.

    The parts of a step run side by side, each by one thread: operations as small as these gain
    little from two threads each. Their gradients are added up in order, so weights do not depend on
    how many threads there are.

    Args:
        settings: see `Settings`.
        threads: how many parts to compute at once.
        start: weights to begin with instead of random ones; `settings.start` is their digest.

    Attributes:
        settings: see `Settings`.
        step: how many are done.
        networks: as they are trained.
        average: the exponential moving average of their parameters: the weights that count.

    Raises:
        ModelError: the weights to begin with are of another network, or no checkpoint.
    """

    def __init__(self, settings: Settings, threads: int = 1, start: Weights | None = None) -> None:
        torch.manual_seed(settings.seed)
        torch.use_deterministic_algorithms(True)
        self.settings = settings
        self.step = 0
        self._pool = ThreadPoolExecutor(threads)
        self.networks = Networks()
        if start is not None:
            [key] = start.paths
            load_parameters(self.networks, open_checkpoint(start, key), start, key)
        self.average = copy.deepcopy(self.networks).requires_grad_(False)
        for name, value in self.networks.named_parameters():
            value.requires_grad_(value.requires_grad and name.startswith(settings.trained))
        self._trained = [value for value in self.networks.parameters() if value.requires_grad]
        self._optimizer = Optimizer(self.networks, settings.rate, settings.decay)
        self._stored: dict[str, Any] = {
            "networks": self.networks, "average": self.average, "optimizer": self._optimizer
        }  # fmt: skip

    def train(self, batches: Sequence[Batch]) -> dict[str, float]:
        """One step on the mean over batches.

        Returns:
            The losses' parts by name, the mean over batches, `total` and `gradient` besides.
        """
        parameters = self._trained
        self.networks.zero_grad(set_to_none=True)
        seen: dict[str, float] = {}
        for parts, gradients in self._pool.map(self._part, batches):
            for name, part in parts.items():
                seen[name] = seen.get(name, 0.0) + part / len(batches)
            for value, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    share = gradient / len(batches)
                    value.grad = share if value.grad is None else value.grad.add_(share)
        length = nn.utils.clip_grad_norm_(parameters, self.settings.norm, error_if_nonfinite=True)
        self._optimizer.step(self._rate())
        self.step += 1
        self._average()
        return {**seen, "gradient": float(length)}

    def _part(self, batch: Batch) -> tuple[dict[str, float], Sequence[Tensor | None]]:
        """The losses of a batch, and their gradient."""
        networks = self.networks
        total, parts = losses(networks.sam, networks.decoder, batch, self.settings.bfloat16)
        gradients = torch.autograd.grad(total, self._trained, allow_unused=True)
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
        """Write a checkpoint; a kill leaves the one before or this one.

        Args:
            path: of the file.
            log: what has been recorded of the training so far; plain values.
        """
        content = io.BytesIO()
        state = {name: part.state_dict() for name, part in self._stored.items()}
        state |= {"settings": asdict(self.settings), "step": self.step, "log": log}
        torch.save(state, content)
        write_whole(path, content.getvalue())

    def load(self, path: Path) -> dict[str, Any]:
        """Continue from a checkpoint.

        Returns:
            The log that was saved with it.

        Raises:
            UsageError: it is of a training with other settings.
        """
        state = torch.load(path, weights_only=True)
        own = asdict(self.settings)
        other = sorted(key for key in own if state["settings"].get(key) != own[key])
        if other:
            raise UsageError(
                f"{path} is of a training with other settings ({', '.join(other)}); "
                "give those, or another folder."
            )
        self.step = state["step"]
        for name, part in self._stored.items():
            part.load_state_dict(state[name])
        log: dict[str, Any] = state["log"]
        return log
