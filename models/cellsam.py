"""CellSAM: what its pipeline gives without tiling, with the model kept between images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from benchmark.types import Image, Labels, Weights
from models.checkpoint import another_architecture, confirm_loaded, open_checkpoint, tensors
from models.images import to_float32
from models.session import Session
from models.weights import find_weights

_LEAST_SIDE = 4  # pixels; cellSAM takes the shortest axis for the channels, which are three


class CellSam:
    """CellSAM, as `cellsam_pipeline(image, use_wsi=False)` gives it.

    Kept from the pipeline, since it shapes the study's numbers: its normalisation expects
    channels last, and of a grey H x W image it therefore stretches the first three COLUMNS to
    0..1, which leaves them dark beside the others.

    Args:
        weights: a state dictionary of CellSAM.
        device: `cuda` or `cpu`; cellSAM knows no other.
        bbox_threshold: objects detected with less confidence are dropped.

    Raises:
        ModelError: the checkpoint is of another architecture.

    Source: M. Marks et al., "CellSAM: a foundation model for cell segmentation", Nature Methods
    2025, doi:10.1038/s41592-025-02879-w; https://github.com/vanvalenlab/cellSAM.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("cellSAM",)
    requires: ClassVar[tuple[str, ...]] = ("cellSAM",)
    install: ClassVar[str] = (
        "python -m venv .venv-cellsam && "
        ".venv-cellsam/bin/pip install -e . -r configs/environment/cellsam.txt"
    )
    devices: ClassVar[tuple[str, ...]] = ("cuda", "cpu")
    find_weights = staticmethod(partial(find_weights, family="cellsam"))

    def __init__(
        self, weights: Weights, device: str = "cpu", bbox_threshold: float = 0.4
    ) -> None:
        self._session = session = Session(device)
        self.stages, self.details = session.stages, session.details
        self._threshold = bbox_threshold
        with session.loading():
            self._model = self._load(weights).to(device).eval()
        self._model.predict = session.timed("network", _or_none(self._model.predict))

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), integer or finite float, 4 pixels or more on a
                side. Three channels are RGB, or empty, nucleus and whole cell; two are the
                last two of these; of four the first three are used.

        Returns:
            H x W, int64. All 0 where no object is found.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        import torch
        from cellSAM.cellsam_pipeline import normalize_image
        from cellSAM.model import segment_cellular_image

        planes = _planes(image)
        with self._session.predicting(), torch.no_grad():
            labels: Labels = segment_cellular_image(
                normalize_image(planes),
                self._model,
                normalize=True,
                bbox_threshold=self._threshold,
                device=self._session.device,
            )[0]
        # Without an object it returns zeros in the shape of its input: 3 x H x W.
        return labels if labels.ndim == 2 else np.zeros(image.shape[:2], labels.dtype)

    def _load(self, weights: Weights) -> Any:
        key = next(iter(weights.paths))
        content = open_checkpoint(weights, key)
        parameters = tensors(content.get("state_dict", content))
        if not any(name.startswith("cellfinder.") for name in parameters):
            raise another_architecture(weights, key, "it has no detector ('cellfinder')")
        model = self._build()
        try:
            # Not strict, as in cellSAM; what is missing in the checkpoint is refused below.
            model.load_state_dict(parameters, strict=False)
        except RuntimeError as error:
            raise another_architecture(weights, key, str(error)) from error
        if not model.adv_mode:
            # Of one that has no adversarially trained copy of SAM, SAM itself takes its place.
            sam = {name: value for name, value in parameters.items() if name.startswith("model.")}
            parameters |= {f"model_cp.{name.removeprefix('model.')}": sam[name] for name in sam}
        confirm_loaded(model, parameters, weights, key)
        return model

    def _build(self) -> Any:
        from importlib.resources import files

        import yaml
        from cellSAM.sam_inference import CellSAM

        # Names inside both libraries come to be only where they are imported: see `predict`.
        import cellSAM.cellsam_pipeline  # noqa: F401, I001

        return CellSAM(yaml.safe_load((files("cellSAM") / "modelconfig.yaml").read_text()))


def _planes(image: Image) -> Any:
    """The image in float32 in a shape that the pipeline's normalisation takes."""
    values = to_float32(image)
    if min(image.shape[:2]) < _LEAST_SIDE:
        raise ValueError(
            f"image of shape {image.shape}: CellSAM needs {_LEAST_SIDE} pixels or more on a side"
        )
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 1:
        return values.reshape(image.shape[:2])
    if channels == 2:
        return np.concatenate([np.zeros_like(values[..., :1]), values], axis=2)
    return values[..., :3]


def _or_none(predict: Callable[..., Any]) -> Callable[..., Any]:
    """The model's `predict`, with the None for no object that its caller looks for.

    It returns four of them, which its caller takes for a result and fails.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        found = predict(*args, **kwargs)
        return None if found is None or found[0] is None else found

    return run
