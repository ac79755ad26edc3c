"""Masks at the image's size, made only where the decoder's logits come near a threshold.

A promptable model gives logits at a low resolution, which its library interpolates to the image's
size, whole: a mask of a few pixels takes as much time and memory as the image. Here, the same
values are computed around the object alone. They may differ from the library's in how they are
rounded, by no more than a bound; where a pixel is nearer to a threshold than that, the library's
own interpolation decides. So every pixel is on the side of the threshold where the library has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.common.masks import Patch, cut

_ERROR = 8 * 2.0**-24
"""Of one step, relative to the largest logit: at most four roundings, times two to be safe."""
_DEVICES = ("cpu", "cuda")  # those that round each operation as IEEE 754 has it, and have float64
_SHARE = 1 / 8  # of the image: of a larger region the library makes a mask in as little memory
_APART = 4  # of this many consecutive pixels, linear interpolation weighs two


class Step(NamedTuple):
    """One bilinear interpolation without aligned corners, of which the upper left part is kept.

    Attributes:
        size: height and width that it interpolates to.
        kept: height and width of what is kept.
    """

    size: tuple[int, int]
    kept: tuple[int, int]


class Thresholded(NamedTuple):
    """A mask at the image's size.

    Attributes:
        mask: the pixels above the threshold.
        inner: how many are above the threshold plus the offset.
        outer: how many are above the threshold minus the offset.
    """

    mask: Patch
    inner: int
    outer: int


class Upsampling:
    """From logits at the decoder's resolution to masks at the image's size.

    Args:
        whole: the library's own: takes N x C x h x w, gives N x C x H x W.
        steps: what `whole` does, where that is known; else every mask is made by `whole`.
        channels: so many masks are given to `whole` together, as the library does: torch rounds
            otherwise for three channels than for one.
    """

    def __init__(
        self, whole: Callable[[Any], Any], steps: Sequence[Step] = (), channels: int = 1
    ) -> None:
        self.whole, self._steps, self._channels = whole, tuple(steps), channels

    def thresholded(self, logits: Any, levels: Any, offset: float) -> list[Thresholded]:
        """Threshold masks as those that `whole` gives, equal in every pixel.

        Args:
            logits: tensor, N x h x w.
            levels: the threshold of all masks, or that of each: N numbers, or a tensor of them.
            offset: see `Thresholded`; 0 or more.
        """
        found = dict(self._around(logits, levels, offset)) if self._applies(logits) else {}
        others = [number for number in range(len(logits)) if number not in found]
        for start in range(0, len(others), self._channels):
            together = others[start : start + self._channels]
            found |= zip(together, self._whole(logits, levels, offset, together), strict=True)
        return [found[number] for number in range(len(logits))]

    def _applies(self, logits: Any) -> bool:
        import torch

        known = bool(self._steps) and logits.device.type in _DEVICES
        return known and logits.dtype == torch.float32 and len(logits) > 0

    def _whole(
        self, logits: Any, levels: Any, offset: float, numbers: list[int]
    ) -> list[Thresholded]:
        """Some masks by the library's interpolation."""
        import torch

        filled = numbers + numbers[-1:] * (self._channels - len(numbers))
        [whole] = self.whole(logits[filled][None])
        found = []
        for number, values in zip(numbers, whole, strict=False):
            level = levels if isinstance(levels, (int, float)) else levels[number]
            inner, outer = (int(torch.count_nonzero(values > level + o)) for o in (offset, -offset))
            found.append(Thresholded(cut((values > level).cpu().numpy()), inner, outer))
        return found

    def _around(self, logits: Any, levels: Any, offset: float) -> list[tuple[int, Thresholded]]:
        """The numbers and masks of which every pixel is certain."""
        import torch

        rows, columns = (
            _axis(
                logits.shape[1 + axis],
                tuple((step.size[axis], step.kept[axis]) for step in self._steps),
                str(logits.device),
            )
            for axis in (0, 1)
        )
        # A GPU is waited for three times, however many masks there are: for what `reached` and
        # `counts` hold, and for the masks. One level is filled in there, as copying one waits too.
        kind = {"dtype": torch.float64, "device": logits.device}
        if isinstance(levels, (int, float)):
            levels = torch.full((len(logits),), levels, **kind)
        levels = torch.as_tensor(levels, **kind)
        # Between logits below a level all is below it, but for what is rounded.
        most = logits.abs().amax((1, 2)) + levels.abs() + offset
        lowest = levels - offset - self._error * most
        reached = logits > lowest[:, None, None]
        finite = torch.isfinite(most)[:, None]  # else a logit matters wherever its weight is 0
        lines = torch.cat([reached.any(2), reached.any(1), finite], dim=1).cpu().numpy()
        places: dict[int, tuple[_Range, _Range]] = {}
        made = []
        for number in np.flatnonzero(lines[:, -1]).tolist():
            down = rows.reached(lines[number, : rows.length])
            across = columns.reached(lines[number, rows.length : -1])
            if len(down) * len(across) <= _SHARE * len(rows) * len(columns):
                places[number] = down, across
                made.append(self._part(logits[number], levels[number], offset, down, across))
        if not made:
            return []
        masks, counts = zip(*made, strict=True)
        counted = torch.stack(counts).tolist()
        certain = [n for n, (near, _, _) in enumerate(counted) if not near]
        numbers = [*places]
        found = []
        for n, mask in zip(certain, _on_host([masks[n] for n in certain]), strict=True):
            (down, across), (_, inner, outer) = places[numbers[n]], counted[n]
            own = cut(mask)
            moved = own._replace(row=own.row + down.start, column=own.column + across.start)
            found.append((numbers[n], Thresholded(moved if own.area else own, inner, outer)))
        return found

    def _part(
        self, logits: Any, level: Any, offset: float, down: _Range, across: _Range
    ) -> tuple[Any, Any]:
        """A region of one mask; how many pixels are uncertain, and counts as of `Thresholded`."""
        import torch

        part = logits[down.source, across.source].double()
        values, sizes = down.resampled(across.resampled(torch.stack([part, part.abs()]), 2), 1)
        error = self._error * (sizes + level.abs() + offset)
        bounds = [level + one for one in (0.0, offset, -offset)]
        near = sum(torch.count_nonzero((values - bound).abs() <= error) for bound in bounds)
        inner, outer = (torch.count_nonzero(values > bound) for bound in bounds[1:])
        return values > level, torch.stack([near, inner, outer])

    @property
    def _error(self) -> float:
        return _ERROR * len(self._steps)


def _on_host(masks: Sequence[Any]) -> list[NDArray[np.bool_]]:
    """Tensors of several shapes as arrays, by one copy."""
    import torch

    if not masks:
        return []
    together = torch.cat([mask.flatten() for mask in masks]).cpu().numpy()
    ends = np.cumsum([mask.numel() for mask in masks])
    parts = np.split(together, ends[:-1])
    return [part.reshape(mask.shape) for part, mask in zip(parts, masks, strict=True)]


class _Range(NamedTuple):
    """Consecutive pixels of the image along one axis, and what they are interpolated from.

    Attributes:
        start: the first of them.
        source: the logits that they depend on.
        index: tensor, pixels x K, of logits within `source`.
        weight: tensor, pixels x K, float64.
    """

    start: int
    source: slice
    index: Any
    weight: Any

    def __len__(self) -> int:
        return len(self.index)

    def resampled(self, values: Any, axis: int) -> Any:
        """Interpolate along an axis of a tensor with three."""
        shape = [-1 if one == axis else 1 for one in range(3)]
        found = 0.0
        for index, weight in zip(self.index.T, self.weight.T, strict=True):
            found = found + values.index_select(axis, index) * weight.reshape(shape)
        return found


class _Axis(NamedTuple):
    """How the image's pixels along one axis are interpolated from logits.

    Attributes:
        length: number of logits.
        first: for each pixel the first logit that it depends on,
        last: and the last; neither ever falls.
        begin: for each pixel the first logit that it is interpolated from, of weight 0 perhaps.
        index: tensor, pixels x K, of logits.
        weight: tensor, pixels x K, float64.
    """

    length: int
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    begin: NDArray[np.int64]
    index: Any
    weight: Any

    def __len__(self) -> int:
        return len(self.first)

    def reached(self, logits: NDArray[np.bool_]) -> _Range:
        """The pixels from the first to the last that depend on marked logits; perhaps none."""
        marked = np.flatnonzero(logits)
        start = stop = 0
        if marked.size:
            start = int(np.searchsorted(self.last, marked[0]))
            stop = int(np.searchsorted(self.first, marked[-1], side="right"))
        if start >= stop:
            return _Range(0, slice(0, 0), self.index[:0], self.weight[:0])
        begin = int(self.begin[start])  # not of `index`, which may be on a GPU
        end = int(self.begin[stop - 1]) + self.index.shape[1]
        return _Range(
            start, slice(begin, end), self.index[start:stop] - begin, self.weight[start:stop]
        )


@lru_cache(maxsize=32)
def _axis(length: int, steps: tuple[tuple[int, int], ...], device: str) -> _Axis:
    """The axis of so many logits that interpolations to `size`, cut to `kept`, make of them."""
    import torch

    matrix = torch.eye(length, dtype=torch.float64)
    for size, kept in steps:
        matrix = _interpolated(matrix, size, device)[:kept]
    used = (matrix != 0).numpy()
    first, last = used.argmax(1), length - 1 - used[:, ::-1].argmax(1)
    taps = int((last - first).max()) + 1
    begin = np.minimum(first, length - taps)
    index = torch.from_numpy(begin[:, None] + np.arange(taps))
    weight = matrix.gather(1, index)
    return _Axis(length, first, last, begin, index.to(device), weight.to(device))


def _interpolated(matrix: Any, size: int, device: str) -> Any:
    """Interpolate the rows of a matrix by the weights that torch has, bit by bit.

    The weight of a row is what interpolation makes of it where it is 1 and its neighbours are 0.
    """
    import torch
    from torch.nn.functional import interpolate

    length = len(matrix)
    ones = torch.zeros(_APART, 1, length, 1, device=device)
    for number in range(_APART):
        ones[number, 0, number::_APART] = 1
    weights = interpolate(ones, (size, 1), mode="bilinear", align_corners=False)[:, 0, :, 0]
    weights = weights.cpu().double()
    places = torch.arange(size, dtype=torch.float64).add(0.5).mul(length / size).sub(0.5)
    found = torch.zeros(size, matrix.shape[1], dtype=torch.float64)
    for number in range(_APART):
        rows = (places.floor().long() - 1 + number).clamp(-1, length)
        inside = (rows >= 0) & (rows < length)
        own = weights[rows % _APART, torch.arange(size)] * inside
        found += own[:, None] * matrix[rows.clamp(0, length - 1)]
    return found
