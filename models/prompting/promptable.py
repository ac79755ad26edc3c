"""Models that make masks of prompts, behind one interface: SAM and µSAM, SAM 2, SAM 3."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
Arrays = Mapping[str, NDArray[Any]]
"""Prompts of one kind, by the names of `models.prompting.prompts.KINDS`; N of each."""


class MaskLogits(NamedTuple):
    """What a model makes of N prompts, C masks of each.

    Attributes:
        logits: tensor, N x C x H x W, at the image's size.
        ious: tensor, N x C, the IoU that the model expects of each mask.
        small: tensor, N x C x h x w, at the decoder's resolution; None where there is none.
    """

    logits: Any
    ious: Any
    small: Any


class Promptable(Protocol):
    """A model that encodes an image once, and then decodes prompts in batches."""

    @property
    def device(self) -> str:
        """The device type that it runs on."""
        ...

    @property
    def mask_threshold(self) -> float:
        """The logit above which a pixel belongs to a mask, by the model's authors."""
        ...

    def encode(self, rgb: RGB) -> None:
        """Take the image that prompts are of from now on, H x W x 3."""
        ...

    def decode(self, prompts: Arrays, multimask: bool) -> MaskLogits:
        """Make masks of prompts.

        Args:
            prompts: N of them, all of one kind, in pixels of the image.
            multimask: whether there are three masks for each prompt, else there is one.
        """
        ...


class PromptableSam:
    """SAM and µSAM, by `segment_anything.SamPredictor`.

    Args:
        predictor: it may have been set to an image already.
    """

    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor

    @property
    def device(self) -> str:
        """The device type."""
        return str(self.predictor.device).partition(":")[0]

    @property
    def mask_threshold(self) -> float:
        """SAM's own."""
        return float(self.predictor.model.mask_threshold)

    def encode(self, rgb: RGB) -> None:
        """Set the predictor to an image."""
        self.predictor.set_image(rgb)

    def decode(self, prompts: Arrays, multimask: bool) -> MaskLogits:
        """Make masks of prompts, as `SamPredictor.predict_torch`."""
        import torch

        # By the predictor's own image size. micro-sam scales to 1024 whatever that is, which is
        # the same for every published model and would misplace the points of any other.
        scale, size = self.predictor.transform, self.predictor.original_size
        arrays = dict(prompts)
        if "points" in arrays:
            arrays["points"] = scale.apply_coords(arrays["points"], size)
        if "boxes" in arrays:
            arrays["boxes"] = scale.apply_boxes(arrays["boxes"], size)
        given: dict[str, Any] = {"point_coords": None, "point_labels": None}
        for name, array in arrays.items():
            given[_SAM_ARGUMENTS[name]] = torch.as_tensor(
                array, dtype=torch.float32, device=self.predictor.device
            )
        found = self.predictor.predict_torch(
            **given, multimask_output=multimask, return_logits=True
        )
        return MaskLogits(*found)

    def unresized(self) -> contextlib.AbstractContextManager[Callable[[Any], Any]]:
        """Leave the logits of `decode` at the decoder's resolution in here; gives what resizes."""
        predictor = self.predictor
        return _unresized(predictor.model, predictor.input_size, predictor.original_size)


_SAM_ARGUMENTS = {
    "points": "point_coords",
    "point_labels": "point_labels",
    "boxes": "boxes",
    "logits_masks": "mask_input",
}


class PromptableSam2:
    """SAM 2, by `sam2.sam2_image_predictor.SAM2ImagePredictor`.

    Args:
        predictor: of a model of SAM 2 or 2.1.
    """

    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor

    @property
    def device(self) -> str:
        """The device type."""
        return str(self.predictor.device).partition(":")[0]

    @property
    def mask_threshold(self) -> float:
        """The predictor's own, 0."""
        return float(self.predictor.mask_threshold)

    def encode(self, rgb: RGB) -> None:
        """Set the predictor to an image."""
        self.predictor.set_image(rgb)

    def decode(self, prompts: Arrays, multimask: bool) -> MaskLogits:
        """Make masks of prompts, as the predictor's `predict` does, but left on the device."""
        # Its `predict` copies all masks at the image's size to the host and squeezes them, so
        # that one prompt and one mask look alike; the two steps below are all that it does else.
        mask, points, labels, boxes = self.predictor._prep_prompts(
            prompts.get("points"),
            prompts.get("point_labels"),
            prompts.get("boxes"),
            prompts.get("logits_masks"),
            True,
        )
        found = self.predictor._predict(
            points, labels, boxes, mask, multimask_output=multimask, return_logits=True
        )
        return MaskLogits(*found)

    def unresized(self) -> contextlib.AbstractContextManager[Callable[[Any], Any]]:
        """Leave the logits of `decode` at the decoder's resolution in here; gives what resizes."""
        return _unresized(self.predictor._transforms, self.predictor._orig_hw[-1])


@contextlib.contextmanager
def _unresized(owner: Any, *sizes: Any) -> Iterator[Callable[[Any], Any]]:
    """Take the step away by which both libraries bring masks to the image's size."""
    resize = owner.postprocess_masks
    owner.postprocess_masks = lambda masks, *_: masks
    try:
        yield lambda masks: resize(masks, *sizes)
    finally:
        del owner.postprocess_masks


class PromptableSam3:
    """SAM 3's promptable part, by `transformers.Sam3TrackerModel`.

    Masks come to the image's size as those of `models.sam3` do: the logits are interpolated.

    Args:
        model: the network.
        processor: `transformers.Sam3TrackerProcessor`, for image and coordinates.
    """

    mask_threshold = 0.0

    def __init__(self, model: Any, processor: Any) -> None:
        self._model, self._processor = model, processor
        self._embeddings: Any = None
        self._shape = (0, 0)

    @property
    def device(self) -> str:
        """The device type."""
        return str(self._model.device.type)

    def encode(self, rgb: RGB) -> None:
        """Keep the embeddings of an image."""
        from PIL import Image

        self._shape = rgb.shape[0], rgb.shape[1]
        picture = self._processor(images=Image.fromarray(rgb), return_tensors="pt")
        pixels = picture["pixel_values"].to(self._model.device)
        self._embeddings = self._model.get_image_embeddings(pixels)

    def decode(self, prompts: Arrays, multimask: bool) -> MaskLogits:
        """Make masks of prompts, as the network does.

        Raises:
            ValueError: there are masks among the prompts, which the network takes one of for all.
        """
        import torch
        from torch.nn.functional import interpolate

        if "logits_masks" in prompts:
            raise ValueError("SAM 3 takes points and boxes as prompts, not logits_masks")
        given = {
            _SAM3_ARGUMENTS[name]: np.asarray(array)[None].tolist()
            for name, array in prompts.items()
        }
        if "input_labels" in given:
            given["input_labels"] = np.asarray(prompts["point_labels"], np.int64)[None].tolist()
        scaled = self._processor(original_sizes=[self._shape], return_tensors="pt", **given)
        arguments = {name: scaled[name].to(self._model.device) for name in given}
        with torch.no_grad():
            found = self._model(
                image_embeddings=self._embeddings, multimask_output=multimask, **arguments
            )
            [small] = found.pred_masks
            logits = interpolate(small, self._shape, mode="bilinear", align_corners=False)
        return MaskLogits(logits, found.iou_scores[0], small)


_SAM3_ARGUMENTS = {
    "points": "input_points",
    "point_labels": "input_labels",
    "boxes": "input_boxes",
}
