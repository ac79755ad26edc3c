"""What a library changes in the process stays with it, and comes back with it."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install -e ".[models]"')
from models.common.isolation import Isolation  # noqa: E402


class Unpickler(pickle.Unpickler):
    """As micro-sam puts in place of the real one."""


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[], Any], Any]] = {
    "threads": (torch.get_num_threads, lambda: torch.set_num_threads(3), 3),
    "dtype": (
        torch.get_default_dtype,
        lambda: torch.set_default_dtype(torch.float64),
        torch.float64,
    ),
    "gradients": (torch.is_grad_enabled, lambda: torch.set_grad_enabled(False), False),
    "tf32": (
        lambda: torch.backends.cuda.matmul.allow_tf32,
        lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
        True,
    ),
    "benchmark": (
        lambda: torch.backends.cudnn.benchmark,
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        True,
    ),
    "pickle": (
        lambda: pickle.Unpickler,
        lambda: setattr(pickle, "Unpickler", Unpickler),
        Unpickler,
    ),
    "environment": (
        lambda: os.environ.get("LIBRARY"),
        lambda: os.environ.update(LIBRARY="was here"),
        "was here",
    ),
    "logging": (
        lambda: logging.root.level,
        lambda: logging.root.setLevel(logging.DEBUG),
        logging.DEBUG,
    ),
    "numpy": (lambda: np.geterr()["divide"], lambda: np.seterr(divide="raise"), "raise"),
    "warnings": (
        lambda: warnings.filters[0][0],
        lambda: warnings.simplefilter("always", DeprecationWarning),
        "always",
    ),
}


@pytest.fixture(autouse=True)
def as_torch_comes() -> Iterator[None]:
    # A test before may have imported cellpose, which allows it.
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_inside_is_gone_outside_and_back_inside(what: str) -> None:
    get, change, changed = CHANGES[what]
    before = get()
    assert before != changed
    isolation = Isolation()
    with isolation:
        change()
    assert get() == before
    with isolation:
        assert get() == changed
    assert get() == before


@pytest.mark.parametrize("what", CHANGES)
def test_an_error_inside_leaves_nothing_either(what: str) -> None:
    get, change, _ = CHANGES[what]
    before = get()
    with pytest.raises(ZeroDivisionError), Isolation():
        change()
        raise ZeroDivisionError
    assert get() == before


def test_two_libraries_have_a_state_of_their_own() -> None:
    one, other = Isolation(), Isolation()
    with one:
        torch.set_num_threads(3)
    with other:
        assert torch.get_num_threads() != 3
        torch.set_num_threads(2)
    with one:
        assert torch.get_num_threads() == 3


@pytest.mark.slow
def test_a_real_import_leaves_no_trace() -> None:
    # In a process of its own: what is imported is imported once.
    pytest.importorskip("cellpose", reason='needs cellpose: pip install -e ".[models]"')
    code = (
        "import torch; from models.common.isolation import Isolation\n"
        "with Isolation():\n"
        "    import cellpose.models\n"
        "    inside = torch.backends.cuda.matmul.allow_tf32\n"
        "print(inside, torch.backends.cuda.matmul.allow_tf32)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"], done.stderr
