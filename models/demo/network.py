"""SAM with a small convolutional encoder, and a decoder for what micro-sam's AIS and APG read.

Everything is as `segment_anything` and micro-sam expect it: the encoder takes images of 1024 x 1024
(`img_size`, which micro-sam scales prompts for) and gives 128 channels at 64 x 64; prompt and mask
decoder are SAM's own classes at that width; the decoder is called as micro-sam's `DecoderAdapter`.
"""

from __future__ import annotations

from typing import Any

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from models.demo.encoder import SIDE, STRIDE, WIDTH, DemoEncoder, Norm, spectrum

_HEADS = 4
_ATTENTION = 2.5  # gain of its first weights: a softmax over the frame then peaks within some cells


class DemoDecoder(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Foreground and distances from an image's embedding, at a quarter of SAM's resolution.

    No batch normalisation: micro-sam calls its decoder in training mode, so that one would take
    the statistics of the image at hand, which are not those of training.
    """

    def __init__(self) -> None:
        super().__init__()
        # An embedding's channels hold what its 16 x 16 pixels look like in detail; pixel shuffles
        # lay that out again, the convolutions between them join it across the seams.
        self.cells = nn.Sequential(
            nn.Conv2d(WIDTH, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 192, 1)
        )
        self.halves = nn.Sequential(
            Norm(48), nn.Conv2d(48, 48, 3, padding=1), nn.ReLU(), nn.Conv2d(48, 96, 1)
        )
        self.quarters = nn.Sequential(
            Norm(24), nn.Conv2d(24, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 3, 3, padding=1)
        )
        with torch.no_grad():  # at first all is background, as most pixels are
            self.quarters[-1].bias.copy_(torch.tensor([-1.5, 0.0, 0.0]))

    def logits(self, embeddings: Tensor) -> Tensor:
        """B x 128 x h x w embeddings -> B x 3 x 4h x 4w, before the sigmoid."""
        halves = F.pixel_shuffle(self.cells(embeddings), 2)
        quarters = F.pixel_shuffle(self.halves(halves), 2)
        found: Tensor = self.quarters(quarters)
        return found

    def forward(
        self, embeddings: Tensor, input_shape: tuple[int, ...], original_shape: tuple[int, ...]
    ) -> Tensor:
        """The maps of one image, at its own size.

        Args:
            embeddings: 1 x 128 x 64 x 64.
            input_shape: height and width of the image in SAM's 1024 x 1024, without padding.
            original_shape: height and width of the image.

        Returns:
            1 x 3 x H x W, from 0 to 1: foreground, distance to the centre, distance to the
            boundary. Resized as `torch_em.model.UNETR.postprocess_masks` does it.
        """
        maps = torch.sigmoid(self.logits(embeddings))
        maps = F.interpolate(maps, (SIDE, SIDE), mode="bilinear", align_corners=False)
        maps = maps[..., : input_shape[0], : input_shape[1]]
        return F.interpolate(maps, tuple(original_shape), mode="bilinear", align_corners=False)


def build_sam() -> Any:
    """SAM with random parameters, ready for inference."""
    cells = SIDE // STRIDE
    prompts = PromptEncoder(WIDTH, (cells, cells), (SIDE, SIDE), mask_in_chans=8)
    # SAM draws its frequencies from a normal distribution of width 1, which distinguishes points
    # that are a tenth of the image away from each other. Cells lie closer.
    prompts.pe_layer.positional_encoding_gaussian_matrix.copy_(spectrum())
    # What marks a point as one, and a prompt as without a mask, must not drown where it is.
    for embedding in (*prompts.point_embeddings, prompts.not_a_point_embed, prompts.no_mask_embed):
        nn.init.normal_(embedding.weight, std=0.1)
    masks = MaskDecoder(
        transformer_dim=WIDTH,
        transformer=TwoWayTransformer(
            depth=2,
            embedding_dim=WIDTH,
            num_heads=_HEADS,
            mlp_dim=2 * WIDTH,
        ),
        num_multimask_outputs=3,
        iou_head_hidden_dim=WIDTH,
    )
    for layer in masks.transformer.layers:
        _align(layer.cross_attn_token_to_image)
        _align(layer.cross_attn_image_to_token)
    _align(masks.transformer.final_attn_token_to_image)
    sam = Sam(DemoEncoder(), prompts, masks)
    # On a CPU convolutions are fastest so; loading parameters keeps it.
    return sam.to(memory_format=torch.channels_last).eval()


def _align(attention: Any) -> None:
    """Let an attention look at first where query and key are alike: at the same place.

    Each head compares sines and cosines of a quarter of the frequencies, long and short ones. By
    two random matrices it would look anywhere, and would have to find out by gradients that are
    next to nothing that places are what it has to compare.
    """
    # Sines first, then cosines; an attention is half as wide as what it looks at.
    waves = torch.arange(0, WIDTH, 2).reshape(-1, _HEADS).T.reshape(-1)
    with torch.no_grad():
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight.copy_(_ATTENTION * torch.eye(WIDTH)[waves])
            projection.bias.zero_()


def build_decoder() -> DemoDecoder:
    """The decoder with random parameters."""
    decoder: DemoDecoder = DemoDecoder().to(memory_format=torch.channels_last).eval()
    return decoder
