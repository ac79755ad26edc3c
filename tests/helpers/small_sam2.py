"""SAM 2 in small: the real code on random weights of a few million parameters."""

from functools import partial

import pytest
import torch
from omegaconf import OmegaConf

from models.common.torch_adapter import TorchAdapter
from models.sam2 import Sam2, packaged
from models.weights import find_weights

SMALL = {
    "image_encoder.trunk.embed_dim": 24,
    "image_encoder.trunk.stages": [1, 1, 2, 1],
    "image_encoder.trunk.global_att_blocks": [3],
    "image_encoder.neck.backbone_channel_list": [192, 96, 48, 24],
    "memory_attention.num_layers": 1,
    "memory_attention.layer.dim_feedforward": 64,
}
"""What is changed in sam2's own tiny model."""


class SmallSam2(Sam2):
    """Sam2, but for the architecture; its weights are marked as untrained."""

    find_weights = staticmethod(partial(find_weights, family="sam2", untrained=True))

    @staticmethod
    def _describe(weights, key, blocks):
        return described()


def described():
    config = packaged("hiera_t")
    for place, value in SMALL.items():
        OmegaConf.update(config, place, value)
    return config


def make_checkpoint(path, seed=0):
    """Write random weights to `path`, a file; the same ones for the same seed."""
    with TorchAdapter("cpu").loading(), torch.random.fork_rng():
        from hydra.utils import instantiate

        torch.manual_seed(seed)
        torch.save({"model": instantiate(described(), _recursive_=True).state_dict()}, path)
    return path


ADAPTERS = {"small_sam2": (SmallSam2, make_checkpoint)}


# Untrained, it is sure of nothing, and its masks have almost the same box.
OPEN = {"pred_iou_thresh": 0, "stability_score_thresh": 0, "box_nms_thresh": 1.0}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.set_num_threads(1)
    # With these, the largest of what it finds is an object: what becomes of it can be seen.
    path = make_checkpoint(tmp_path_factory.mktemp("sam2") / "small.pt", seed=2)
    return SmallSam2.find_weights(str(path)).fetch()
