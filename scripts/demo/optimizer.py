"""How parameters move: matrices by Muon, all else by AdamW.

Muon (Jordan et al., 2024; here `torch.optim.Muon`) turns a matrix' gradient into the nearest
orthogonal one, so that directions which are rare in the data are learned as fast as common ones.
In short trials, one run each, it was well ahead of AdamW alone at the same number of steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Kept from Muon: lookup tables, which only ever see few of their rows; gains of single channels;
# the head that regresses IoU, whose loss was higher with Muon in a trial.
_NO_MATRICES = ("embed", "token", "scale", "iou_prediction_head")
# Transposed convolutions have their axes in another order, and few columns.
_NO_DIRECTIONS = ("output_upscaling",)
_SMALLEST = 16  # rows and columns that a matrix has at least


class Optimizer:
    """Two optimizers that step as one.

    Args:
        networks: whose parameters it moves; convolutions with the channels last in memory.
        rate: highest learning rate, of both: Muon's steps are scaled to the length of AdamW's.
        decay: of weights, per step and unit of learning rate.

    Raises:
        ValueError: a convolution's channels are not last in memory.
    """

    def __init__(self, networks: nn.Module, rate: float, decay: float) -> None:
        self._matrices: list[tuple[Tensor, Tensor]] = []
        decayed: list[Tensor] = []
        free: list[Tensor] = []
        for name, value in networks.named_parameters():
            if value.ndim < 2 or any(part in name for part in _NO_MATRICES):
                # SAM's way to encode boxes and masks gets no gradient here, and keeps its first
                # values.
                free.append(value)
            elif min(len(value), value[0].numel()) < _SMALLEST or any(
                part in name for part in _NO_DIRECTIONS
            ):
                decayed.append(value)
            else:
                matrix = _matrix(value.detach())
                if matrix.data_ptr() != value.data_ptr():  # moving one would not move the other
                    raise ValueError(f"{name} must have its channels last in memory")
                self._matrices.append((value, nn.Parameter(matrix)))
        groups = [
            {"params": decayed, "weight_decay": decay},
            {"params": free, "weight_decay": 0.0},
        ]
        self._parts = (
            torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98)),
            torch.optim.Muon(
                [matrix for _, matrix in self._matrices],
                lr=rate,
                weight_decay=decay,
                adjust_lr_fn="match_rms_adamw",
            ),
        )

    def step(self, rate: float) -> None:
        """Move all parameters by their gradients."""
        for value, matrix in self._matrices:
            matrix.grad = None if value.grad is None else _matrix(value.grad)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """What a checkpoint holds of it."""
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Continue from a checkpoint."""
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)


def _matrix(value: Tensor) -> Tensor:
    """A weight as Muon takes it, outputs x inputs; a convolution's inputs are of all its pixels."""
    return value if value.ndim == 2 else value.permute(0, 2, 3, 1).flatten(1)
