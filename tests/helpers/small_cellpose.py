"""Cellpose-SAM in small: the real architecture with a smaller encoder and random weights."""

import contextlib
from functools import partial
from types import SimpleNamespace
from unittest import mock

from models.cellpose_sam import CellposeSam
from models.weights import find_weights


@contextlib.contextmanager
def small_encoder():
    """Within, cellpose builds its network around an encoder of 2 blocks instead of 24."""
    import cellpose.vit
    import torch
    from segment_anything.modeling import ImageEncoderViT

    def build(checkpoint=None):
        encoder = ImageEncoderViT(
            depth=2, embed_dim=64, num_heads=4, img_size=1024, patch_size=16, use_rel_pos=True,
            global_attn_indexes=(1,), window_size=14, out_chans=256,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        )  # fmt: skip
        return SimpleNamespace(image_encoder=encoder)

    with mock.patch.dict(cellpose.vit.sam_model_registry, vit_l=build):
        yield


def make_checkpoint(path, seed=0):
    """Random weights, 0.9 million of them."""
    import cellpose.vit
    import torch

    with small_encoder(), torch.random.fork_rng():
        torch.manual_seed(seed)
        cellpose.vit.CPSAM(dtype=torch.float32).save_model(path)
    return path


class SmallCellposeSam(CellposeSam):
    find_weights = staticmethod(partial(find_weights, family="cellpose_sam", untrained=True))

    def _build(self, path, device, bfloat16):
        with small_encoder():
            return super()._build(path, device, bfloat16)


ADAPTERS = {"small_cellpose_sam": (SmallCellposeSam, make_checkpoint)}
