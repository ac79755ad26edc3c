"""The demo network's image encoder: a small U-Net that ends at SAM's 64 x 64."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

SIDE = 1024  # pixels; micro-sam scales prompts for no other size
STRIDE = 16  # pixels of these 1024 per cell of the embedding
WIDTH = 128  # channels of the embedding
POOL = 2  # the encoder works at half resolution
OFFSET = 64.0  # pixels of these 1024 that an offset of 1 stands for: about a large nucleus' radius


class Features(NamedTuple):
    """What the encoder makes of images.

    Attributes:
        embedding: B x 128 x h x w.
        places: B x 3 x 2h x 2w: logit of the foreground; offset from here to the centre of the
            object, in rows and columns, in units of 64 pixels of SAM's 1024.
    """

    embedding: Tensor
    places: Tensor


class Norm(nn.LayerNorm):  # type: ignore[misc]  # torch is untyped here
    """Layer normalisation over the channels of each pixel: nothing depends on what lies around.

    Neither on the padding, nor on the other images of a batch, nor on the mode.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """B x C x H x W, fastest with the channels last in memory."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Two convolutions beside a short cut, which is all that there is at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Norm(width),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.scale = nn.Parameter(torch.full((width, 1, 1), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        """B x C x H x W -> the same."""
        added: Tensor = x + self.scale * self.body(x)
        return added


class DemoEncoder(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """B x 3 x 1024 x 1024 images, as SAM normalises and pads them, -> B x 128 x 64 x 64.

    Three things are particular:

    - Colours are averaged: it is trained on grey images, so weights of its own for each colour
      would be left to chance.
    - Convolutions do not know where they are, but SAM's mask decoder compares places: a prompt
      and a pixel belong together if they mean the same object. So each quarter of a cell guesses
      the centre of its object, and that place, in the very code that SAM's prompt encoder has for
      places, goes into the embedding. Pixels of one object carry one code, of two objects two.
    - Only strides of whole pixels, no pooling that overlaps: mirrored images meet mirrored grids.
    """

    img_size = SIDE

    def __init__(self) -> None:
        super().__init__()
        widths = (24, 64, 96, 128, 128)
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, widths[0], 3, padding=1))
        self.down = nn.ModuleList(
            # Not after the stem: where that is dark it is next to zero, and normalising it would
            # make an object of every trace of noise.
            nn.Sequential(Norm(a) if index else nn.Identity(), nn.Conv2d(a, b, 2, stride=2))
            for index, (a, b) in enumerate(pairwise(widths))
        )
        depths = (1, 2, 2, 1)
        self.encode = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth)))
            for width, depth in zip(widths[1:], depths, strict=True)
        )
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths[1:]))
        self.merge = nn.ModuleList(Block(width) for width in widths[1:-1])
        self.place = nn.Sequential(Norm(widths[1]), nn.Conv2d(widths[1], 3, 3, padding=1))
        self.register_buffer("spectrum", spectrum())
        self.code = nn.Conv2d(4 * WIDTH, WIDTH, 1)
        self.fine = nn.Conv2d(widths[0], WIDTH, 4, stride=4)
        self.middle = nn.Conv2d(widths[1], WIDTH, 2, stride=2)
        self.coarse = nn.Conv2d(widths[2], WIDTH, 1)
        self.neck = Norm(WIDTH)
        with torch.no_grad():
            # At first nothing is taken for an object, and of each quarter's place a quarter of the
            # frequencies goes into the embedding as it is: those that one head of the mask
            # decoder's attentions compares. So each head decides on a quarter of its own.
            channels = torch.arange(WIDTH)
            self.code.weight.zero_()
            self.code.weight[channels, 4 * channels + channels // 2 % 4] = 1
            self.place[1].bias[0] = -1.5

    def forward(self, images: Tensor) -> Tensor:
        """The embedding of images as `Sam.preprocess` makes them."""
        return self.features(F.avg_pool2d(images.mean(dim=1, keepdim=True), POOL)).embedding

    def features(self, grey: Tensor, origin: Tensor | None = None) -> Features:
        """What `forward` gives, of the whole frame or of a window of it, and what it goes by.

        Args:
            grey: B x 1 x H x W, normalised, at half of SAM's resolution; H and W are multiples
                of 128.
            origin: B x 2, row and column of each window's first pixel in SAM's 1024 x 1024;
                zeros where not given.
        """
        detail = F.relu(self.stem(grey.contiguous(memory_format=torch.channels_last)))
        levels = [detail]
        for down, encode in zip(self.down, self.encode, strict=True):
            levels.append(encode(down(levels[-1])))
        x = wide = levels.pop()
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            wide = x
            x = merge(levels.pop() + F.interpolate(up(x), scale_factor=2.0, mode="nearest"))
        places = self.place(x)
        with torch.autocast(grey.device.type, enabled=False):
            code = F.pixel_unshuffle(self._code(places.detach().float(), origin), 2)
        summed = self.fine(detail) + self.middle(x) + self.coarse(wide) + self.code(code)
        return Features(self.neck(summed), places)

    def _code(self, places: Tensor, origin: Tensor | None) -> Tensor:
        """The places that are guessed, as SAM's prompt encoder encodes them, faint in background.

        Args:
            places: see `Features`.
            origin: see `features`.

        Returns:
            B x 128 x 2h x 2w.
        """
        height, width = places.shape[-2:]
        step = STRIDE / 2
        rows, columns = (
            (torch.arange(size, device=places.device, dtype=places.dtype) + 0.5) * step
            for size in (height, width)
        )
        here = torch.stack([rows[:, None].expand(-1, width), columns.expand(height, -1)])
        if origin is not None:
            here = here + origin.to(places.dtype)[:, :, None, None]
        centers = (here + OFFSET * places[:, 1:]).flip(1) / SIDE  # SAM's order is x, y
        angles = 2 * math.pi * (2 * centers - 1).permute(0, 2, 3, 1) @ self.spectrum
        waves = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
        return waves.permute(0, 3, 1, 2) * torch.sigmoid(places[:, :1])


def spectrum() -> Tensor:
    """The frequencies by which places are encoded: 2 x 64, in waves per 512 pixels of SAM's 1024.

    Directions spread evenly, and lengths from half a wave to six: the longest places a point in
    the frame, the shortest tell it from one a nucleus' radius away.
    """
    index = torch.arange(WIDTH // 2)
    length = 0.5 * 12 ** (index / (WIDTH // 2 - 1))
    # The golden angle: neither neighbours in length nor any two frequencies share a direction.
    angle = index * math.pi * (3 - math.sqrt(5))
    return torch.stack([length * torch.cos(angle), length * torch.sin(angle)])
