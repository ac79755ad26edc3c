"""Cellpose with DINOv3's encoder in small: one block, and random weights.

Without `dinov3`, a stand-in takes the place of its encoder, with all that cellpose calls of it.
"""

import contextlib
import importlib.util
from functools import partial
from unittest import mock

from models.cellpose_sam import CellposeDino
from models.weights import find_weights

REAL = importlib.util.find_spec("dinov3") is not None
WIDTH = 768  # by which cellpose tells ViT-B from ViT-L


@contextlib.contextmanager
def small_dino():
    """Within, cellpose builds its network around one block of ViT-B instead of twelve."""
    import cellpose.vit

    build = _one_block if REAL else _stand_in
    with mock.patch.object(cellpose.vit, "dinov3_vitb16", build, create=True):
        yield


def _one_block(pretrained=False):
    """As `dinov3.hub.backbones.dinov3_vitb16`, of one block."""
    from dinov3.models.vision_transformer import DinoVisionTransformer

    encoder = DinoVisionTransformer(
        img_size=224, pos_embed_rope_rescale_coords=2, pos_embed_rope_dtype="fp32", depth=1,
        layerscale_init=1.0e-05, norm_layer="layernormbf16", n_storage_tokens=4, mask_k_bias=True,
    )  # fmt: skip
    encoder.init_weights()
    return encoder


def _stand_in(pretrained=False):
    import torch

    class Patches(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.proj = torch.nn.Conv2d(3, WIDTH, kernel_size=16, stride=16)
            self.norm = torch.nn.Identity()

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mlp = torch.nn.Linear(WIDTH, WIDTH)

        def forward(self, tokens, rope):
            sine, _ = rope
            assert len(sine) == tokens.shape[1] - 5  # without the class and storage tokens
            return tokens + self.mlp(tokens) * 1e-5

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.patch_embed = Patches()
            self.cls_token = torch.nn.Parameter(torch.zeros(1, 1, WIDTH))
            self.storage_tokens = torch.nn.Parameter(torch.zeros(1, 4, WIDTH))
            self.blocks = torch.nn.ModuleList([Block()])
            self.norm = torch.nn.LayerNorm(WIDTH, eps=1e-5)

        def rope_embed(self, *, H, W):  # noqa: N803
            return torch.zeros(H * W, 64), torch.ones(H * W, 64)

    return Encoder()


def make_checkpoint(path, seed=0):
    """Random weights, 8 million of them."""
    import cellpose.vit
    import torch

    with small_dino(), torch.random.fork_rng():
        torch.manual_seed(seed)
        cellpose.vit.CPDINO(model_name="vitb", dtype=torch.float32).save_model(path)
    return path


class SmallCellposeDino(CellposeDino):
    requires = CellposeDino.requires[:1]  # the stand-in needs no dinov3
    find_weights = staticmethod(partial(find_weights, family="cellpose_dino", untrained=True))

    def _build(self, path, device, bfloat16):
        with small_dino():
            return super()._build(path, device, bfloat16)


ADAPTERS = {"small_cellpose_dino": (SmallCellposeDino, make_checkpoint)}
