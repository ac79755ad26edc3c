"""SAM 3 in small: the real code on random weights, 0.3 million of them."""

import importlib.util
import string
from functools import partial
from pathlib import Path

import pytest

from models.common.torch_adapter import TorchAdapter
from models.sam3 import Sam3
from models.weights import find_weights

_FOUND = importlib.util.find_spec("transformers")
_PLACES = [] if _FOUND is None else _FOUND.submodule_search_locations
needs_sam3 = pytest.mark.skipif(
    not any(Path(place, "models", "sam3").is_dir() for place in _PLACES),
    reason="transformers with SAM 3 is not installed",
)

_LAYERS = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
SMALL = {
    "vision_config": {
        "backbone_config": {
            "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 2, "global_attn_indexes": [1],
            "image_size": 224, "pretrain_image_size": 112, "window_size": 8,
        },
        "fpn_hidden_size": 32, "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]],
    },
    "text_config": {
        "model_type": "clip_text_model", "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 16,
        "max_position_embeddings": 32, "vocab_size": 64, "bos_token_id": 0, "eos_token_id": 1,
    },
    "geometry_encoder_config": _LAYERS,
    "detr_encoder_config": _LAYERS,
    "detr_decoder_config": _LAYERS | {"num_layers": 2, "num_queries": 20},
    "mask_decoder_config": {"hidden_size": 32, "num_attention_heads": 2},
}  # fmt: skip
"""The architecture; as with the real one, the folder's config.json tells the library."""


class SmallSam3(Sam3):
    """Sam3; its weights are marked as untrained."""

    find_weights = staticmethod(partial(find_weights, family="sam3", untrained=True))


def make_checkpoint(path, seed=0):
    """Write random weights to `path`, a folder; the same ones for the same seed."""
    with TorchAdapter("cpu").loading():
        import torch
        from transformers import (
            CLIPTokenizer,
            Sam3Config,
            Sam3ImageProcessor,
            Sam3Model,
            Sam3Processor,
        )
        from transformers.utils import logging

        logging.disable_progress_bar()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Sam3Model(Sam3Config(**SMALL))
        # Initialised to be nearly constant: image and prompt shall matter.
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name.endswith("weight") and value.ndim > 1 and "embed.weight" not in name:
                    value *= 4
        model.save_pretrained(path)
        tokens = ["<|startoftext|>", "<|endoftext|>"]  # and letters, alone and at a word's end
        tokens += [letter + end for letter in string.ascii_lowercase for end in ("", "</w>")]
        tokenizer = CLIPTokenizer({token: i for i, token in enumerate(tokens)}, [])
        pictures = Sam3ImageProcessor(size={"height": 224, "width": 224})
        Sam3Processor(pictures, tokenizer).save_pretrained(path)
    return Path(path)


ADAPTERS = {"small_sam3": (SmallSam3, make_checkpoint)}


UNSURE = 0.2  # untrained, it gives every mask a score of about 0.25


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    return make_checkpoint(tmp_path_factory.mktemp("sam3") / "small")


@pytest.fixture(scope="module")
def model(folder):
    return build(folder)


def build(path, **parameters):
    weights = SmallSam3.find_weights(str(path)).fetch()
    return SmallSam3(weights, **{"threshold": UNSURE} | parameters)
