"""Cellpose 3 (cyto3): cellpose < 4, in an environment of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from benchmark.types import Image, Labels, Weights
from models.cellpose_checkpoint import build_from_path, plain_parameters
from models.cellpose_flows import CellposeAdapter
from models.common.checks import check_at_least_one

_LEAST_HEIGHT = 8  # pixels; cellpose 3 takes an image of fewer rows for channels first


class Cellpose3(CellposeAdapter):
    """Cellpose 3, as `Cellpose(model_type="cyto3").eval(image, diameter=30)` gives it.

    That class has a second model to estimate the diameter, which is idle when a diameter is
    given; so the first one is built without it.

    Args:
        weights: a plain state dictionary of cellpose 3's residual U-Net.
        device: `cuda`, `mps` or `cpu`.
        diameter: of the objects in pixels; the image is scaled to the one trained with.
        channels: what to segment, and its nuclei: 1 red, 2 green, 3 blue. 0 and 0: the mean of
            all channels, and none.
        flow_threshold: masks whose flows err by more are dropped; 0 keeps all.
        cellprob_threshold: pixels of a higher logit belong to objects.
        min_size: smaller objects are dropped, in pixels.
        batch_size: tiles of 224 x 224 pixels at a time; shapes no result.

    Raises:
        ModelError: the checkpoint is of another architecture, or cellpose loaded another.
        ValueError: `batch_size` is below 1.

    Source: C. Stringer and M. Pachitariu, "Cellpose3: one-click image restoration for improved
    cellular segmentation", Nature Methods 2025, doi:10.1038/s41592-025-02595-5; the package
    cellpose. The study called it through `tukra.inference.segment_using_cellpose(image, "cyto3")`.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("cellpose",)
    requires: ClassVar[tuple[str, ...]] = ("cellpose<4",)
    install: ClassVar[str] = (
        "python -m venv .venv-cellpose3 && "
        ".venv-cellpose3/bin/pip install -e . -r configs/environment/cellpose3.txt"
    )
    execution: ClassVar[tuple[str, ...]] = ("batch_size",)
    family: ClassVar[str] = "cellpose3"

    def __init__(
        self,
        weights: Weights,
        device: str = "cpu",
        diameter: float = 30.0,
        channels: Sequence[int] = (0, 0),
        flow_threshold: float = 0.4,
        cellprob_threshold: float = 0.0,
        min_size: int = 15,
        batch_size: int = 8,
    ) -> None:
        check_at_least_one(batch_size=batch_size)
        super().__init__(device)
        self._settings = {
            "diameter": diameter,
            "channels": list(channels),
            "flow_threshold": flow_threshold,
            "cellprob_threshold": cellprob_threshold,
            "min_size": min_size,
        }
        with self.loading():
            self._model = self._load(weights, device)
        self._share(batch_size)

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), integer or finite float; H at least 8. Of four
                channels the first three are used.

        Returns:
            H x W, uint16 or uint32.

        Raises:
            ValueError: another shape, or values that are not finite.
            ModelError: out of memory.
        """
        [labels] = self.predict_each(image, [{}])
        return labels

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings, as `benchmark.types.Sharing` has it.

        The network runs once for each diameter and choice of channels, and equal settings give one
        label image.
        """
        if image.shape[0] < _LEAST_HEIGHT:
            raise ValueError(
                f"image of shape {image.shape}: cellpose 3 needs {_LEAST_HEIGHT} rows or more"
            )
        chosen = [{**self._settings, **each} for each in settings]
        return self._each(image, [one | {"channels": list(one["channels"])} for one in chosen])

    def _pixels(self, image: Image) -> Any:
        pixels = super()._pixels(image)
        return pixels if image.ndim == 2 else pixels[..., :3]

    def _load(self, weights: Weights, device: str) -> Any:
        import torch
        from cellpose.models import CellposeModel

        key = next(iter(weights.paths))
        parameters = plain_parameters(
            weights,
            key,
            "output.2.weight",
            "it is not of cellpose 3 (weights of cellpose 4: model=cellpose_sam)",
        )
        model = build_from_path(
            lambda path: CellposeModel(pretrained_model=path, device=torch.device(device)),
            parameters,
            weights,
            key,
        )
        if weights.mark == "verified":
            # So cellpose does for a model that it knows by name, whatever its file says.
            model.diam_mean = 30.0
        return model
