"""Models that make masks of prompts, behind one interface: SAM and µSAM, SAM 2, SAM 3."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.prompting.decoder import SharedDecoder, is_known
from models.prompting.upsampling import Step, Upsampling

RGB = NDArray[np.uint8]
Arrays = Mapping[str, NDArray[Any]]
"""Prompts of one kind, by the names of `models.prompting.prompts.KINDS`; N of each."""


class MaskLogits(NamedTuple):
    """What a model makes of N prompts, C masks of each.

    Attributes:
        logits: tensor, N x C x h x w, of which `upsampling` makes masks at the image's size.
        ious: tensor, N x C, the IoU that the model expects of each mask.
        small: tensor, N x C x h x w, what the library returns at the decoder's resolution; None
            where there is none.
        upsampling: to the image's size.
    """

    logits: Any
    ious: Any
    small: Any
    upsampling: Upsampling

    @property
    def whole(self) -> Any:
        """All logits at the image's size, N x C x H x W, as the library makes them."""
        return self.upsampling.whole(self.logits)


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
        self._shared: SharedDecoder | None = None

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
        upsampling = sam_upsampling(self.predictor, _channels(multimask))
        predictor = self.predictor
        if upsampling is None:
            upsampling = Upsampling(lambda logits: logits)
        else:
            predictor = self._without_upsampling("logits_masks" in prompts)
        logits, ious, small = predictor.predict_torch(
            **given, multimask_output=multimask, return_logits=True
        )
        return _found(logits, ious, small, upsampling)

    def _without_upsampling(self, masks_given: bool) -> Any:
        """A predictor like this one, whose logits are left at the decoder's resolution.

        Args:
            masks_given: whether prompts have masks, so that the image is another for each.
        """
        sam = self.predictor.model
        decoder = sam.mask_decoder
        if not masks_given and is_known(decoder):
            if self._shared is None:
                self._shared = SharedDecoder(decoder)
            decoder = self._shared
        predictor = copy(self.predictor)
        predictor.model = SimpleNamespace(
            prompt_encoder=sam.prompt_encoder,
            mask_decoder=decoder,
            postprocess_masks=lambda logits, *_: logits,
        )
        return predictor


def sam_upsampling(predictor: Any, channels: int = 1) -> Upsampling | None:
    """How the masks of a `SamPredictor` come to the size of its image; None for any other class."""
    from segment_anything import SamPredictor
    from segment_anything.modeling import Sam

    sam: Any = getattr(predictor, "model", None)
    if type(predictor) is not SamPredictor or type(sam) is not Sam:
        return None
    if "predict_torch" in vars(predictor) or "postprocess_masks" in vars(sam):
        return None  # replaced
    shown, size = tuple(predictor.input_size), tuple(predictor.original_size)
    side = sam.image_encoder.img_size
    return Upsampling(
        partial(sam.postprocess_masks, input_size=shown, original_size=size),
        [Step((side, side), shown), Step(size, size)],
        channels,
    )


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
        predictor, upsampling = self.predictor, Upsampling(lambda logits: logits)
        transforms = predictor._transforms
        if not (transforms.max_hole_area or transforms.max_sprinkle_area):
            predictor = copy(predictor)
            predictor._transforms = SimpleNamespace(
                postprocess_masks=lambda logits, _: logits.float()
            )
            upsampling = _bilinear(self.predictor._orig_hw[-1], _channels(multimask))
        logits, ious, small = predictor._predict(
            points, labels, boxes, mask, multimask_output=multimask, return_logits=True
        )
        return _found(logits, ious, small, upsampling)


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
        [logits] = found.pred_masks
        return _found(
            logits, found.iou_scores[0], logits, _bilinear(self._shape, _channels(multimask))
        )


_SAM3_ARGUMENTS = {
    "points": "input_points",
    "point_labels": "input_labels",
    "boxes": "input_boxes",
}


def _found(logits: Any, ious: Any, small: Any, upsampling: Upsampling) -> MaskLogits:
    """What a model made, in float32: autocast may leave it in 16 bits."""
    small = None if small is None else small.float()
    return MaskLogits(logits.float(), ious.float(), small, upsampling)


def _channels(multimask: bool) -> int:
    return 3 if multimask else 1


def _bilinear(size: tuple[int, int], channels: int) -> Upsampling:
    """One interpolation to the image's size."""
    from torch.nn.functional import interpolate

    size = size[0], size[1]
    whole = partial(interpolate, size=size, mode="bilinear", align_corners=False)
    return Upsampling(whole, [Step(size, size)], channels)
