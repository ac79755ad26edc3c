"""Checkpoints are opened without executing them, and what was loaded is what was asked for."""

from __future__ import annotations

import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.weights import card

from benchmark.errors import ModelError
from benchmark.types import Weights
from models.weights.checkpoint import file_digest
from models.weights.registry import CACHE, CardWeights

torch = pytest.importorskip("torch", reason='needs torch: pip install -e ".[models]"')
from models.weights.checkpoint import (  # noqa: E402
    confirm_loaded,
    load_parameters,
    open_checkpoint,
    tensors,
)


def weights(path: Path, mark: str = "user", unpickle: bool = False) -> Weights:
    digests = {"model": file_digest(path)}
    return Weights("user 1", mark, digests, paths={"model": path}, unpickle=unpickle)


class Mine:
    """Loading it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (shutil.copyfile, (__file__, str(self.path)))


@pytest.fixture
def net() -> torch.nn.Module:
    return torch.nn.Linear(3, 2)


@pytest.fixture
def hostile(tmp_path: Path, net: torch.nn.Module) -> tuple[Path, Path]:
    """A checkpoint that creates a file when it is unpickled, and that file."""
    path, trap = tmp_path / "hostile.pt", tmp_path / "sprung"
    torch.save({"model": net.state_dict(), "extra": Mine(trap)}, path)
    return path, trap


def test_a_state_dict_comes_as_it_was_saved(tmp_path: Path, net: torch.nn.Module) -> None:
    torch.save({"model": net.state_dict(), "epoch": 3}, tmp_path / "net.pt")
    content = open_checkpoint(weights(tmp_path / "net.pt"))
    assert content["epoch"] == 3 and torch.equal(content["model"]["weight"], net.weight)
    assert set(tensors(content["model"])) == {"weight", "bias"} and tensors(content) == {}


@pytest.mark.parametrize("module", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_numpy_numbers_are_opened_as_they_execute_nothing(
    tmp_path: Path, net: torch.nn.Module, module: bytes
) -> None:
    path = tmp_path / "net.pt"
    numbers = {
        "metric": np.float64(0.5), "loss": np.float32(2), "epoch": np.int64(3), "ok": np.bool_(1),
    }  # fmt: skip
    saved = {"model": net.state_dict(), **numbers}
    torch.save(saved, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(re.sub(rb"numpy\._?core\.multiarray", module, content))
    allowed = {*torch.serialization.get_safe_globals()}
    opened = open_checkpoint(weights(path))
    assert {key: opened[key] for key in numbers} == numbers
    assert torch.equal(opened["model"]["weight"], net.weight)
    assert {*torch.serialization.get_safe_globals()} == allowed  # of other libraries


def test_what_executes_beside_numpy_numbers_is_refused(
    tmp_path: Path, net: torch.nn.Module
) -> None:
    trap = tmp_path / "sprung"
    torch.save({"model": net.state_dict(), "n": np.float64(1), "x": Mine(trap)}, tmp_path / "n.pt")
    with pytest.raises(ModelError, match="would execute shutil"):
        open_checkpoint(weights(tmp_path / "n.pt"))
    assert not trap.exists()


def test_safetensors_are_known_by_their_content(tmp_path: Path, net: torch.nn.Module) -> None:
    from safetensors.torch import save_file

    save_file(dict(net.state_dict()), tmp_path / "net.pt")
    assert torch.equal(open_checkpoint(weights(tmp_path / "net.pt"))["bias"], net.bias)


def test_a_checkpoint_that_would_create_a_file_is_refused_and_creates_none(
    hostile: tuple[Path, Path],
) -> None:
    path, trap = hostile
    with pytest.raises(ModelError, match="would execute shutil") as error:
        open_checkpoint(weights(path))
    assert not trap.exists()
    for word in (str(path), file_digest(path), "weights_unsafe=true", "shutil.copyfile"):
        assert word in str(error.value)
    # The trap works: somebody who allows it gets it.
    open_checkpoint(weights(path, unpickle=True))
    assert trap.exists()


def test_a_published_file_whose_digest_can_be_forged_is_not_executed(
    tmp_path: Path, hostile: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xxhash", reason="xxhash comes with micro-sam")
    path, trap = hostile
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    published = card(digest=file_digest(path, "xxh128"))
    path.rename(tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"weights_unsafe=true"):
        open_checkpoint(CardWeights(published, tmp_path, False).fetch())
    assert not trap.exists()
    open_checkpoint(CardWeights(published, tmp_path, True).fetch())
    assert trap.exists()


@pytest.mark.parametrize("algorithm", ["sha256", "xxh128"])
def test_a_published_file_of_tensors_opens_by_whatever_digest(
    tmp_path: Path, net: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    if algorithm == "xxh128":
        pytest.importorskip("xxhash", reason="xxhash comes with micro-sam")
    torch.save(net.state_dict(), tmp_path / "net.pt")
    published = card(digest=file_digest(tmp_path / "net.pt", algorithm))
    content = open_checkpoint(CardWeights(published, tmp_path, False).fetch())
    assert torch.equal(content["bias"], net.bias)


def test_only_tensors_of_an_unsafe_checkpoint_go_on(hostile: tuple[Path, Path]) -> None:
    content = open_checkpoint(weights(hostile[0], unpickle=True))
    assert set(tensors(content["model"])) == {"weight", "bias"} and tensors(content) == {}


def test_a_bare_pickle_is_refused_too(tmp_path: Path) -> None:
    path, trap = tmp_path / "bare.pkl", tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Mine(trap), protocol=2))
    with pytest.raises(ModelError, match=str(path)):
        open_checkpoint(weights(path))
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<!DOCTYPE html><html>Sign in", "an HTML page, such as a login"),
        (b"\n  <html>", "an HTML page"),
        (b"", r"net\.pt can't be loaded: it is empty\. "),
        (b"no checkpoint at all", "can't be loaded"),
    ],
)
def test_what_is_no_checkpoint_is_one_message(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(ModelError, match=told) as error:
        open_checkpoint(weights(tmp_path / "net.pt"))
    assert file_digest(tmp_path / "net.pt") in str(error.value)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_one_message(
    tmp_path: Path, net: torch.nn.Module, share: float
) -> None:
    torch.save(net.state_dict(), tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "net.pt").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"net\.pt can't be loaded"):
        open_checkpoint(weights(tmp_path / "net.pt"))


def test_a_checkpoint_that_holds_no_parameters_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "net.pt")
    with pytest.raises(ModelError, match="a list"):
        open_checkpoint(weights(tmp_path / "net.pt"))


def test_another_architecture_is_named_before_anything_runs(
    tmp_path: Path, net: torch.nn.Module
) -> None:
    torch.save(torch.nn.Linear(4, 2).state_dict(), tmp_path / "net.pt")
    found = weights(tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"architecture.*size mismatch for weight"):
        load_parameters(net, tensors(open_checkpoint(found)), found, "model")


def test_a_module_that_takes_no_notice_is_caught(tmp_path: Path, net: torch.nn.Module) -> None:
    class Deaf(torch.nn.Linear):
        def load_state_dict(self, *_: object, **__: object) -> None:  # type: ignore[override]
            pass

    torch.save(net.state_dict(), tmp_path / "net.pt")
    found = weights(tmp_path / "net.pt")
    with pytest.raises(ModelError, match="what was loaded is not"):
        load_parameters(Deaf(3, 2), tensors(open_checkpoint(found)), found, "model")


def test_what_was_really_loaded_is_compared_with_the_file(
    tmp_path: Path, net: torch.nn.Module
) -> None:
    torch.save(net.state_dict(), tmp_path / "net.pt")
    found = weights(tmp_path / "net.pt")
    parameters = tensors(open_checkpoint(found))
    load_parameters(net, parameters, found, "model")
    confirm_loaded(net.to(torch.bfloat16), parameters, found, "model")  # another precision
    with torch.no_grad():
        net.bias[1] += 1  # as a library that took other weights
    with pytest.raises(ModelError, match=r"what was loaded is not .*'bias' differs"):
        confirm_loaded(net, parameters, found, "model")
    del parameters["weight"]
    with pytest.raises(ModelError, match="such as 'weight'"):
        confirm_loaded(net, parameters, found, "model")
