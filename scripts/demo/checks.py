"""What trained weights must hold and random ones can't: symmetry; and how long a mode takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.scoring import accuracy
from models.apg import APG
from models.musam import AIS, AMG

GRID = 16  # points of mask generation along each side
MODES: Mapping[str, Callable[..., Any]] = {
    "ais": AIS,
    "apg": APG,
    "amg": AMG,
}
PARAMETERS: Mapping[str, Mapping[str, Any]] = {"amg": {"points_per_side": GRID}}

Array = NDArray[Any]
TURNS: Mapping[str, Callable[[Array], Array]] = {
    "transposed": lambda a: a.swapaxes(0, 1),
    "flipped": lambda a: a[::-1],
    "rotated": lambda a: np.rot90(a),
}


def load(mode: str, weights: str = "demo") -> Any:
    """A mode's adapter with weights by card or path."""
    adapter = MODES[mode]
    found = adapter.find_weights(weights).fetch()  # type: ignore[attr-defined]
    return adapter(found, **PARAMETERS.get(mode, {}))


def symmetry(model: Any, images: Sequence[Array]) -> dict[str, float]:
    """The mSA between the labels of a turned image and the turned labels of an image.

    Args:
        model: an adapter.
        images: H x W or H x W x C.

    Returns:
        For each way to turn, the mean over images.
    """
    plain = [model.predict(image) for image in images]
    return {
        name: float(
            np.mean(
                [
                    accuracy(turn(labels), model.predict(np.ascontiguousarray(turn(image)))) or 0.0
                    for image, labels in zip(images, plain, strict=True)
                ]
            )
        )
        for name, turn in TURNS.items()
    }


def seconds(model: Any, image: Array, times: int) -> float:
    """Median seconds of a prediction; what was remembered of the image is forgotten before each."""
    other = np.zeros((16, 16), image.dtype)
    taken = []
    for _ in range(times):
        model.predict(other)
        start = time.perf_counter()
        model.predict(image)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
