"""SAM's mask decoder with the image's share made once: equal to the library's to the bit."""

import copy

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from segment_anything import SamPredictor
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from models.prompting import decoder as decoder_module
from models.prompting.decoder import SharedDecoder, is_known
from models.prompting.promptable import PromptableSam

WIDTHS = {"sam": (256, 8, 2048, 64), "demo": (128, 4, 256, 64), "small": (32, 2, 32, 8)}
SHAPE = (300, 400)


class NoEncoder(torch.nn.Module):
    img_size = 1024


def build(width, heads, hidden, grid, seed=0):
    """A predictor with SAM's own parts for prompts and masks, and a random embedding."""
    torch.manual_seed(seed)
    decoder = MaskDecoder(
        transformer_dim=width, num_multimask_outputs=3, iou_head_hidden_dim=width,
        transformer=TwoWayTransformer(
            depth=2, embedding_dim=width, num_heads=heads, mlp_dim=hidden
        ),
    )  # fmt: skip
    with torch.no_grad():
        for value in decoder.parameters():
            value *= 3 if value.ndim == 2 else 1  # so that prompts matter
    prompts = PromptEncoder(width, (grid, grid), (1024, 1024), mask_in_chans=4)
    predictor = SamPredictor(Sam(NoEncoder(), prompts, decoder).eval())
    predictor.original_size, predictor.input_size = SHAPE, (768, 1024)
    show(predictor, seed)
    return predictor


def show(predictor, seed):
    """Another image."""
    width, grid = predictor.model.prompt_encoder.embed_dim, predictor.model.prompt_encoder
    generator = torch.Generator().manual_seed(seed)
    predictor.features = torch.randn(1, width, *grid.image_embedding_size, generator=generator)
    predictor.is_image_set = True


def given(kind, number, predictor):
    rng = np.random.default_rng(number)
    points = rng.uniform(0, 300, (number, 2, 2))
    boxes = np.sort(points, axis=1).reshape(number, 4)
    arrays = {"points": points, "point_labels": rng.integers(0, 2, (number, 2))}
    side = predictor.model.prompt_encoder.mask_input_size
    guess = {"logits_masks": rng.normal(size=(number, 1, *side))}
    return {
        "points": arrays,
        "boxes": {"boxes": boxes},
        "both": arrays | {"boxes": boxes},
        "masks": arrays | guess,
    }[kind]


def decode(promptable, arrays, multimask=False):
    found = promptable.decode(arrays, multimask)
    return [found.whole, found.ious, found.small]


def by_library(predictor, arrays, multimask=False):
    """`SamPredictor.predict_torch` with the same tensors, all masks whole."""

    class Own(SamPredictor):  # of another class, so that nothing is shared
        pass

    other = Own(predictor.model)
    vars(other).update(vars(predictor))
    return decode(PromptableSam(other), arrays, multimask)


@pytest.fixture
def shared(monkeypatch):
    """The numbers of prompts that were decoded with the image's share made once."""
    numbers = []
    call = SharedDecoder.__call__

    def counted(self, **arguments):
        numbers.append(len(arguments["sparse_prompt_embeddings"]))
        return call(self, **arguments)

    monkeypatch.setattr(SharedDecoder, "__call__", counted)
    return numbers


CASES = [("small", 1), ("small", 3), ("small", 8), ("demo", 2)]
CASES += [pytest.param(*case, marks=pytest.mark.slow) for case in (("demo", 8), ("sam", 8))]


@pytest.mark.parametrize(("width", "number"), CASES)
def test_masks_are_those_of_the_library(width, number, shared):
    predictor = build(*WIDTHS[width])
    promptable = PromptableSam(predictor)
    for kind in ("points", "boxes", "both"):
        arrays = given(kind, number, predictor)
        for trained, multimask in ((True, True), (False, False)):
            predictor.model.requires_grad_(trained)
            found = decode(promptable, arrays, multimask)  # from the second on, of what is kept
            wanted = by_library(predictor, arrays, multimask)
            assert all(map(torch.equal, found, wanted)), kind
            assert number == 1 or not torch.equal(found[2][0], found[2][1])
    assert shared == [number] * 6


def test_another_image_and_prompts_with_masks_are_not_taken_for_the_last(shared):
    predictor = build(*WIDTHS["small"])
    promptable = PromptableSam(predictor)
    seen = []
    for seed in (1, 2, 1):
        show(predictor, seed)
        for kind in ("points", "masks", "boxes"):
            arrays = given(kind, 4, predictor)
            found = decode(promptable, arrays)
            assert all(map(torch.equal, found, by_library(predictor, arrays))), (seed, kind)
            seen.append(found[2])
    assert len({one.numpy().tobytes() for one in seen}) == 6
    assert shared == [4] * 6, "points and boxes"


@pytest.fixture
def projected(monkeypatch):
    """How often the image's share was made."""
    made, sharing = [], decoder_module._sharing
    monkeypatch.setattr(
        decoder_module, "_sharing", lambda network: made.append(1) or sharing(network)
    )
    return made


def test_views_of_one_image_share_what_is_made_of_it(projected):
    """As CellSAM calls the decoder: one prompt at a time, a view of the embedding for each."""
    predictor = build(*WIDTHS["small"])
    sam, images = predictor.model, torch.cat([predictor.features, predictor.features + 1])
    shared = SharedDecoder(sam.mask_decoder)
    encoder = sam.prompt_encoder

    def both(image, number):
        boxes = torch.tensor([[10.0, 20.0, 100.0 + number, 90.0]])
        sparse, dense = encoder(points=None, boxes=boxes, masks=None)
        named = {
            "image_embeddings": image, "image_pe": encoder.get_dense_pe(),
            "sparse_prompt_embeddings": sparse, "dense_prompt_embeddings": dense,
            "multimask_output": False,
        }  # fmt: skip
        return shared(**named), sam.mask_decoder(**named)

    with torch.no_grad():
        for row in (0, 1):
            for number in range(3):
                found, wanted = both(images[row].unsqueeze(0), number)
                assert all(map(torch.equal, found, wanted))
        assert len(projected) == 2
        images[1] += 1  # written into where it lies
        found, wanted = both(images[1].unsqueeze(0), 0)
        assert all(map(torch.equal, found, wanted)) and len(projected) == 3
        found, wanted = both(images[1].clone().unsqueeze(0), 0)
        assert all(map(torch.equal, found, wanted)) and len(projected) == 4


def test_the_model_is_left_as_it_was(shared):
    predictor = build(*WIDTHS["small"])

    def state():
        return {name: dict(vars(m)) for name, m in predictor.model.named_modules()}

    before, own = state(), dict(vars(predictor))
    decode(PromptableSam(predictor), given("points", 4, predictor))
    assert shared and state() == before and vars(predictor) == own


def _subclass(decoder):
    class Own(MaskDecoder):
        pass

    decoder.__class__ = Own


def _own_forward(decoder):
    forward = decoder.forward
    decoder.forward = lambda **arguments: tuple(2 * value for value in forward(**arguments))


def _own_attention(decoder):
    attention = decoder.transformer.layers[0].cross_attn_token_to_image
    forward = attention.forward
    attention.forward = lambda **arguments: 2 * forward(**arguments)


def _hook(decoder):
    decoder.transformer.register_forward_hook(lambda *_: None)


@pytest.mark.parametrize("change", [_subclass, _own_forward, _own_attention, _hook])
def test_a_decoder_that_is_not_the_librarys_is_called_as_it_is(change, shared):
    predictor = build(*WIDTHS["small"])
    plain = copy.deepcopy(predictor)
    assert is_known(predictor.model.mask_decoder)
    change(predictor.model.mask_decoder)
    assert not is_known(predictor.model.mask_decoder)
    arrays = given("points", 4, predictor)
    found = decode(PromptableSam(predictor), arrays)
    assert all(map(torch.equal, found, by_library(predictor, arrays)))
    changed = change in (_own_forward, _own_attention)
    assert torch.equal(found[2], decode(PromptableSam(plain), arrays)[2]) != changed
    assert shared == [4], "of the plain one alone"
