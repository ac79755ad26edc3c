"""InstanSeg: nuclei and cells by embeddings, a network and its post-processing in TorchScript."""

from __future__ import annotations

import io
import warnings
import zipfile
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Image, Labels, Weights
from models.common.images import to_float32
from models.common.torch_adapter import TorchAdapter
from models.weights.checkpoint import another_architecture, open_program

_TARGETS = ("cells", "nuclei")
_INSIDE = "instanseg.pt"
_WINDOW = 32  # pixels on either side of a seed, where a model does not say how many


class InstanSeg(TorchAdapter):
    """InstanSeg, as `InstanSeg(model).eval` gives it for an image of this size.

    Args:
        weights: a model in TorchScript, or the zip that it is published in. It is a program, and
            runs only if its card has a cryptographic digest, or with `weights_unsafe=true`.
        device: `cuda`, `mps` or `cpu`.
        target: `cells` or `nuclei`, where the model finds both.
        pixel_size: micrometres per pixel of the images, which are scaled to the model's own. None:
            they are not scaled.
        seed_threshold: from which a pixel is a seed; None: the model's own.
        mask_threshold: from which a pixel belongs to an object; None: the model's own.

    Raises:
        ModelError: the file is not an InstanSeg model, or may not be run.
        ValueError: an unknown target, or a pixel size that is not above 0.

    An image of up to 6.75 million values is segmented at once, a larger one in tiles of 512 pixels,
    as the library chooses. A model of RGB is given a grey image three times, one of a single
    channel the mean of a colour image. Not checked: the published weights themselves.

    Source: T. Goldsborough et al., "InstanSeg: an embedding-based instance segmentation algorithm
    optimized for accurate, efficient and portable cell segmentation", arXiv:2408.15954; the
    package instanseg-torch.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("instanseg-torch",)
    imports: ClassVar[tuple[str, ...]] = ("instanseg",)
    requires: ClassVar[tuple[str, ...]] = ("instanseg-torch>=0.1.2,<0.2",)
    install: ClassVar[str] = 'pip install "instanseg-torch>=0.1.2,<0.2" "pooch>=1.8"'
    max_channels: ClassVar[int] = 4
    family: ClassVar[str] = "instanseg"

    def __init__(
        self,
        weights: Weights,
        device: str = "cpu",
        target: str = "cells",
        pixel_size: float | None = None,
        seed_threshold: float | None = None,
        mask_threshold: float | None = None,
    ) -> None:
        if target not in _TARGETS:
            raise ValueError(f"target is '{target}': give {' or '.join(_TARGETS)}")
        if pixel_size is not None and pixel_size <= 0:
            raise ValueError(f"pixel_size is {pixel_size}: give micrometres above 0, or null")
        super().__init__(device)
        chosen = {"seed_threshold": seed_threshold, "mask_threshold": mask_threshold}
        self._settings = {"target": target, "pixel_size": pixel_size} | {
            name: value for name, value in chosen.items() if value is not None
        }
        with self.loading():
            warnings.simplefilter("ignore")  # of TorchScript's age, and of CUDA that is not there
            from instanseg import InstanSeg as Library

            model = _load(weights)
            self._channels = weights.architecture or _channels(model)
            self._library = Library(model, device=device, image_reader="skimage.io", verbosity=0)

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), integer or finite float; scaled, it has 64 pixels
                or more a side (some models: more).

        Returns:
            H x W int32.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        planes = self._planes(image)
        self._check_size(planes.shape[1:])
        small = planes.size < self._library.small_image_threshold
        run = self._library.eval_small_image if small else self._library.eval_medium_image
        with self.predicting(), self.stage("predict"):
            found = run(planes, return_image_tensor=False, **self._settings)
            labels: Labels = found[0, 0].cpu().numpy().astype(np.int32)
        return labels

    def _check_size(self, shape: tuple[int, ...]) -> None:
        """Refuse an image without room for a window: the library would write beyond its memory."""
        model, pixel_size = self._library.instanseg, self._settings["pixel_size"]
        scale = pixel_size / model.pixel_size if pixel_size else 1
        least = 2 * int(getattr(model, "default_window_size", _WINDOW))
        if int(min(shape) * scale) < least:
            scaled = f" scaled by {scale:.3g}" if scale != 1 else ""
            raise ValueError(
                f"image of {shape[0]} x {shape[1]} pixels{scaled}: InstanSeg needs {least} or more "
                "a side"
            )

    def _planes(self, image: Image) -> NDArray[np.float32]:
        """The image as C x H x W, with the channels that the model's card says it takes."""
        values = to_float32(image)
        values = np.moveaxis(values.reshape(*values.shape[:2], -1), 2, 0)
        if self._channels == "one_channel":
            mean: NDArray[np.float32] = values[:3].mean(axis=0, keepdims=True)
            return mean
        if self._channels == "rgb":
            grey = len(values) == 1
            values = np.repeat(values, 3, axis=0) if grey else values[:3]
            return np.pad(values, ((0, 3 - len(values)), (0, 0), (0, 0)))
        return values


def _channels(model: Any) -> str:
    """What a model without a card takes, by its first convolution: RGB, or any channels."""
    first = next((each for each in model.parameters() if each.ndim == 4), None)
    return "rgb" if first is not None and first.shape[1] == 3 else "any_channels"


def _load(weights: Weights) -> Any:
    key = next(iter(weights.paths))
    content = weights.paths[key].read_bytes()
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = [name for name in archive.namelist() if name.rpartition("/")[2] == _INSIDE]
            content = archive.read(inside[0]) if inside else content
    model = open_program(weights, key, content)
    lacking = [name for name in ("pixel_size", "cells_and_nuclei") if not hasattr(model, name)]
    if lacking:
        raise another_architecture(weights, key, f"it has no {', '.join(lacking)}")
    return model
