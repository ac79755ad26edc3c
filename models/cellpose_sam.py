"""Cellpose 4, with the encoder of SAM or of DINOv3, on a checkpoint seen to arrive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from benchmark.types import Image, Labels, Weights
from models.cellpose_checkpoint import build_from_path, plain_parameters
from models.cellpose_flows import CellposeAdapter
from models.common.checks import check_at_least_one
from models.weights.checkpoint import another_architecture

_UNUSED = ("diam_mean", "diam_labels")
"""Parameters of the network that cellpose 4 carries on from 3 and never reads."""

_DINO = "encoder.cls_token"
"""The parameter by which cellpose 4 itself tells a checkpoint with DINO's encoder."""


class CellposeSam(CellposeAdapter):
    """Cellpose-SAM, as `CellposeModel(...).eval(image)` of cellpose 4 gives it.

    Args:
        weights: a plain state dictionary of cellpose 4 with SAM's encoder.
        device: `cuda`, `mps` or `cpu`.
        diameter: of the objects in pixels; the image is scaled to make it 30. None: as it is.
        flow_threshold: masks whose flows err by more are dropped; 0 keeps all.
        cellprob_threshold: pixels of a higher logit belong to objects.
        min_size: smaller objects are dropped, in pixels.
        bfloat16: compute in 16 bits, as cellpose does by default.
        batch_size: tiles of 256 x 256 pixels at a time; shapes no result.

    Raises:
        ModelError: the checkpoint is of another architecture, or cellpose loaded another.
        ValueError: `batch_size` is below 1.

    Source: C. Stringer and M. Pachitariu, "Cellpose-SAM: superhuman generalization for
    cellular segmentation", bioRxiv 2025, doi:10.1101/2025.04.28.651001; the package cellpose.
    The study called it through `tukra.inference.segment_using_cellpose(image, "cpsam")`, whose
    `channels=[0, 0]` cellpose 4 ignores.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("cellpose",)
    requires: ClassVar[tuple[str, ...]] = ("cellpose>=4,<5",)
    execution: ClassVar[tuple[str, ...]] = ("batch_size",)
    family: ClassVar[str] = "cellpose_sam"

    def __init__(
        self,
        weights: Weights,
        device: str = "cpu",
        diameter: float | None = None,
        flow_threshold: float = 0.4,
        cellprob_threshold: float = 0.0,
        min_size: int = 15,
        bfloat16: bool = True,
        batch_size: int = 8,
    ) -> None:
        check_at_least_one(batch_size=batch_size)
        super().__init__(device)
        self._bfloat16 = bfloat16
        self._settings = {
            "diameter": diameter,
            "flow_threshold": flow_threshold,
            "cellprob_threshold": cellprob_threshold,
            "min_size": min_size,
        }
        with self.loading():
            self._model = self._load(weights, device, bfloat16)
        self._share(batch_size)

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), integer or finite float. Up to three channels
                are used, in any order; of four the first three.

        Returns:
            H x W, uint16 or uint32.

        Raises:
            ValueError: another shape, or values that are not finite.
            ModelError: out of memory.
        """
        [labels] = self.predict_each(image, [{}])
        return labels

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings, as `benchmark.types.Sharing` has it.

        The network runs once for each diameter, and equal settings give one label image.
        `bfloat16`, which is the loaded network's, can't be varied.
        """
        chosen = [{"bfloat16": self._bfloat16, **self._settings, **each} for each in settings]
        if any(each.pop("bfloat16") != self._bfloat16 for each in chosen):
            raise ValueError("bfloat16 can't be varied: the network is loaded with one value")
        return self._each(image, chosen)

    def _load(self, weights: Weights, device: str, bfloat16: bool) -> Any:
        import torch

        key = next(iter(weights.paths))
        parameters = plain_parameters(
            weights, key, "W2", "it is not of cellpose 4 (weights of cellpose 3: model=cellpose3)"
        )
        fitting = CellposeDino if _DINO in parameters else CellposeSam
        if fitting.family != self.family:
            raise another_architecture(weights, key, f"it is one for model={fitting.family}")
        build = partial(self._build, device=torch.device(device), bfloat16=bfloat16)
        return build_from_path(build, parameters, weights, key, _UNUSED)

    def _build(self, path: str, device: Any, bfloat16: bool) -> Any:
        from cellpose.models import CellposeModel

        return CellposeModel(pretrained_model=path, device=device, use_bfloat16=bfloat16)


class CellposeDino(CellposeSam):
    """Cellpose with DINOv3's encoder: `CellposeModel(pretrained_model="cpdino").eval(image)`.

    The parameters are those of Cellpose-SAM; tiles are of 384 x 384 pixels, as cellpose chooses
    for this encoder. The network is `dinov3`'s, which is on no package index, under a licence of
    Meta's own. Not checked: the published weights themselves.

    Source: the package cellpose, from 4.2 on; https://github.com/facebookresearch/dinov3.
    """

    libraries: ClassVar[tuple[str, ...]] = ("cellpose", "dinov3")
    requires: ClassVar[tuple[str, ...]] = ("cellpose>=4.2,<5", "dinov3")
    install: ClassVar[str] = "pip install -e . -r configs/environment/cellpose_dino.txt"
    family: ClassVar[str] = "cellpose_dino"
