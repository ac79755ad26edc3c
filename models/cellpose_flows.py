"""What both generations of cellpose share: settings, and the flows that are made once for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from benchmark.types import Image, Labels
from models.common.images import to_float32
from models.common.torch_adapter import TorchAdapter

_Flows = dict[Any, tuple[Any, ...]]


class _Masks(BaseException):  # which no `except Exception` of the library takes for a failure
    """Ends an evaluation with the masks that it has made."""

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.labels = labels


def _ending(compute_masks: Callable[..., Any]) -> Callable[..., Any]:
    """The step that makes the masks; after it `eval` only paints the flows, for people to look at.

    Painting takes 8 ms of a core at 512 x 512 pixels and 115 ms at 2048 x 2048, with an idle GPU.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        raise _Masks(compute_masks(*args, **kwargs))

    return run


class CellposeAdapter(TorchAdapter):
    """A `CellposeModel`, which a subclass loads into `_model` and hands to `_share`."""

    _model: Any
    _flows: _Flows
    _input: Any = None

    def _share(self, batch_size: int) -> None:
        """Time the stages of the loaded model, and have its network run once for many settings.

        Both names are private to cellpose, whose generations `requires` bounds.
        """
        self._batch_size, self._flows = batch_size, {}
        self._model._run_net = self._remembering(self.timed("network", self._model._run_net))
        self._model._compute_masks = _ending(self.timed("postprocess", self._model._compute_masks))

    def _each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """The label image of each setting; equal settings give one."""

        def run(setting: Mapping[str, Any], batch_size: int) -> Labels:
            try:
                masks: Labels = self._model.eval(
                    self._pixels(image),
                    # Not left to cellpose, which looks for channels in the shortest axis.
                    channel_axis=None if image.ndim == 2 else -1,
                    batch_size=batch_size,
                    **setting,
                )[0]
            except _Masks as made:
                return made.labels
            return masks

        flows: _Flows = {}
        made: dict[Any, Labels] = {}
        for number, setting in enumerate(settings):
            key = tuple((name, _hashable(value)) for name, value in sorted(setting.items()))
            if key not in made:
                with self._isolation if number else self.predicting():
                    self._flows, self._input = flows, _hashable(setting.get("channels"))
                    try:
                        masks = self.halving(partial(run, setting), self._batch_size)
                    finally:
                        self._flows = {}
                # Cellpose squeezes: an image of one row or column comes back without it.
                made[key] = masks.reshape(image.shape[:2])
            yield made[key]

    def _pixels(self, image: Image) -> Any:
        """What cellpose is given: a copy at each call, as it normalises in place."""
        return to_float32(image)

    def _remembering(self, run_net: Callable[..., Any]) -> Callable[..., Any]:
        """The network's run, which is repeated for another scale or other channels alone."""

        def run(*args: Any, rescale: float, **kwargs: Any) -> Any:
            key = (rescale, self._input)
            if key not in self._flows:
                self._flows[key] = run_net(*args, rescale=rescale, **kwargs)
            return tuple(value.copy() for value in self._flows[key])

        return run


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
