"""micro-sam in small: its own architecture with few and random parameters, and its adapters."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from models.apg import APG
from models.architecture import Architecture
from models.musam import AIS, AMG, SamAMG
from models.weights import find_weights

WIDTH = 32
SIDE = 1024  # pixels; upstream scales prompts to no other
PATCH = 128  # pixels; with SAM's own 16, micro-sam's decoder alone would take 20 s
CHANNELS = 32


def build_sam(width=WIDTH):
    """A small Sam, random."""
    import torch
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )

    grid = SIDE // PATCH
    encoder = ImageEncoderViT(
        img_size=SIDE, patch_size=PATCH, embed_dim=width, depth=2, num_heads=2,
        out_chans=CHANNELS, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        use_rel_pos=True, window_size=7, global_attn_indexes=(1,),
    )  # fmt: skip
    prompts = PromptEncoder(CHANNELS, (grid, grid), (SIDE, SIDE), mask_in_chans=4)
    masks = MaskDecoder(
        transformer_dim=CHANNELS, num_multimask_outputs=3, iou_head_hidden_dim=32,
        transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, num_heads=2, mlp_dim=32),
    )  # fmt: skip
    return Sam(encoder, prompts, masks).eval()


ARCHITECTURES: Mapping[str, Architecture] = {"small": Architecture(WIDTH, build_sam)}


def make_checkpoint(path, seed=0, *, decoder=True, width=WIDTH):
    """Write random parameters that find a few dozen objects in any image with structure.

    Args:
        path: of the file, which gets `model_state` and `decoder_state`, as micro-sam saves
            them; without a decoder a plain state of SAM.
        seed: the same parameters for the same one.
        decoder: whether it has one.
        width: of the encoder's embedding.
    """
    import torch
    from micro_sam.instance_segmentation import DecoderAdapter, get_unetr

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam = build_sam(width)
        unetr = DecoderAdapter(get_unetr(sam.image_encoder, None, "cpu"))
    _enliven(sam, unetr)
    state = sam.state_dict()
    if decoder:
        state = {"model_state": state, "decoder_state": unetr.state_dict()}
    torch.save(state, path)
    return path


def _enliven(sam, unetr):
    """Scale what was initialised to be nearly constant, so that prompts and pixels matter."""
    import torch

    masks = sam.mask_decoder
    with torch.no_grad():
        for name, value in masks.transformer.named_parameters():
            if name.endswith("weight") and value.ndim == 2:
                value *= 4
        for network in masks.output_hypernetworks_mlps:
            for value in network.layers[-1].parameters():
                value *= 300
        masks.iou_prediction_head.layers[-1].weight *= 10
        masks.iou_prediction_head.layers[-1].bias += 3
        unetr.out_conv.weight *= 4
        unetr.out_conv.bias.copy_(torch.tensor([2.0, -0.5, -0.5]))


class SmallSam(SamAMG):
    architectures: ClassVar[Mapping[str, Architecture]] = ARCHITECTURES
    find_weights = staticmethod(partial(find_weights, family="sam", untrained=True))


class SmallMasks(AMG):
    architectures: ClassVar[Mapping[str, Architecture]] = ARCHITECTURES
    find_weights = staticmethod(partial(find_weights, family="musam", untrained=True))


class SmallDecoder(AIS):
    architectures: ClassVar[Mapping[str, Architecture]] = ARCHITECTURES
    find_weights = staticmethod(partial(find_weights, family="musam", untrained=True))


class SmallAPG(APG):
    architectures: ClassVar[Mapping[str, Architecture]] = ARCHITECTURES
    find_weights = staticmethod(partial(find_weights, family="musam", untrained=True))


ADAPTERS = {
    "small_sam": (SmallSam, make_checkpoint),
    "small_musam_amg": (SmallMasks, make_checkpoint),
    "small_musam_ais": (SmallDecoder, make_checkpoint),
    "small_apg": (SmallAPG, make_checkpoint),
}


def blobs(height, width, channels=None, seed=0):
    """An image with structure: smoothed noise, uint8, H x W or H x W x C."""
    noise = np.random.default_rng(seed).normal(size=(height, width, channels or 1))
    smooth = gaussian_filter(noise, (6, 6, 0))
    smooth -= smooth.min()
    image = (smooth / (smooth.max() or 1) * 255).astype(np.uint8)
    return image if channels else image[..., 0]


def with_small_models(monkeypatch):
    """Let micro-sam build the small architecture as its `vit_b`, and undo what loading leaves."""
    import pickle

    import micro_sam.models.build_sam
    import micro_sam.util

    registry = {**micro_sam.util.sam_model_registry, "vit_b": build_sam}
    monkeypatch.setattr(micro_sam.util, "sam_model_registry", registry)
    monkeypatch.setattr(micro_sam.models.build_sam, "_validate_model_type", lambda _: "vit_b")
    monkeypatch.setattr(pickle, "Unpickler", pickle.Unpickler)


def study_segmenter(path, mode, image, build=None, generate=None):
    """AMG and AIS as the study called them: micro-sam itself, on the same checkpoint."""
    from micro_sam.automatic_segmentation import (
        automatic_instance_segmentation,
        get_predictor_and_segmenter,
    )

    predictor, segmenter = get_predictor_and_segmenter(
        "vit_b", checkpoint=path, device="cpu", segmentation_mode=mode, **(build or {})
    )
    return automatic_instance_segmentation(
        input_path=image, verbose=False, ndim=2, predictor=predictor, segmenter=segmenter,
        **(generate or {}),
    )  # fmt: skip


def study_apg(path, image, prompt_function=None, **generate):
    """APG as the study called it."""
    from micro_sam.instance_segmentation import AutomaticPromptGenerator, get_predictor_and_decoder

    predictor, decoder = get_predictor_and_decoder("vit_b", checkpoint_path=path, device="cpu")
    generator = AutomaticPromptGenerator(predictor, decoder)
    generator.initialize(image, ndim=2)
    return generator.generate(prompt_function=prompt_function, **generate)


def study_boundary_prompts(foreground, boundary_distances, foreground_threshold=0.5, **_):
    """The variant of its ablation, as micro-sam's history has it."""
    from skimage.feature import peak_local_max

    height = 1.0 - boundary_distances
    height[foreground < foreground_threshold] = 0
    peaks = peak_local_max(height, min_distance=5, threshold_abs=0.25, exclude_border=False)
    return {"points": peaks[:, None, ::-1], "point_labels": np.ones((len(peaks), 1))}


GRID = {"points_per_side": 2}
ALL_MASKS = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
MODES = {
    "sam": (SmallSam, GRID | ALL_MASKS),
    "musam_amg": (SmallMasks, GRID | ALL_MASKS),
    "musam_ais": (SmallDecoder, {}),
    "apg": (SmallAPG, {}),
    "apg_boundary": (SmallAPG, {"prompts": "boundary_distance"}),
}


@pytest.fixture(scope="module")
def models(checkpoint):
    """All modes, built once."""
    return {name: build(name, checkpoint) for name in MODES}


def build(name, path):
    adapter, parameters = MODES[name]
    return adapter(adapter.find_weights(str(path)).fetch(), **parameters)


@pytest.fixture(scope="module")
def weights(checkpoint):
    return SmallAPG.find_weights(str(checkpoint)).fetch()


IMAGES = {"grey": blobs(120, 160), "rgb": blobs(150, 110, 3, seed=1)}


def ramp(shape, dtype):
    image = blobs(*shape[:2], *shape[2:], seed=3).astype(np.float64) / 255
    scale = 1 if dtype == "float32" else np.iinfo(dtype).max
    return (image * scale).astype(dtype)


ODD = {
    "grey": ramp((90, 70), "uint8"),
    "one channel": ramp((90, 70, 1), "uint8"),
    "two channels": ramp((70, 90, 2), "uint16"),
    "rgb": ramp((64, 64, 3), "uint16"),
    "rgba": ramp((50, 80, 4), "uint8"),
    "float": ramp((80, 60), "float32"),
    "small": ramp((32, 32), "uint8"),
    "a pixel": ramp((1, 1), "uint8"),
    "a line": ramp((1, 300), "uint8"),
    "constant": np.full((60, 60), 9, np.uint16),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("small") / "small.pt")
