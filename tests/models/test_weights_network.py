"""Weights from elsewhere: when the network is asked, what a token is for, and archives."""

from __future__ import annotations

import io
import sys
import tarfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from helpers.weights import CONTENT, card
from helpers.weights import own_cache as own_cache

from benchmark.errors import ModelError, SkippedError, StoreError
from models.weights import download, network
from models.weights.card import Card
from models.weights.checkpoint import file_digest
from models.weights.registry import CardWeights

PLACE = network.Door("weights.invalid", 443)


def test_without_network_the_reason_names_the_one_command() -> None:
    told = CardWeights(card(), None, False).unavailable_reason()
    assert told is not None
    assert "weights.invalid" in told
    assert "curl -L -o net.pt https://weights.invalid/net.pt" in told


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("hub", "Ask for it at https://gate.invalid, then: hf auth login"),
        ("deepcell", "Make one at https://gate.invalid, then: export DEEPCELL_ACCESS_TOKEN="),
    ],
)
def test_without_a_token_the_network_is_not_even_asked(
    way: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "hub":
        pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(download, "reachable", lambda place: pytest.fail("asked the network"))
    chosen = card("owner/net", way=way, gated="https://gate.invalid")
    unavailable_reason = CardWeights(chosen, None, False).unavailable_reason()
    assert unavailable_reason is not None and told in unavailable_reason


def test_a_host_is_asked_once_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[network.Door] = []
    monkeypatch.setattr(network, "_probe", asked.append)
    monkeypatch.setattr(network, "_known", {})
    for _ in range(3):
        assert not network.reachable(PLACE)
    assert asked == [PLACE]


def test_the_network_is_waited_for_no_longer_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert network.PATIENCE == 3.0
    monkeypatch.setattr(network, "PATIENCE", 0.1)
    # As a look-up of a name that nobody answers.
    answered = threading.Event()

    def look_up(*_: object) -> SimpleNamespace:
        answered.wait(600)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(network.socket, "create_connection", look_up)
    assert not network.reachable(PLACE)  # with the answer, it would be
    answered.set()


def test_a_host_that_answers_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def connect(place: tuple[str, int], patience: float) -> SimpleNamespace:
        asked.append(place)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(network.socket, "create_connection", connect)
    assert network.reachable(PLACE) and asked == [("weights.invalid", 443)]


@pytest.mark.parametrize(
    ("variables", "told", "asked"),
    [
        ({}, "weights.invalid", ("weights.invalid", 443)),
        ({"https_proxy": "http://gate:3128"}, "the proxy gate:3128", ("gate", 3128)),
        ({"HTTPS_PROXY": "http://me:secret@gate"}, "the proxy gate:80", ("gate", 80)),
        ({"all_proxy": "gate:3128"}, "the proxy gate:3128", ("gate", 3128)),
        ({"all_proxy": "socks5h://gate"}, "the proxy gate:1080", ("gate", 1080)),
        ({"http_proxy": "http://gate:3128"}, "weights.invalid", ("weights.invalid", 443)),
        (
            {"https_proxy": "http://gate:3128", "no_proxy": ".invalid"},
            "weights.invalid",
            ("weights.invalid", 443),
        ),
        ({"https_proxy": "me:secret@gate:x"}, "the proxy gate:x", ("gate:x", 0)),
    ],
)
def test_behind_a_proxy_the_proxy_is_asked(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    told: str,
    asked: tuple[str, int],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    places: list[tuple[str, int]] = []

    def connect(place: tuple[str, int], patience: float) -> None:
        places.append(place)
        raise OSError("no way")

    monkeypatch.setattr(network.socket, "create_connection", connect)
    message = str(CardWeights(card(), None, False).unavailable_reason())
    assert message.startswith(f"{told} can't be reached") and "secret" not in message
    assert places == [asked]


@pytest.fixture
def deepcell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Card]:
    """A stand-in of cellSAM's downloads, and a card of an archive that they give."""
    monkeypatch.setenv("DEEPCELL_ACCESS_TOKEN", "secret")
    archive = tmp_path / "models.tar.gz"

    def made(member: str = "models/v1/net.pt", refuse: bool = False) -> Card:
        with tarfile.open(archive, "w:gz") as writing:
            entry = tarfile.TarInfo(member)
            entry.size = len(CONTENT)
            writing.addfile(entry, io.BytesIO(CONTENT))

        def fetch_data(key: str, cache_subdir: str, file_hash: str) -> str:
            assert (key, cache_subdir) == ("models/v1.tar.gz", "models")
            if refuse:
                raise ValueError("API token secret is not valid")
            return str(archive)

        library = ModuleType("cellSAM")
        library._auth = SimpleNamespace(fetch_data=fetch_data)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "cellSAM", library)
        known = file_digest(archive, "md5").partition(":")[2]
        return card("models/v1.tar.gz", way="deepcell", archive=known)

    return made


def test_one_file_of_a_verified_archive_is_unpacked(
    tmp_path: Path, deepcell: Callable[..., Card]
) -> None:
    found = CardWeights(deepcell("../../net.pt"), None, False).fetch()
    assert found.paths == {"model": tmp_path / "cache" / "net" / "net.pt"}
    assert found.paths["model"].read_bytes() == CONTENT


def test_a_file_that_was_half_unpacked_is_not_there(
    tmp_path: Path, deepcell: Callable[..., Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = CardWeights(deepcell(), None, False)

    def half(reading: io.BytesIO, writing: io.BytesIO, *_: object) -> None:
        writing.write(reading.read(3))
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(tarfile, "copyfileobj", half)
        with pytest.raises(StoreError, match="No space left"):
            chosen.fetch()
    assert list((tmp_path / "cache" / "net").iterdir()) == []
    assert chosen.fetch().paths["model"].read_bytes() == CONTENT


def test_another_archive_is_an_error_with_both_digests(deepcell: Callable[..., Card]) -> None:
    made = deepcell()
    wrong = replace(made, files={"model": replace(made.files["model"], archive="0" * 32)})
    with pytest.raises(ModelError, match=f"digest is md5:[0-9a-f]+, by the .* md5:{'0' * 32}"):
        CardWeights(wrong, None, False).fetch()


def test_an_archive_without_the_file_is_an_error(deepcell: Callable[..., Card]) -> None:
    with pytest.raises(ModelError, match=r"holds no net\.pt"):
        CardWeights(deepcell("other.pt"), None, False).fetch()


def test_a_refused_token_skips_and_is_told_to_nobody(deepcell: Callable[..., Card]) -> None:
    with pytest.raises(SkippedError, match="API token <your token> is not valid") as error:
        CardWeights(deepcell(refuse=True), None, False).fetch()
    assert "secret" not in str(error.value)
