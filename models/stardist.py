"""StarDist: star-convex polygons, by its own library and TensorFlow."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ModelError
from benchmark.types import Image, Labels, Weights, WeightsChoice
from models.common.images import to_float32
from models.weights import find_weights
from models.weights.checkpoint import another_architecture

_FILES = ("config.json", "thresholds.json", "weights_best.h5")
_LEAST_SIDE = 2  # pixels; stardist takes an axis of one for none


class StarDist:
    """StarDist 2D, as `StarDist2D(...).predict_instances(normalize(image))` gives it.

    Args:
        weights: a folder with config.json, thresholds.json and weights_best.h5, or a zip of it, as
            stardist saves and publishes them.
        prob_thresh: probability from which a pixel proposes an object; None: the weights' own.
        nms_thresh: of two objects that overlap more, the less probable one is dropped; None: the
            weights' own.
        pmin: percentile of the image that becomes 0,
        pmax: and percentile that becomes 1, of all channels together.

    Raises:
        ModelError: the weights are not of StarDist 2D.

    It runs on the CPU. A model of one channel is given the mean of a colour image, one of three
    channels a grey image three times. Not checked: the published weights themselves.

    Source: U. Schmidt et al., "Cell detection with star-convex polygons", MICCAI 2018,
    doi:10.1007/978-3-030-00934-2_30; the package stardist, and the example in its README.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("stardist", "csbdeep", "tensorflow")
    requires: ClassVar[tuple[str, ...]] = ("stardist>=0.9.1,<0.10", "tensorflow>=2.16")
    install: ClassVar[str] = (
        "python -m venv .venv-stardist && "
        ".venv-stardist/bin/pip install -e . -r configs/environment/stardist.txt"
    )
    max_channels: ClassVar[int] = 3
    family: ClassVar[str] = "stardist"

    def __init__(
        self,
        weights: Weights,
        prob_thresh: float | None = None,
        nms_thresh: float | None = None,
        pmin: float = 3.0,
        pmax: float = 99.8,
    ) -> None:
        if not 0 <= pmin < pmax <= 100:
            raise ValueError(f"pmin is {pmin} and pmax {pmax}: give percentiles, 0 to 100")
        self._thresholds = {"prob_thresh": prob_thresh, "nms_thresh": nms_thresh}
        self._percentiles = {"pmin": pmin, "pmax": pmax}
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # it logs what it finds no GPU for
        import tensorflow
        from csbdeep.utils import normalize

        tensorflow.config.set_visible_devices([], "GPU")
        self._normalise = normalize
        self._model = _load(weights)
        self._channels: int = self._model.config.n_channel_in

    @classmethod
    def find_weights(
        cls, chosen: str, folder: Path | None = None, unpickle: bool = False
    ) -> WeightsChoice:
        """The weights of its family that a name or path stands for."""
        return find_weights(chosen, folder, unpickle, family=cls.family)

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), integer or finite float, 2 pixels or more a
                side. Of four channels the first three are used.

        Returns:
            H x W int32.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        if min(image.shape[:2]) < _LEAST_SIDE:
            raise ValueError(
                f"image of shape {image.shape}: StarDist needs {_LEAST_SIDE} pixels or more a side"
            )
        normalised = self._normalise(self._planes(image), **self._percentiles)
        with _quiet():
            labels: Labels = self._model.predict_instances(normalised, **self._thresholds)[0]
        return labels

    def _planes(self, image: Image) -> NDArray[np.float32]:
        """The image with the channels that the network has."""
        values = to_float32(image)
        values = values.reshape(*values.shape[:2], -1)[..., :3]
        if self._channels == 1:
            mean: NDArray[np.float32] = values.mean(axis=2)
            return mean
        if values.shape[2] == 1:
            return np.repeat(values, 3, axis=2)
        if values.shape[2] == 2:
            return np.concatenate([values, np.zeros_like(values[..., :1])], axis=2)
        return values


def _load(weights: Weights) -> Any:
    """The library's model, from a copy of the files, since it reads a folder and writes into it."""
    from stardist.models import StarDist2D

    first = next(iter(weights.paths))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "model")
        place.mkdir()
        for name, content in _contents(weights):
            if name in _FILES:
                (place / name).write_bytes(content)
        lacking = [name for name in _FILES if not (place / name).exists()]
        if lacking:
            raise another_architecture(weights, first, f"it has no {', '.join(lacking)}")
        try:
            with _quiet():
                model = StarDist2D(None, name=place.name, basedir=folder)
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise another_architecture(weights, first, str(error)) from error
    model.basedir = None
    if model.config.n_channel_in not in (1, 3):
        why = f"it has {model.config.n_channel_in} input channels; 1 or 3 are supported"
        raise another_architecture(weights, first, why)
    return model


def _contents(weights: Weights) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file: of a folder, or of a zip, whatever folder they have there."""
    paths = list(weights.paths.values())
    if len(paths) > 1:
        yield from ((path.name, path.read_bytes()) for path in paths)
        return
    try:
        with zipfile.ZipFile(paths[0]) as archive:
            for entry in archive.infolist():
                name = PurePosixPath(entry.filename).name
                if name in _FILES:
                    yield name, archive.read(entry)
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(
            f"model.weights: {paths[0]} is no zip with {', '.join(_FILES)} ({error}). Give one, or "
            "the folder."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The library prints what it loads, and a bar of its own for each prediction."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
