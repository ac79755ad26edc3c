"""The former home of `TorchEmSource`, for YAMLs that name it by `benchmark.data.torch_em`."""

from benchmark.console import note
from benchmark.data.sources.torch_em import TorchEmSource

note(
    "benchmark.data.torch_em.TorchEmSource is now benchmark.data.sources.TorchEmSource. The old "
    "name works until version 0.3; change the _target_ in your YAML."
)

__all__ = ["TorchEmSource"]
