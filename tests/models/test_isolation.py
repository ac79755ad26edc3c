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

from benchmark import threads as module

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


def test_what_no_library_changed_is_there_for_other_threads_at_any_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    touched = []
    for name in ("__setitem__", "__delitem__"):
        real = getattr(type(os.environ), name)

        def note(self: Any, key: str, *value: str, real: Any = real) -> None:
            touched.append(key)
            real(self, key, *value)

        monkeypatch.setattr(type(os.environ), name, note)
    os.environ["LIBRARY_LESS"] = "outside"
    isolation = Isolation()
    with isolation:
        os.environ["LIBRARY"] = "inside"
        del os.environ["LIBRARY_LESS"]
    for _ in range(3):
        assert os.environ["LIBRARY_LESS"] == "outside" and "LIBRARY" not in os.environ
        with isolation:
            assert os.environ["LIBRARY"] == "inside" and "LIBRARY_LESS" not in os.environ
    del os.environ["LIBRARY_LESS"]
    assert set(touched) == {"LIBRARY", "LIBRARY_LESS"}


# What the environment says, and libraries read as they are loaded

FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"


def test_torch_finds_the_fallback_from_mps_and_no_library_takes_it_away() -> None:
    code = f"""
import os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("{FALLBACK}"))
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Watch())
from benchmark.adapter import choose_device
from benchmark.threads import limit_threads
limit_threads(1)
choose_device("auto", ["mps", "cpu"], "model")
from models.common.isolation import Isolation
isolation = Isolation()
for _ in range(2):
    with isolation: print(os.environ["{FALLBACK}"])
    print(os.environ["{FALLBACK}"])
"""
    for said, wanted in ((None, "1"), ("0", "0")):
        environment = {name: value for name, value in os.environ.items() if name != FALLBACK}
        environment |= {FALLBACK: said} if said else {}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        assert done.stdout.split() == [wanted] * 5, done.stderr


@pytest.mark.parametrize(
    ("threads", "said", "wanted"),
    [
        (None, {}, {"OMP": "7", "MKL": "7", "OPENBLAS": "7"}),
        (None, {"MKL": "3"}, {"OMP": "7", "MKL": "3", "OPENBLAS": "7"}),
        (None, {"OMP": "2"}, {"OMP": "2", "MKL": None, "OPENBLAS": None}),
        (4, {"OMP": "2", "MKL": "3"}, {"OMP": "4", "MKL": "4", "OPENBLAS": "4"}),
    ],
)
def test_threads_that_somebody_set_are_left_unless_told_otherwise(
    threads: int | None,
    said: dict[str, str],
    wanted: dict[str, str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 8)
    monkeypatch.setattr(os, "environ", {f"{name}_NUM_THREADS": n for name, n in said.items()})
    module.limit_threads(threads)
    assert {name: os.environ.get(f"{name}_NUM_THREADS") for name in wanted} == wanted
