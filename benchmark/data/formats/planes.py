"""Stored arrays of several planes: which of their channels, slices and frames make an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.remarks import remark
from benchmark.errors import DataError, UsageError
from benchmark.types import Image

MAX_CHANNELS = 4
NAMED = "YXCSZT"
"""Axes with a meaning here; S are the samples of a pixel (RGB). Others are unnamed."""

At = Mapping[int, Sequence[int]]
"""Position of an axis -> which of its indices; axes that are not in it are wanted whole."""

PROJECTIONS: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "max": lambda planes: planes.max(axis=0),
    "mean": lambda planes: _mean(planes),
}
EACH = {"z": "slices", "t": "frames"}
"""The choice that makes every plane of an axis an image of its own."""


@dataclass(frozen=True)
class Planes:
    """Which of a file's planes make the image.

    Attributes:
        use_channels: numbers from 0, or names; None: all.
        z: a slice's number from 0, `max` or `mean` of all; None: there is only one.
        t: the same for time points.
        scene: number from 0 or name, of a file of several images; None: there is only one.
        names: the channels' names, for files that have none.
        each: whether the slice is one of many that are images, and has labels of its own.
    """

    use_channels: tuple[int | str, ...] | None = None
    z: int | str | None = None
    t: int | str | None = None
    scene: int | str | None = None
    names: tuple[str, ...] = ()
    each: bool = False

    @staticmethod
    def checked(
        use_channels: object = None, z: object = None, t: object = None, scene: object = None
    ) -> Planes:
        """The choice as the options of a configuration have it.

        Raises:
            UsageError: one is not of the form that is described above.
        """
        for key, value in (("z", z), ("t", t)):
            words = (*PROJECTIONS, EACH[key])
            if value is not None and value not in words and not _is_index(value):
                raise UsageError(
                    f"data.{key} is {value!r}; it must be {', '.join(words)}, or a number from 0."
                )
        if scene is not None and not (isinstance(scene, str) or _is_index(scene)):
            raise UsageError(f"data.scene is {scene!r}; it must be a name, or a number from 0.")
        given: Any = [use_channels] if isinstance(use_channels, int | str) else use_channels
        if given is None:
            return Planes(None, z, t, scene)  # type: ignore[arg-type]  # checked above
        numbers_or_names = isinstance(given, Sequence) and all(
            isinstance(one, str) or _is_index(one) for one in given
        )
        if not numbers_or_names or not given or len(given) > MAX_CHANNELS:
            raise UsageError(
                f"data.use_channels is {use_channels!r}; it must be a list of up to {MAX_CHANNELS} "
                "numbers from 0, or names, such as [0,2] or [DAPI,actin]."
            )
        return Planes(tuple(given), z, t, scene)  # type: ignore[arg-type]  # checked above

    def at(self, axis: str, number: int, of: int) -> Planes:
        """The choice of one of many slices (`z`) or frames (`t`), each of which is an image."""
        chosen = replace(self, z=number) if axis == "z" else replace(self, t=number)
        return replace(chosen, each=self.each or of > 1)


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True)
class Stored:
    """An array in an open file, and what the file says of it.

    Attributes:
        origin: the file, for messages.
        axes: a letter for each axis; those that are not in `NAMED` have no meaning here.
        shape: of the whole array.
        read: reads the planes at some indices; the axes stay.
        channels: names of the channels; empty if the file has none.
        orientation: how to turn it upright, see `benchmark.data.formats.orientation`.
        alpha: which of a pixel's samples is its opacity, if one is.
        premultiplied: whether colours are multiplied by the opacity.
        compression: name of the TIFF compression.
    """

    origin: str
    axes: str
    shape: tuple[int, ...]
    read: Callable[[At], NDArray[Any]]
    channels: tuple[str, ...] = ()
    orientation: int = 1
    alpha: int | None = None
    premultiplied: bool = False
    compression: str = ""

    def size(self, axis: str, planes: Planes) -> int:
        """Number of slices (`Z`) or time points (`T`); 1 without such an axis."""
        axes = _roles(self, planes)
        return self.shape[axes.index(axis)] if axis in axes else 1


def image_of(stored: Stored, planes: Planes) -> Image:
    """Read the planes that make the image.

    Returns:
        H x W or H x W x C, as they are stored.

    Raises:
        DataError: the file has several slices, time points or too many channels, and none are
            chosen, or not the chosen ones.
    """
    axes = _roles(stored, planes)
    at: dict[int, Sequence[int]] = {}
    projections: dict[str, str] = {}
    for axis, choice in (("Z", planes.z), ("T", planes.t)):
        if axis in axes and isinstance(choice, int):
            size = stored.shape[axes.index(axis)]
            if choice >= size:
                raise DataError(
                    f"{stored.origin}: data.{axis.lower()} is {choice}; it has {size} "
                    f"{EACH[axis.lower()]}, numbered from 0."
                )
            at[axes.index(axis)] = [choice]
        elif axis in axes and isinstance(choice, str):
            projections[axis] = choice
    undecided = [
        axis
        for position, (axis, size) in enumerate(zip(axes, stored.shape, strict=True))
        if axis not in "YXCS" and size > 1 and position not in at and axis not in projections
    ]
    if undecided:
        raise DataError(_undecided(stored, axes, undecided))
    color = _choose_channels(stored, axes, planes, at)
    array = stored.read(at)
    for axis, word in projections.items():
        array = PROJECTIONS[word](np.moveaxis(array, axes.index(axis), 0))
        axes = axes.replace(axis, "")
    for position in reversed(range(len(axes))):
        if axes[position] not in "YX" + color:
            array, axes = array.take(0, axis=position), axes[:position] + axes[position + 1 :]
    image = array.transpose([axes.index(axis) for axis in "YX" + color if axis in axes])
    image = image if image.ndim < 3 else _without_alpha(stored, planes, image)
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))


def chosen_image(
    origin: str, images: Sequence[tuple[str, Sequence[int]]], scene: int | str | None
) -> int:
    """Return the number of the image that is meant in a file of several.

    Args:
        origin: the file, for messages.
        images: name (which may be empty) and shape of each.
        scene: number from 0, or name; None: there is only one.

    Raises:
        DataError: there is none, or none like that, or there are several and none is chosen.
    """
    if not images:
        raise DataError(f"{origin}: holds no image. The file may be damaged or incomplete.")
    names = [name for name, _ in images]
    if scene is None and len(images) == 1:
        return 0
    if isinstance(scene, int) and scene < len(images):
        return scene
    if names.count(str(scene)) == 1:
        return names.index(str(scene))
    listed = [
        f"{number} ({f'{name}, ' if name else ''}{' x '.join(map(str, shape))})"
        for number, (name, shape) in enumerate(images)
    ]
    more = f", and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    wanted = "" if scene is None else f"data.scene is {scene}; "
    raise DataError(
        f"{origin}: {wanted}it holds {_counted(len(images))}: {', '.join(listed[:_LISTED])}{more}. "
        "Choose one for all files, data.scene=0, or save each in a file of its own."
    )


_LISTED = 20
"""So many images of a file are listed in a message."""


def _counted(images: int) -> str:
    return "one image" if images == 1 else f"{images} images"


def channels_last(shape: Sequence[int]) -> bool:
    """Whether the last of three axes can only be the channels: rows pass for pages, else."""
    return len(shape) == 3 and shape[2] <= MAX_CHANNELS < min(shape[:2])


def take(array: NDArray[Any], at: At) -> NDArray[Any]:
    """The planes of an array in memory; one of them or a range is not copied."""
    for axis, indices in at.items():
        first = indices[0]
        if list(indices) == list(range(first, first + len(indices))):
            array = array[(slice(None),) * axis + (slice(first, first + len(indices)),)]
        else:
            array = np.take(array, indices, axis=axis)
    return array


def _roles(stored: Stored, planes: Planes) -> str:
    """The axes; an unnamed one is what the only choice that fits no other axis asks for."""
    axes = stored.axes
    if "C" not in axes and "S" not in axes and channels_last(stored.shape):
        return "YXS"
    unnamed = [k for k, a in enumerate(axes) if a not in NAMED and stored.shape[k] > 1]
    asked = [
        axis
        for axis, choice in (("C", planes.use_channels), ("Z", planes.z), ("T", planes.t))
        if choice is not None and axis not in axes and not (axis == "C" and "S" in axes)
    ]
    if len(unnamed) == 1 and len(asked) == 1:
        axes = axes[: unnamed[0]] + asked[0] + axes[unnamed[0] + 1 :]
    return axes


def _undecided(stored: Stored, axes: str, undecided: Sequence[str]) -> str:
    size = " x ".join(map(str, stored.shape))
    pages = math.prod(n for n, axis in zip(stored.shape, axes, strict=True) if axis in undecided)
    remedies = {
        "Z": "data.z=max, mean, slices (each an image of its own) or a slice's number from 0",
        "T": "data.t=frames (each an image of its own), max, mean or a number from 0",
    }
    known = [remedies[axis] for axis in undecided if axis in remedies]
    if len(known) < len(undecided):
        known.append(
            "for pages whose meaning the file does not give: data.use_channels=[0,1] if they are "
            "channels, data.z=max, mean, slices or a number if they are slices, data.t=frames or "
            "a number if they are time points"
        )
    return (
        f"{stored.origin}: a stack of {pages} pages ({size}, axes {stored.axes}). Images are 2-D "
        f"here. Choose: {'; and '.join(known)}."
    )


def _choose_channels(
    stored: Stored, axes: str, planes: Planes, at: dict[int, Sequence[int]]
) -> str:
    """Add the chosen channels to the planes that are read; return the axis of colours, or ''."""
    sizes = {a: n for a, n in zip(axes, stored.shape, strict=True) if a in "CS" and n > 1}
    axis = min(sizes, default=next((a for a in axes if a in "CS"), ""))
    count = stored.shape[axes.index(axis)] if axis else 1
    names = next((n for n in (stored.channels, planes.names) if len(n) == count), ())
    listed = f": {', '.join(names)}" if any(names) else ""
    if planes.use_channels is None:
        if len(sizes) == 2:
            raise DataError(
                f"{stored.origin}: {count} channels{listed}, each in colour. Choose one: "
                "data.use_channels=[0]."
            )
        if count > MAX_CHANNELS:
            raise DataError(
                f"{stored.origin}: {' x '.join(map(str, stored.shape))}: more than {MAX_CHANNELS} "
                f"channels{listed}. Choose those that show the cells: data.use_channels=[0,2] "
                "(numbers from 0, or names)."
            )
        return axis
    chosen = [_number(stored, one, count, names) for one in planes.use_channels]
    if len(sizes) == 2 and len(chosen) > 1:
        raise DataError(
            f"{stored.origin}: {count} channels{listed}, each in colour. Choose one, not "
            f"{len(chosen)}."
        )
    if axis:
        at[axes.index(axis)] = chosen
    if count > 1:
        used = [names[k] if names and names[k] else str(k) for k in chosen]
        remark("channels", f"{', '.join(used)} of {count}{listed}")
    return "S" if len(sizes) == 2 else axis


def _number(stored: Stored, one: int | str, count: int, names: Sequence[str]) -> int:
    """The number of a channel given by number or name."""
    if isinstance(one, int) and one < count:
        return one
    found = [k for k, name in enumerate(names) if name == one]
    found = found or [k for k, name in enumerate(names) if name.lower() == str(one).lower()]
    if len(found) == 1:
        return found[0]
    problem = f"has {len(found)} channels called '{one}'" if found else f"has no channel '{one}'"
    called = f", called {', '.join(names)}" if any(names) else ", without names in the file"
    channels = f"{count} channels" if count > 1 else "one channel"
    raise DataError(
        f"{stored.origin}: data.use_channels: the file {problem}; it has {channels}, numbered from "
        f"0{called if count > 1 else ''}."
    )


def _without_alpha(stored: Stored, planes: Planes, image: Image) -> Image:
    """Leave out the opacity channel, unless it was chosen by its number."""
    if planes.use_channels is not None:
        return image
    alpha = image[..., -1 if stored.alpha is None else stored.alpha]
    top = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1
    if stored.alpha is None:
        # Pillow writes the opacity of gray TIFFs without calling it so.
        if image.shape[2] in (2, 4) and np.isin(alpha, (0, top)).all() and alpha.any():
            remark("two_values", f"channel {image.shape[2] - 1}: 0 and {top}")
        return image
    if (alpha < top).any():
        if stored.premultiplied:
            raise DataError(
                f"{stored.origin}: its colours are multiplied by their opacity (associated alpha). "
                "Save it without transparency."
            )
        every = ",".join(map(str, range(image.shape[2])))
        remark("alpha", f"channel {stored.alpha}; data.use_channels=[{every}] reads all")
    kept = np.delete(image, stored.alpha, axis=2)
    return kept[..., 0] if kept.shape[2] == 1 else kept


def _mean(planes: NDArray[Any]) -> NDArray[Any]:
    """The mean along the first axis, rounded where the planes are integers."""
    mean = planes.mean(axis=0, dtype=np.float64)
    rounded = np.rint(mean) if planes.dtype.kind in "iub" else mean
    return np.asarray(rounded.astype(planes.dtype))
