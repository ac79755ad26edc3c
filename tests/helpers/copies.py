"""How often tensors are brought to the host: on a GPU, each such call waits for all before it."""

import contextlib

import pytest
import torch

WAITING = ("cpu", "tolist", "item", "numpy", "__bool__", "__int__", "__float__", "nonzero")


@contextlib.contextmanager
def counted():
    """Within, calls are counted by name; `numpy` after `cpu`, which no longer waits, is as well."""
    calls = []

    def counting(name, method):
        def run(self, *args, **kwargs):
            calls.append(name)
            return method(self, *args, **kwargs)

        return run

    with pytest.MonkeyPatch.context() as patches:
        for name in WAITING:
            patches.setattr(torch.Tensor, name, counting(name, getattr(torch.Tensor, name)))
        yield calls
