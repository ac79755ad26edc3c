"""Cellpose 3 with random weights. Its network is small as it is: 6.6 million parameters."""

import os
from functools import partial

from models.cellpose3 import Cellpose3
from models.weights import find_weights


def make_checkpoint(path, seed=0):
    """Random weights, with flows long enough to gather pixels into objects."""
    import torch
    from cellpose.resnet_torch import CPnet

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = CPnet([2, 32, 64, 128, 256], 3, sz=3, max_pool=True, diam_mean=30.0)
    net.output[2].weight.data *= 10
    net.save_model(path)
    return path


class SmallCellpose3(Cellpose3):
    find_weights = staticmethod(partial(find_weights, family="cellpose3", untrained=True))


ADAPTERS = {"small_cellpose3": (SmallCellpose3, make_checkpoint)}


def chosen(file):
    return SmallCellpose3.find_weights(os.fspath(file)).fetch()
