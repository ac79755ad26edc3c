"""InstanSeg in small: its own architecture with few layers, and random weights, in TorchScript."""

import os
import warnings

from models.instanseg import InstanSeg
from models.weights import find_weights


def make_checkpoint(path, seed=0, *, both=True, channels=3):
    """Random weights that find some objects, of cells and nuclei or of nuclei alone."""
    import torch
    from instanseg.utils.loss.instanseg_loss import InstanSeg as Loss
    from instanseg.utils.loss.instanseg_loss import InstanSeg_Torchscript
    from instanseg.utils.models.InstanSeg_UNet import InstanSeg_UNet

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        outputs = [[2, 2, 1], [2, 2, 1]] if both else [[2, 2, 1]]
        net = InstanSeg_UNet(channels, outputs, layers=[32, 16, 8])
        loss = Loss(n_sigma=2, device="cpu", cells_and_nuclei=both, window_size=32)
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        net = loss.initialize_pixel_classifier(net) or net
        with torch.no_grad():
            net.train()(torch.rand(4, channels, 64, 64))  # its normalisation gets statistics
            for decoder in net.eval().decoders:
                norm = decoder.final_block[2][1]
                norm.weight.fill_(3)  # seeds here and there
                norm.bias.fill_(1)
        program = InstanSeg_Torchscript(net, cells_and_nuclei=both, pixel_size=0.5, n_sigma=2)
        torch.jit.script(program).save(os.fspath(path))
    return path


class SmallInstanSeg(InstanSeg):
    @staticmethod
    def find_weights(chosen, folder=None, unpickle=False):
        return find_weights(chosen, folder, True, family="instanseg", untrained=True)


ADAPTERS = {"small_instanseg": (SmallInstanSeg, make_checkpoint)}


def chosen(file, unpickle=True):
    return find_weights(os.fspath(file), None, unpickle, family="instanseg", untrained=True).fetch()
