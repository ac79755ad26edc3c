"""The demo network: micro-sam finds in it what it expects, and its places are those of prompts."""

import copy

import numpy as np
import pytest
import torch
from demo.losses import prompted
from demo.train import WEIGHTS
from helpers.demo_model import image, predictor_of, same
from helpers.demo_model import networks as networks
from helpers.demo_model import one_thread as one_thread

from models.apg import APG
from models.backbone import open_backbone
from models.demo.encoder import OFFSET, SIDE, STRIDE, WIDTH


@pytest.mark.parametrize("shape", [(60, 90), (130, 70), (64, 64)])
def test_micro_sam_finds_what_it_expects(networks, shape):
    predictor = predictor_of(networks)
    predictor.set_image(np.repeat(image(shape)[..., None], 3, axis=2))
    assert predictor.features.shape == (1, WIDTH, 64, 64)
    maps = networks.decoder(predictor.features, predictor.input_size, predictor.original_size)
    assert maps.shape == (1, 3, *shape) and maps.min() >= 0 and maps.max() <= 1
    masks, ious, logits = predictor.predict_torch(
        torch.tensor([[[300.0, 200.0]]]), torch.ones(1, 1), multimask_output=True
    )
    assert masks.shape == (1, 3, *shape) and ious.shape == (1, 3)
    assert logits.shape == (1, 3, 256, 256)


def test_the_weights_fit_the_repository_and_open_as_a_users_own(networks, tmp_path):
    """Written as a training ends, they are found by path like any checkpoint of micro-sam."""
    path = tmp_path / WEIGHTS
    digest = networks.write(path)
    assert 5e6 < path.stat().st_size < 1e7
    weights = APG.find_weights(str(path)).fetch()
    assert weights.digests == {"weights": digest} and weights.mark == "user"
    backbone = open_backbone(weights, "cpu")
    for loaded, own in (
        (backbone.predictor.model, networks.sam),
        (backbone.decoder, networks.decoder),
    ):
        assert same(loaded, copy.deepcopy(own).half().float())


def test_a_prompt_is_answered_at_its_place_before_any_training(networks):
    """So attention is initialised; on random matrices it would take hours to find that out."""
    code = networks.sam.prompt_encoder.get_dense_pe()
    point = torch.tensor([[[500.0, 300.0]]])
    query, _ = networks.sam.prompt_encoder((point, torch.ones(1, 1)), None, None)
    attention = networks.sam.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    keys = attention.k_proj(code[0].flatten(1).T).reshape(64, 64, 4, 16)
    alike = (keys * attention.q_proj(query[0, 0]).reshape(4, 16)).sum(dim=-1)
    for head in range(4):
        row, column = divmod(int(alike[..., head].argmax()), 64)
        assert abs(row - 300 / STRIDE) < 2 and abs(column - 500 / STRIDE) < 2


def test_the_decoder_does_not_depend_on_the_mode(networks):
    embedding = torch.randn(1, WIDTH, 64, 64)
    expected = networks.decoder.eval()(embedding, (700, 1024), (70, 100))
    assert torch.equal(networks.decoder.train()(embedding, (700, 1024), (70, 100)), expected)
    networks.decoder.eval()


def test_the_encoder_s_code_for_a_place_is_the_prompt_encoder_s(networks):
    encoder = networks.sam.image_encoder
    places = torch.zeros(1, 3, 128, 128)
    places[:, 0] = 50.0  # surely an object
    places[0, 1:, 10, 20] = torch.tensor([-1.0, 0.5])
    point = torch.tensor([[[20.5 * 8 + 0.5 * OFFSET - 0.5, 10.5 * 8 - OFFSET - 0.5]]])
    expected = networks.sam.prompt_encoder.pe_layer.forward_with_coords(point + 0.5, (SIDE, SIDE))
    assert (encoder._code(places, None)[0, :, 10, 20] - expected[0, 0]).abs().max() < 1e-4
    moved = encoder._code(places[..., 10:, 16:], torch.tensor([[80.0, 128.0]]))
    assert (moved[0, :, 0, 4] - expected[0, 0]).abs().max() < 1e-4


def test_a_window_s_prompts_are_those_of_the_frame(networks):
    embedding = torch.randn(1, WIDTH, 64, 64)
    points = torch.tensor([[300.0, 200.0], [700.0, 900.0]])
    code = networks.sam.prompt_encoder.get_dense_pe()
    logits, ious = prompted(networks.sam, code, embedding, points, torch.zeros(2))
    predictor = predictor_of(networks)
    predictor.features, predictor.is_image_set = embedding, True
    predictor.input_size = predictor.original_size = (SIDE, SIDE)
    for several in (False, True):
        _, quality, low = predictor.predict_torch(
            points[:, None], torch.ones(2, 1), multimask_output=several, return_logits=True
        )
        assert torch.equal(low, logits[:, int(several) : 1 + 3 * several])
        assert torch.equal(quality, ious[:, int(several) : 1 + 3 * several])
    part = torch.tensor([160.0, 320.0])
    window = embedding[..., 10:42, 20:52]
    logits, _ = prompted(networks.sam, code, window, points[:1], part)
    assert logits.shape == (1, 4, 128, 128)
