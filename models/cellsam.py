"""CellSAM: what its pipeline gives without tiling, with the model kept between images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, ClassVar

import numpy as np
from omegaconf import OmegaConf

from benchmark.types import Image, Labels, Weights
from models.common.images import to_float32
from models.common.out_of_memory import is_out_of_memory
from models.common.torch_adapter import TorchAdapter
from models.prompting.decoder import SharedDecoder, is_known
from models.weights.checkpoint import another_architecture, confirm_loaded, open_checkpoint, tensors

_LEAST_SIDE = 4  # pixels; cellSAM takes the shortest axis for the channels, which are three


class CellSAM(TorchAdapter):
    """CellSAM, as `cellsam_pipeline(image, use_wsi=False)` gives it.

    Args:
        weights: a state dictionary of CellSAM.
        device: `cuda` or `cpu`; cellSAM knows no other.
        bbox_threshold: detections of less confidence are dropped. The pipeline's own parameter
            of this name has no effect without tiling.
        grey_columns: a quirk of the pipeline, which shapes the study's numbers: it stretches
            `image[..., 0]`, `[..., 1]` and `[..., 2]` to 0..1, and of a grey H x W image these
            are three COLUMNS. They turn black beside the others, and where all others are far
            above 0, contrast is lost. False: the image as a whole is stretched.

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
    family: ClassVar[str] = "cellsam"
    input_size: ClassVar[int] = 1024

    def __init__(
        self,
        weights: Weights,
        device: str = "cpu",
        bbox_threshold: float = 0.4,
        grey_columns: bool = True,
    ) -> None:
        super().__init__(device)
        self._choices = {"bbox_threshold": bbox_threshold, "grey_columns": grey_columns}
        self._made: dict[Any, Any] | None = None  # of the pixels, where several settings share it
        with self.loading():
            from cellSAM.cellsam_pipeline import normalize_image
            from cellSAM.model import segment_cellular_image

            # Without gradients, since cellSAM records them while it decodes, mask after mask.
            model = self._load(weights).to(device).eval().requires_grad_(False)
        self._normalise, self._segment, self._model = normalize_image, segment_cellular_image, model
        model.generate_embeddings = self._once(self.timed("encode", model.generate_embeddings))
        model.generate_bounding_boxes = self.timed("detect", model.generate_bounding_boxes)
        model.predict = _mended(model.predict)
        finder, sam = model.cellfinder, model.model_cp if model.adv_mode else model.model
        finder.forward_inference = self._once(finder.forward_inference)
        decoder = sam.mask_decoder
        # One box at a time, so that what is made of the image alone has the shapes it has upstream.
        decode = SharedDecoder(decoder) if is_known(decoder) else decoder.forward
        decoder.forward = self._once(decode, _box)

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), integer or finite float, 4 pixels or more a
                side. Three channels are RGB, or empty, nucleus and whole cell; fewer are the
                last of these; of four the first three are used.

        Returns:
            H x W, int64. All 0 where no object is found.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        [labels] = self.predict_each(image, [{}])
        return labels

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings, as `benchmark.types.Sharing` has it.

        Embedding and detections are made once, each box is decoded once, and equal settings give
        one label image.
        """
        chosen = [{**self._choices, **each} for each in settings]
        pixels = {
            columns: self._planes(image, columns)
            for columns in dict.fromkeys(each["grey_columns"] for each in chosen)
        }
        return self._each(image, pixels, chosen)

    def _each(
        self, image: Image, pixels: Mapping[bool, Any], settings: Sequence[Mapping[str, Any]]
    ) -> Iterator[Labels]:
        keys = [(setting["bbox_threshold"], setting["grey_columns"]) for setting in settings]
        several = len(set(keys)) > 1
        stages = {columns: dict[Any, Any]() if several else None for columns in pixels}
        made: dict[Any, Labels] = {}
        for number, key in enumerate(keys):
            threshold, columns = key
            if key not in made:
                with self._isolation if number else self.predicting():
                    self._made = stages[columns]
                    try:
                        labels: Labels = self._segment(
                            self._normalise(pixels[columns].copy()),
                            self._model,
                            normalize=True,
                            bbox_threshold=threshold,
                            device=self.device,
                        )[0]
                    finally:
                        self._made = None
                # Without an object it returns zeros in the shape of its input: 3 x H x W.
                is_whole = labels.ndim == 2
                made[key] = labels if is_whole else np.zeros(image.shape[:2], labels.dtype)
            yield made[key]

    def _once(
        self, function: Callable[..., Any], key: Callable[..., Any] = lambda *_, **__: None
    ) -> Callable[..., Any]:
        """The same function, which is called once for the same pixels and key by all settings."""

        def run(*args: Any, **kwargs: Any) -> Any:
            if self._made is None:
                return function(*args, **kwargs)
            place = function, key(*args, **kwargs)
            if place not in self._made:
                self._made[place] = function(*args, **kwargs)
            return self._made[place]

        return run

    @staticmethod
    def _planes(image: Image, grey_columns: bool) -> Any:
        """The image in float32, in a shape that the pipeline's normalisation takes."""
        values = to_float32(image)
        height, width = image.shape[:2]
        if min(height, width) < _LEAST_SIDE:
            raise ValueError(
                f"image of shape {image.shape}: CellSAM needs {_LEAST_SIDE} pixels or more a side"
            )
        planes = values.reshape(height, width, -1)[..., :3]
        missing = 3 - planes.shape[2]
        if missing == 2 and grey_columns:
            return planes[..., 0]
        # Empty channels come first, as cellSAM itself puts them.
        return np.concatenate([np.zeros((height, width, missing), np.float32), planes], axis=2)

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
            if is_out_of_memory(error):
                raise
            raise another_architecture(weights, key, str(error)) from error
        if not model.adv_mode:
            # Of one that has no adversarially trained copy of SAM, SAM itself takes its place.
            sam = {name: value for name, value in parameters.items() if name.startswith("model.")}
            parameters |= {f"model_cp.{name.removeprefix('model.')}": sam[name] for name in sam}
        confirm_loaded(model, parameters, weights, key)
        return model

    @staticmethod
    def _build() -> Any:
        from cellSAM.sam_inference import CellSAM as Network

        settings = OmegaConf.create((files("cellSAM") / "modelconfig.yaml").read_text())
        return Network(OmegaConf.to_container(settings))


def _box(*_: Any, sparse_prompt_embeddings: Any, **__: Any) -> bytes:
    """What a mask depends on besides the image."""
    embedded: bytes = sparse_prompt_embeddings.cpu().numpy().tobytes()
    return embedded


def _mended(predict: Callable[..., Any]) -> Callable[..., Any]:
    """The model's `predict`, with the None that its caller takes for no object.

    By itself it fails on an image without contrast, which is all 0 once it is normalised, and
    returns four times None for no object, which its caller takes for a result and fails.
    """

    def run(images: Any, **kwargs: Any) -> Any:
        if not images.any():
            return None
        found = predict(images, **kwargs)
        return None if found[0] is None else found

    return run
