"""SAM's mask decoder, what it makes of the image alone being made once for all prompts."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

_LAYER = ("self_attn", "norm1", "norm2", "mlp", "norm3", "norm4", "skip_first_layer_pe")
_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj", "num_heads")
_HEADS = ("_separate_heads", "_recombine_heads")


class SharedDecoder:
    """Calls Segment Anything's mask decoder for prompts without masks.

    The decoder's first layer projects the image three times over for each prompt, before any prompt
    has changed it. Here, the projections of the last image are kept. All that follows is computed
    by the library's own functions, so that logits are equal to the bit. The decoder itself is not
    changed.

    Args:
        decoder: a `segment_anything.modeling.MaskDecoder`; see `is_known`.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._image: Any = None
        self._version = 0
        self._transformer: Any = None

    def __call__(
        self,
        *,
        image_embeddings: Any,
        image_pe: Any,
        sparse_prompt_embeddings: Any,
        dense_prompt_embeddings: Any,
        multimask_output: bool,
    ) -> tuple[Any, Any]:
        """Logits and expected IoU of masks, as `MaskDecoder.forward`.

        Args:
            image_embeddings: the same tensor for all prompts of an image, or views of one.
            image_pe: as the library's prompt encoder gives it.
            sparse_prompt_embeddings: of N prompts.
            dense_prompt_embeddings: the same for each prompt.
            multimask_output: whether there are three masks for each prompt, else there is one.
        """
        import torch

        if not self._is_kept(image_embeddings):
            self._transformer = _sharing(self._decoder.transformer)
            self._image, self._version = image_embeddings, image_embeddings._version
        decoder = self._decoder
        # As `MaskDecoder.predict_masks`, but for a copy of the image for each prompt.
        number = len(sparse_prompt_embeddings)
        tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight], dim=0)
        tokens = tokens.unsqueeze(0).expand(number, -1, -1)
        tokens = torch.cat((tokens, sparse_prompt_embeddings), dim=1)
        image = image_embeddings + dense_prompt_embeddings[:1]
        found, image = self._transformer(image, image_pe, tokens)
        image = image.transpose(1, 2).view(number, *image_embeddings.shape[1:])
        image = decoder.output_upscaling(image)
        weights = torch.stack(
            [mlp(found[:, 1 + n, :]) for n, mlp in enumerate(decoder.output_hypernetworks_mlps)],
            dim=1,
        )
        masks = (weights @ image.flatten(2)).view(number, -1, *image.shape[2:])
        ious = decoder.iou_prediction_head(found[:, 0, :])
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        return masks[:, chosen], ious[:, chosen]

    def _is_kept(self, image: Any) -> bool:
        """Whether it is the last image, or another view of it, and was not written into since."""
        if self._image is None or image._version != self._version:
            return False
        views = (self._image, image)  # the first holds its memory, which so is nobody else's
        return len({(one.data_ptr(), one.shape, one.stride(), one.dtype) for one in views}) == 1


def is_known(decoder: Any) -> bool:
    """Whether a decoder is Segment Anything's own, with nothing added that would be passed over."""
    from segment_anything.modeling import MaskDecoder, TwoWayTransformer
    from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock

    if not (_is_plain(decoder, MaskDecoder) and _is_plain(decoder.transformer, TwoWayTransformer)):
        return False
    first = decoder.transformer.layers[0]
    return _is_plain(first, TwoWayAttentionBlock) and all(
        _is_plain(one, Attention)
        for one in (first.cross_attn_token_to_image, first.cross_attn_image_to_token)
    )


def _is_plain(module: Any, kind: type) -> bool:
    if type(module) is not kind:
        return False
    replaced = {"forward", "predict_masks"} & vars(module).keys()
    hooked: Any = module
    return not (replaced or hooked._forward_hooks or hooked._forward_pre_hooks)


def _sharing(transformer: Any) -> Callable[..., Any]:
    """The transformer for one image: what its first layer projects of it is kept."""
    first, *others = transformer.layers
    layer = _with(
        first,
        _LAYER,
        cross_attn_token_to_image=_keeping(first.cross_attn_token_to_image, "k_proj", "v_proj"),
        cross_attn_image_to_token=_keeping(first.cross_attn_image_to_token, "q_proj"),
    )
    names = ("final_attn_token_to_image", "norm_final_attn")
    return _with(transformer, names, layers=[layer, *others])


def _keeping(attention: Any, *projections: str) -> Callable[..., Any]:
    kept = {name: _once(getattr(attention, name)) for name in projections}
    return _with(attention, (*_ATTENTION, *_HEADS), **kept)


def _with(module: Any, names: tuple[str, ...], **others: Any) -> Callable[..., Any]:
    """The module's own `forward` on its own parts, some of them replaced."""
    own = SimpleNamespace(**{name: getattr(module, name) for name in names} | others)
    forward = type(module).forward
    return lambda *args, **kwargs: forward(own, *args, **kwargs)


def _once(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same function for an argument that is always the same."""
    found: list[Any] = []

    def call(argument: Any) -> Any:
        if not found:
            found.append(function(argument))
        return found[0]

    return call
