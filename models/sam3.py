"""SAM 3: objects named by words and shown by boxes, by Hugging Face's port of Meta's model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmark.errors import ModelError
from benchmark.store.digest import array_digest
from benchmark.types import Image, Labels, Weights
from models.common.images import Normalise
from models.common.masks import Mask, paint
from models.common.out_of_memory import is_out_of_memory
from models.common.precision import in_float32, keep_places_exact
from models.common.torch_adapter import TorchAdapter
from models.prompting.prompts import Prompts
from models.weights.checkpoint import another_architecture, confirm_loaded, open_checkpoint, tensors

_ORDERS = ("returned", "score")
Boxes = Sequence[Sequence[float]]
_AT_ONCE = 16
"""Masks brought to the image's size together: 200 of a large image fill a machine's memory."""


@dataclass(frozen=True)
class Setting:
    """The parameters of SAM 3; `Sam3` describes them.

    Raises:
        ValueError: no prompt, an unknown order or `normalise`, a mask threshold that is no
            probability, or something that is no box.
    """

    prompt: str | Sequence[str]
    threshold: float
    mask_threshold: float
    mask_order: str
    boxes: Boxes | None = None
    negative_boxes: Boxes | None = None

    def __post_init__(self) -> None:
        words = self.prompts
        if not words or not all(isinstance(each, str) and each.strip() for each in words):
            raise ValueError(f"prompt is {self.prompt!r}: give words, or a list of them")
        if self.mask_order not in _ORDERS:
            raise ValueError(f"mask_order is '{self.mask_order}': give {' or '.join(_ORDERS)}")
        if not 0 <= self.mask_threshold <= 1:
            raise ValueError(f"mask_threshold is {self.mask_threshold}: give a probability, 0 to 1")
        for name in ("boxes", "negative_boxes"):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, Sequence) and value and all(map(_is_box, value))
            ):
                raise ValueError(
                    f"{name} is {value!r}: give a list of boxes [left, top, right, bottom] in "
                    "pixels, or null"
                )

    @property
    def exemplars(self) -> tuple[tuple[tuple[float, ...], bool], ...]:
        """Each box, and whether what is in it is looked for."""
        given = ((self.boxes or (), True), (self.negative_boxes or (), False))
        return tuple((tuple(map(float, box)), sought) for boxes, sought in given for box in boxes)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts, in their order."""
        return (self.prompt,) if isinstance(self.prompt, str) else tuple(self.prompt)


class Sam3(TorchAdapter):
    """Every object that a word names, masks painted one over the other.

    Args:
        weights: a folder with `config.json`, safetensors, processor and tokenizer, as
            `facebook/sam3` has them. Nothing is fetched, and no code in it is run.
        device: `cuda`, `mps` (never tried here) or `cpu`.
        prompt: what to look for; of several, the masks come in the order of the prompts.
        threshold: confidence from which a mask counts.
        mask_threshold: probability, 0 to 1, above which a pixel belongs to a mask.
        mask_order: what is seen where masks overlap: with `returned` the later one, as the
            study painted them; with `score` the more confident one (painted from the lowest
            score to the highest; of equals, the later).
        boxes: exemplars beside the words, `[left, top, right, bottom]` in pixels, the same in every
            image; what is like them is looked for. For boxes alone, `prompt` is `visual`, as in the
            library.
        negative_boxes: exemplars of what is not looked for.
        normalise: how intensities become the 8 bit that the network sees: each channel over its
            own range (`min_max`), between its percentiles 1 and 99 (`percentiles`) or two others
            (`[0.5,99.5]`), or all channels over one (`min_max_joint`, `percentiles_joint`).
        precision: `default`, `float32`, `tf32` or `bfloat16`, see
            `models.common.precision.Precision`.

    Raises:
        ModelError: the folder is not such a one, or of another architecture.
        ValueError: no prompt, an unknown order, a mask threshold that is no probability, or
            something that is no box.

    The study used Meta's own package; here, transformers' port of the network stands in for it.
    Masks are made as Meta's processor makes them: the logits are interpolated to the image's
    size, then compared with the threshold. The port's own processor takes the sigmoid first,
    which moves the borders. Which masks are kept, their scores and their order are the same
    in both.

    Checked, on small random weights: scores and order against transformers, with boxes and
    without, masks against the steps of Meta's source code. Not checked: that network and masks
    equal those of Meta's package when it runs, as the weights are gated and the package runs on
    CUDA only. By default, precision is float32, without autocast.

    Source: `transformers.Sam3Model`; `Sam3Processor._forward_grounding` of
    https://github.com/facebookresearch/sam3.
    """

    version: ClassVar[int] = 2  # 1: probabilities were interpolated, not logits
    libraries: ClassVar[tuple[str, ...]] = ("transformers",)
    requires: ClassVar[tuple[str, ...]] = ("transformers>=5.0,<6",)  # the first with Sam3Model
    family: ClassVar[str] = "sam3"
    input_size: ClassVar[int] = 1008
    added: ClassVar[tuple[str, ...]] = ("boxes", "negative_boxes", "normalise", "precision")
    chosen_by: ClassVar[tuple[str, ...]] = ("normalise", "precision")

    def __init__(
        self,
        weights: Weights,
        device: str = "cpu",
        prompt: str | Sequence[str] = "cell",
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        mask_order: str = "returned",
        boxes: Boxes | None = None,
        negative_boxes: Boxes | None = None,
        normalise: Normalise = "min_max",
        precision: str = "default",
    ) -> None:
        self._setting = Setting(
            prompt, threshold, mask_threshold, mask_order, boxes, negative_boxes
        )
        super().__init__(device, normalise=normalise, precision=precision)
        with self.loading():
            self._model, self._processor = _load(weights)
            self._model.to(device).eval()
            self._texts = {words: self._text(words) for words in self._setting.prompts}

    def predict(self, image: Image) -> Labels:
        """Segment what the prompts name and the boxes show.

        Args:
            image: H x W or H x W x C (C 1 to 4), integer or finite float.

        Returns:
            H x W uint32; an id is missing where its mask is covered whole.

        Raises:
            ValueError: no image of this kind, or one that a box is not in.
        """
        [labels] = self.predict_each(image, [{}])
        return labels

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings, as `benchmark.types.Sharing` has it.

        The image is encoded once, each prompt with its boxes is decoded once, and equal settings
        give one label image.
        """
        chosen = [replace(self._setting, **each) for each in settings]
        return self._painted(chosen, self._outputs(image, chosen), image.shape[:2])

    def prompts(self, image: Image) -> Prompts:
        """The boxes of what the prompts name, as prompts of another model.

        Args:
            image: as for `predict`.
        """
        boxes = [np.zeros((0, 4))]
        for output in self._outputs(image, [self._setting]).values():
            [found] = self._processor.post_process_object_detection(
                output, self._setting.threshold, [image.shape[:2]]
            )
            boxes.append(found["boxes"].cpu().numpy())
        return Prompts(boxes=np.concatenate(boxes))

    def _outputs(self, image: Image, settings: Sequence[Setting]) -> dict[Any, Any]:
        """What the network returns for each distinct prompt with its boxes."""
        import torch
        from PIL import Image as Picture

        outputs: dict[Any, Any] = {}
        with self.predicting(), torch.no_grad():
            rgb = self.to_rgb8(image)
            for one in settings:
                _check_inside(one, rgb.shape[:2])
            with self.stage("encode"):
                picture = self._processor(images=Picture.fromarray(rgb), return_tensors="pt")
                pixels = picture["pixel_values"].to(self.device)
                features = self._model.get_vision_features(pixel_values=pixels)
            with self.stage("decode"):
                for one in settings:
                    for words in one.prompts:
                        if (words, one.exemplars) not in outputs:
                            text = self._texts.get(words) or self._text(words)
                            shown = self._shown(one, rgb.shape[:2])
                            output = self._model(vision_embeds=features, **text, **shown)
                            outputs[words, one.exemplars] = in_float32(output)
        return outputs

    def _painted(
        self, settings: Sequence[Setting], outputs: Mapping[Any, Any], shape: tuple[int, int]
    ) -> Iterator[Labels]:
        """The label image of each setting."""
        import torch

        made: dict[Any, Labels] = {}
        for setting in settings:
            key = (
                setting.prompts, setting.exemplars, setting.threshold, setting.mask_threshold,
                setting.mask_order,
            )  # fmt: skip
            if key not in made:
                with self.later_stage("postprocess"), torch.no_grad():
                    found = [
                        one
                        for words in setting.prompts
                        for one in self._masks(outputs[words, setting.exemplars], shape, setting)
                    ]
                    if setting.mask_order == "score":
                        found.sort(key=lambda one: one[0])
                    made[key] = paint((mask for _, mask in found), shape)
            yield made[key]

    def _text(self, words: str) -> Any:
        return self._processor(text=words, return_tensors="pt").to(self.device)

    def _shown(self, setting: Setting, shape: tuple[int, int]) -> dict[str, Any]:
        """The network's inputs for the boxes; none where there are none."""
        if not setting.exemplars:
            return {}
        inputs = self._processor(
            original_sizes=[list(shape)],
            input_boxes=[[list(box) for box, _ in setting.exemplars]],
            input_boxes_labels=[[int(sought) for _, sought in setting.exemplars]],
            return_tensors="pt",
        )
        names = ("input_boxes", "input_boxes_labels")
        return {name: inputs[name].to(self.device) for name in names}

    def _masks(
        self, output: Any, shape: tuple[int, int], setting: Setting | None = None
    ) -> Iterator[tuple[float, Mask]]:
        """Score and mask of each kept object of one image, in the order the model returns them."""
        from torch.nn.functional import interpolate

        setting = setting or self._setting
        mask_logit = _logit(setting.mask_threshold)
        scores = output.pred_logits[0].sigmoid()
        if output.presence_logits is not None:
            scores = scores * output.presence_logits[0].sigmoid()
        kept = scores > setting.threshold
        scores, logits = scores[kept].tolist(), output.pred_masks[0][kept]
        for start in range(0, len(scores), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            # The logits, not their sigmoid: the two orders give different borders.
            [resized] = interpolate(
                logits[None, part], size=shape, mode="bilinear", align_corners=False
            )
            masks = (resized > mask_logit).cpu().numpy()
            yield from zip(scores[part], masks, strict=True)


def _is_box(value: Any) -> bool:
    """Whether it is four finite numbers, left of right and above below."""
    numbers = isinstance(value, Sequence) and all(isinstance(v, (int, float)) for v in value)
    if not numbers or len(value) != 4 or not all(map(math.isfinite, value)):
        return False
    left, top, right, bottom = value
    return bool(0 <= left < right and 0 <= top < bottom)


def _check_inside(setting: Setting, shape: tuple[int, int]) -> None:
    for box, _ in setting.exemplars:
        if box[2] > shape[1] or box[3] > shape[0]:
            raise ValueError(
                f"image of {shape[0]} x {shape[1]} pixels: the box {list(box)} is not in it "
                "(left, top, right, bottom)"
            )


def _logit(probability: float) -> float:
    """The logit whose sigmoid is `probability`; infinite at 0 and 1."""
    if probability in (0, 1):
        return math.inf if probability else -math.inf
    return math.log(probability / (1 - probability))


def _load(weights: Weights) -> tuple[Any, Any]:
    """Model and processor from the weights' folder."""
    # Where the model is a part of the one for videos, as it is on the hub.
    parts = {"detector_model.": ""}
    return _from_folder(weights, "Sam3Model", "Sam3Processor", parts)


def load_tracker(weights: Weights) -> tuple[Any, Any]:
    """The part of SAM 3 that takes points and boxes, and the processor of image and prompts.

    Raises:
        ModelError: the folder is not such a one, or of another architecture.
    """
    parts = {
        "detector_model.vision_encoder.backbone.": "vision_encoder.backbone.",
        "tracker_neck.": "vision_encoder.neck.",  # the detector has a neck of its own
        "tracker_model.": "",
    }
    model, pictures = _from_folder(weights, "Sam3TrackerModel", "Sam3ImageProcessor", parts)
    from transformers import Sam3TrackerProcessor

    keep_places_exact(model)

    return model, Sam3TrackerProcessor(pictures)


def _from_folder(
    weights: Weights, model_class: str, processor_class: str, parts: Mapping[str, str]
) -> tuple[Any, Any]:
    """A model and a processor of transformers, from the weights' folder.

    Args:
        weights: the folder's files.
        model_class: name of the class in transformers.
        processor_class: the same.
        parts: how the names of parameters begin in a file of the whole, and in the model.
    """
    folder, files = _folder(weights)
    # First, as it names the file that is damaged.
    saved = {
        _of_part(name, parts): value
        for key in files
        for name, value in tensors(open_checkpoint(weights, key)).items()
    }

    import torch
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model, report = getattr(transformers, model_class).from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
        processor = getattr(transformers, processor_class).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever a wrong configuration or tokenizer leads to
        if is_out_of_memory(error):
            raise
        raise another_architecture(weights, files[0], f"({folder}) {error}") from error
    # The library fills what is missing with random numbers, and only warns.
    lacking = sorted({*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])})
    if lacking:
        why = f"{len(lacking)} parameters are missing or of another shape, such as '{lacking[0]}'"
        raise another_architecture(weights, files[0], why)
    confirm_loaded(model, _renamed(saved, model.state_dict()), weights, files[0])
    return model, processor


def _of_part(name: str, parts: Mapping[str, str]) -> str:
    """The name of a parameter in a part of the whole."""
    start = next((start for start in parts if name.startswith(start)), "")
    return parts.get(start, "") + name.removeprefix(start)


def _renamed(saved: dict[str, Any], loaded: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint under the names of the loaded model, where the library renames as it loads.

    A parameter of a name that the file does not have is looked for by its values; one that is
    not in the file at all is left out, and so refused.
    """
    strange = loaded.keys() - saved.keys()
    by_value = {_values(value): value for value in saved.values()} if strange else {}
    found = {name: by_value.get(_values(loaded[name])) for name in strange}
    return saved | {name: value for name, value in found.items() if value is not None}


def _values(tensor: Any) -> str:
    return array_digest(tensor.detach().cpu().float().numpy())


def _folder(weights: Weights) -> tuple[Path, list[str]]:
    """The one folder that the library loads from, and its safetensors."""
    files = [key for key in weights.paths if key.endswith(".safetensors")]
    if "config.json" not in weights.paths or not files:
        first = next(iter(weights.paths.values()))
        given = first if len(weights.paths) == 1 else first.parent
        raise ModelError(
            f"model.weights: {given} is no folder with config.json and safetensors (pickled "
            "weights are not loaded). Give one as https://huggingface.co/facebook/sam3 has it: "
            "config.json, model.safetensors, processor_config.json and the tokenizer's files."
        )
    folder = weights.paths["config.json"].parent
    astray = [path for path in weights.paths.values() if not path.is_relative_to(folder)]
    if astray:
        raise ModelError(f"{astray[0]} must lie beside {folder / 'config.json'}. Move it there.")
    return folder, files
