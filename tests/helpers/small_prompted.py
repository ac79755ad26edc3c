"""Models that take prompts, in small and random: the adapters of `models.prompted`."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from helpers.small_musam import SmallAPG
from helpers.small_musam import make_checkpoint as make_musam
from helpers.small_sam2 import SmallSam2
from helpers.small_sam2 import make_checkpoint as make_sam2
from helpers.small_sam3 import SMALL

from models.common.torch_adapter import TorchAdapter
from models.prompted import Prompted, PromptedMicroSam, PromptedSam2, PromptedSam3
from models.sam2 import Sam2
from models.weights import find_weights


class SmallPromptedMicroSam(PromptedMicroSam):
    like: ClassVar = SmallAPG
    find_weights = staticmethod(partial(find_weights, family="musam", untrained=True))


class SmallPromptedSam2(PromptedSam2):
    like: ClassVar[type[Sam2]] = SmallSam2
    find_weights = staticmethod(partial(find_weights, family="sam2", untrained=True))


class SmallPromptedSam3(PromptedSam3):
    find_weights = staticmethod(partial(find_weights, family="sam3", untrained=True))


TRACKER = {
    "image_size": 224,
    "vision_config": SMALL["vision_config"] | {"model_type": "sam3_vision_model"},
    "prompt_encoder_config": {"hidden_size": 32, "image_size": 224},
    "mask_decoder_config": {
        "hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32,
    },
    "memory_attention_hidden_size": 32,
    "memory_encoder_hidden_size": 32,
}  # fmt: skip


def make_sam3(path, seed=0):
    """Write random weights to `path`, a folder, as the hub has it: the whole, for videos."""
    with TorchAdapter("cpu").loading():
        import torch
        from safetensors.torch import save_file
        from transformers import Sam3ImageProcessor, Sam3VideoConfig, Sam3VideoModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Sam3VideoModel(Sam3VideoConfig(detector_config=SMALL, tracker_config=TRACKER))
        with torch.no_grad():  # initialised to be nearly constant
            for name, value in model.named_parameters():
                if name.endswith("weight") and value.ndim > 1 and "embed.weight" not in name:
                    value *= 4
        model.config.save_pretrained(path)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        save_file(state, path / "model.safetensors", {"format": "pt"})
        Sam3ImageProcessor(size={"height": 224, "width": 224}).save_pretrained(path)
    return path


SMALL_MASKS: Mapping[str, tuple[type[Prompted], object]] = {
    "musam": (SmallPromptedMicroSam, make_musam),
    "sam2": (SmallPromptedSam2, make_sam2),
    "sam3": (SmallPromptedSam3, make_sam3),
}
"""By the value of `masks`: the adapter, and what makes its weights."""
