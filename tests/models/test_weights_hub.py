"""Weights of Hugging Face's hub: a token and files are found where its own library has them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.messages import assert_names
from helpers.weights import CONTENT, card
from helpers.weights import own_cache as own_cache

from benchmark.errors import SkippedError
from models.weights import download, network
from models.weights.card import Card, CardFile, cards
from models.weights.registry import CardWeights

LIBRARY = 'needs huggingface_hub: pip install -e ".[models]"'


def gated() -> Card:
    made = card("owner/net", way="hub", gated="https://gate.invalid")
    config = CardFile("config.json", "owner/net")
    return replace(made, files={"config.json": config, **made.files})


@pytest.mark.parametrize("variable", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", None])
def test_a_token_is_found_where_the_library_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    pytest.importorskip("huggingface_hub", reason=LIBRARY)
    monkeypatch.setattr(download, "reachable", lambda place: True)
    chosen = CardWeights(gated(), None, False)
    assert "hf auth login" in str(chosen.unavailable_reason())
    if variable:
        monkeypatch.setenv(variable, "hf_1")
    else:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "token").write_text("hf_1")
    assert chosen.unavailable_reason() is None


def test_without_the_library_the_obstacle_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    chosen = CardWeights(gated(), None, False)
    assert_names(str(chosen.unavailable_reason()), "huggingface_hub", "hf download owner/net")
    assert "huggingface_hub" in chosen.about().state


@pytest.mark.parametrize(
    ("endpoint", "asked"),
    [
        (None, ("huggingface.co", 443)),
        ("https://mirror.invalid", ("mirror.invalid", 443)),
        ("http://127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("mirror.invalid", ("mirror.invalid", 443)),
    ],
)
def test_the_host_that_is_asked_is_the_users_mirror(
    monkeypatch: pytest.MonkeyPatch, endpoint: str | None, asked: tuple[str, int]
) -> None:
    library = pytest.importorskip("huggingface_hub", reason=LIBRARY)
    monkeypatch.setenv("HF_TOKEN", "hf_1")
    if endpoint:
        monkeypatch.setattr(library.constants, "ENDPOINT", endpoint)
    places: list[tuple[str, int]] = []
    monkeypatch.setattr(network, "_probe", lambda place: places.append(place[:2]))
    assert f"{asked[0]} can't be reached" in str(
        CardWeights(gated(), None, False).unavailable_reason()
    )
    assert places == [asked]


def test_variables_of_the_library_are_those_that_count(tmp_path: Path) -> None:
    """In a process of its own, as the library reads them once."""
    pytest.importorskip("huggingface_hub", reason=LIBRARY)
    repository = tmp_path / "hf" / "hub" / "models--facebook--sam3"
    names = [file.name for file in cards("sam3")["sam3"].files.values()]
    for path in ("refs/main", *(f"snapshots/0a1b/{name}" for name in names)):
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text("0a1b")
    code = (
        "from models.weights.download import _address, _wanting\n"
        "from models.weights.registry import find_weights\n"
        "chosen = find_weights('sam3', family='sam3')\n"
        "print(chosen.about().state, _address(chosen.card), _wanting(chosen.card))"
    )
    own = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": "https://mirror.invalid"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | own, capture_output=True, text=True
    )
    assert done.stdout.startswith("here https://mirror.invalid access is granted by hand"), done
    (tmp_path / "hf" / "token").write_text("hf_1")
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | own, capture_output=True, text=True
    )
    assert done.stdout.strip() == "here https://mirror.invalid None", done


def test_what_the_library_has_downloaded_is_found_if_it_is_all_of_it(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason=LIBRARY)
    chosen = CardWeights(gated(), None, False)
    repository = tmp_path / "home" / "hub" / "models--owner--net"
    snapshot = repository / "snapshots" / "0a1b"
    for path, content in {
        repository / "refs" / "main": "0a1b",
        snapshot / "config.json": "{}",
    }.items():
        path.parent.mkdir(parents=True)
        path.write_text(content)
    # The model's library loads a folder: a part of one is of no use.
    assert chosen.unavailable_reason() is not None and chosen.about().state != "here"
    (snapshot / "net.pt").write_bytes(CONTENT)
    assert chosen.unavailable_reason() is None and chosen.about().state == "here"
    found = chosen.fetch().paths
    assert found == {"config.json": snapshot / "config.json", "model": snapshot / "net.pt"}


def test_a_part_of_them_in_one_folder_is_not_mixed_with_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(_: Card, file: CardFile, folder: Path) -> None:
        (folder / file.name).write_bytes(CONTENT)

    monkeypatch.setitem(download._WAYS, "hub", fetch)
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "config.json").write_text("{}")
    found = CardWeights(gated(), tmp_path / "given", False).fetch().paths
    assert {path.parent for path in found.values()} == {tmp_path / "cache" / "net"}


@pytest.mark.parametrize(
    ("message", "told"),
    [("The read operation timed out\nmore", "timed out"), ("", "HTTPError")],
)
@pytest.mark.parametrize("kind", ["http", "transfer"])
def test_a_download_that_breaks_off_skips_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, kind: str, message: str, told: str
) -> None:
    library = pytest.importorskip("huggingface_hub", reason=LIBRARY)
    # The HTTP library's own error, which the hub's derive from; hf_xet raises RuntimeError.
    http = next(c for c in library.errors.HfHubHTTPError.__mro__ if c.__name__ == "HTTPError")

    def break_off(*_: object, **__: object) -> None:
        raise http(message) if kind == "http" else RuntimeError(message or "HTTPError")

    monkeypatch.setattr(library, "hf_hub_download", break_off)
    with pytest.raises(SkippedError, match=f"weights unavailable: 'net': .*{told}.*hf download"):
        CardWeights(gated(), None, False).fetch()
