"""CellSAM in small: the real architecture with fewer layers and queries, and random weights."""

import contextlib
import os
from functools import partial
from unittest import mock

from models.cellsam import CellSAM
from models.weights import find_weights

QUERIES = 12
SCALE = 100.0  # of the mask logits, which would else all pass


@contextlib.contextmanager
def few_queries(**sizes):
    """Within, cellSAM's detector has 12 queries instead of 3500, and other sizes."""
    import cellSAM.sam_inference as inference

    whole = inference.build_inference_model

    def build(args):
        vars(args).update(num_query_position=QUERIES, **sizes)
        return whole(args)

    with mock.patch.object(inference, "build_inference_model", build):
        yield


@contextlib.contextmanager
def small_parts():
    """Within, cellSAM builds itself of encoders of one block and a detector of one layer."""
    import segment_anything
    from segment_anything.build_sam import _build_sam

    def sam(checkpoint=None):
        return _build_sam(768, 1, 12, [])  # the width is written into the detector's code

    with (
        mock.patch.dict(segment_anything.sam_model_registry, vit_b=sam),
        few_queries(enc_layers=1, dec_layers=1, dim_feedforward=64),
    ):
        yield


def make_checkpoint(path, seed=0, *, iou=1.0, confidence=2.0, copy=True, sizes=small_parts):
    """Random weights, biased so that every query passes both thresholds.

    Args:
        path: where to.
        seed: of the weights.
        iou: what the decoder says of every mask; less than 0.5 lets none pass.
        confidence: logit of every detection.
        copy: whether the adversarially trained copy of SAM is in it.
        sizes: within it the model is built.
    """
    import torch

    with sizes(), torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CellSAM._build()
    with torch.no_grad():
        for sam in (model.model, model.model_cp):
            sam.mask_decoder.iou_prediction_head.layers[-1].bias.fill_(iou)
            for head in sam.mask_decoder.output_hypernetworks_mlps:
                head.layers[-1].weight.mul_(SCALE)
        for head in model.cellfinder.decode_head.transformer.class_embed:
            head.bias.fill_(confidence)
    state = model.state_dict()
    torch.save({k: v for k, v in state.items() if copy or not k.startswith("model_cp.")}, path)
    return path


class SmallCellSAM(CellSAM):
    find_weights = staticmethod(partial(find_weights, family="cellsam", untrained=True))

    @staticmethod
    def _build():
        with small_parts():
            return CellSAM._build()


ADAPTERS = {"small_cellsam": (SmallCellSAM, make_checkpoint)}


def chosen(file):
    return SmallCellSAM.find_weights(os.fspath(file)).fetch()
