"""The adapters that are checked: real architectures, random weights."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.types import Weights
from gpu_checks.prompted_sam import PromptedSam
from models.apg import APG
from models.cellpose_sam import CellposeSam
from models.common.torch_adapter import TorchAdapter
from models.musam import AIS, AMG
from models.sam2 import Sam2
from models.sam3 import Sam3

_SEED = 0
_ALL = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}


class Subject(NamedTuple):
    """An adapter to check.

    Attributes:
        name: for people.
        adapter: its class.
        weights: gives the weights; it may write random ones into a folder.
        networks: names of the `torch.nn.Module` classes whose first outputs are compared.
        parameters: of the adapter.
        tolerance: largest allowed difference of these outputs between CPU and device, as root
            mean square over that of the CPU's outputs.
        crowd: parameters with which its batches need far more memory than the rest.
    """

    name: str
    adapter: Any
    weights: Callable[[Path], Weights]
    networks: tuple[str, ...]
    parameters: Mapping[str, Any]
    tolerance: float = 1e-2
    crowd: Mapping[str, Any] | None = None

    def build(self, weights: Weights, device: str, **more: Any) -> Any:
        """The adapter on a device."""
        return self.adapter(weights, device=device, **{**self.parameters, **more})


def _random(adapter: Any, write: Callable[[Path], None], file: str, folder: Path) -> Weights:
    """Weights that `write` makes, found and fetched as a user's own are."""
    path = folder / file
    if not path.exists():
        with TorchAdapter("cpu").loading():
            import torch

            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(_SEED)
                write(path)
    found: Weights = adapter.find_weights(str(path)).fetch()
    return found


def _write_sam3(path: Path) -> None:
    """The architecture of `facebook/sam3`, 840 million parameters, and a tokenizer of letters."""
    from transformers import (
        CLIPTokenizer,
        Sam3Config,
        Sam3ImageProcessor,
        Sam3Model,
        Sam3Processor,
    )

    Sam3Model(Sam3Config()).save_pretrained(path)
    tokens = ["<|startoftext|>", "<|endoftext|>"]
    tokens += [letter + end for letter in string.ascii_lowercase for end in ("", "</w>")]
    tokenizer = CLIPTokenizer({token: number for number, token in enumerate(tokens)}, [])
    Sam3Processor(Sam3ImageProcessor(), tokenizer).save_pretrained(path)


def _write_transformers_sam(path: Path) -> None:
    """ViT-B of SAM, 94 million parameters."""
    import torch
    from transformers import SamConfig, SamModel

    # The default, 1e-10, leaves embeddings of 1e-20.
    model = SamModel(SamConfig(vision_config={"initializer_range": 0.02}))
    with torch.no_grad():  # what differs from pixel to pixel would make masks of single pixels
        model.vision_encoder.neck.layer_norm2.weight *= 0.05
    heads = [network.proj_out for network in model.mask_decoder.output_hypernetworks_mlps]
    _enliven(model.mask_decoder.transformer, heads)
    model.save_pretrained(path)


def _write_micro_sam(path: Path) -> None:
    """ViT-B of SAM with micro-sam's decoder, as micro-sam saves them."""
    import torch
    from micro_sam.instance_segmentation import DecoderAdapter, get_unetr
    from segment_anything import sam_model_registry

    sam = sam_model_registry["vit_b"]()
    masks = sam.mask_decoder
    heads = [network.layers[-1] for network in masks.output_hypernetworks_mlps]
    _enliven(masks.transformer, heads)
    decoder = DecoderAdapter(get_unetr(sam.image_encoder, None, "cpu"))
    with torch.no_grad():
        decoder.out_conv.weight *= 4
        decoder.out_conv.bias.copy_(torch.tensor([2.0, -0.5, -0.5]))
    torch.save({"model_state": sam.state_dict(), "decoder_state": decoder.state_dict()}, path)


def _enliven(transformer: Any, heads: list[Any]) -> None:
    """Scale SAM's mask decoder, whose outputs are nearly constant when it is new."""
    import torch

    with torch.no_grad():
        for name, value in transformer.named_parameters():
            if name.endswith("weight") and value.ndim == 2:
                value *= 4
        for head in heads:
            for value in head.parameters():
                value *= 300


def _write_sam2(path: Path) -> None:
    import torch
    from hydra.utils import instantiate

    from models.sam2 import packaged

    torch.save({"model": instantiate(packaged("hiera_b+"), _recursive_=True).state_dict()}, path)


def _write_cellpose_sam(path: Path) -> None:
    import cellpose.vit
    import torch

    cellpose.vit.CPSAM(dtype=torch.float32).save_model(str(path))


def _demo(_: Path) -> Weights:
    found: Weights = APG.find_weights("demo").fetch()
    return found


_MICRO_SAM = partial(_random, APG, _write_micro_sam, "micro_sam.pt")

_MASKS = "MLP"
"""In place of SAM's `MaskDecoder`, whose parts are called singly (`models.prompting.decoder`)."""

SUBJECTS = (
    Subject(
        "sam3", Sam3, partial(_random, Sam3, _write_sam3, "sam3"),
        ("Sam3VisionModel", "Sam3DetrDecoder", "Sam3MaskDecoder"),
        {"threshold": 0.0, "mask_threshold": 0.522},  # about the middle of what it gives
    ),
    Subject(
        "prompted_sam", PromptedSam,
        partial(_random, PromptedSam, _write_transformers_sam, "transformers_sam"),
        ("SamVisionEncoder", "SamMaskDecoder"), {"points_per_side": 8},
        crowd={"points_per_side": 32, "batch_size": 1024},
    ),
    Subject(
        "demo_apg", APG, _demo, ("DemoEncoder", "DemoDecoder", _MASKS), {},
    ),
    Subject(
        "apg", APG, _MICRO_SAM, ("ImageEncoderViT", "DecoderAdapter", _MASKS), {},
    ),
    Subject("musam_ais", AIS, _MICRO_SAM, ("ImageEncoderViT", "DecoderAdapter"), {}),
    Subject(
        "musam_amg", AMG, _MICRO_SAM, ("ImageEncoderViT", _MASKS),
        {"points_per_side": 8, **_ALL}, crowd={"points_per_side": 32, "batch_size": 1024},
    ),
    Subject(
        "sam2", Sam2, partial(_random, Sam2, _write_sam2, "sam2.pt"),
        ("ImageEncoder", "MaskDecoder"), {"points_per_side": 8, "box_nms_thresh": 1.0, **_ALL},
        crowd={"points_per_side": 32, "batch_size": 1024},
    ),
    Subject(
        "cellpose_sam", CellposeSam,
        partial(_random, CellposeSam, _write_cellpose_sam, "cellpose_sam"), ("CPSAM",), {},
        tolerance=5e-2,  # computed in bfloat16
    ),
)  # fmt: skip
"""Those that need torch and transformers alone come first."""
