"""Weights of Hugging Face's hub: a token and files are found where its own library has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.weights import CONTENT, card
from helpers.weights import own_cache as own_cache

from benchmark.errors import SkippedError
from models.weights import download, network
from models.weights.card import Card, CardFile
from models.weights.choose import CardWeights

LIBRARY = 'needs huggingface_hub: pip install -e ".[models]"'


def gated() -> Card:
    made = card("owner/net", way="hub", gated="https://gate.invalid")
    config = CardFile("config.json", "owner/net")
    return replace(made, files={"config.json": config, **made.files})


@pytest.mark.parametrize(
    ("variables", "token"),
    [
        ({}, "home/.cache/huggingface/token"),
        ({"XDG_CACHE_HOME": "{}/xdg"}, "xdg/huggingface/token"),
        ({"XDG_CACHE_HOME": "{}/xdg", "HF_HOME": "~/hf"}, "home/hf/token"),
        ({"HF_HOME": "$PLACE/hf", "PLACE": "{}"}, "hf/token"),
        ({"HF_HOME": "{}/hf", "HF_TOKEN_PATH": "~/$NAME", "NAME": "mine"}, "home/mine"),
        ({"HUGGING_FACE_HUB_TOKEN": "hf_1"}, None),
        ({"HF_TOKEN": "hf_1"}, None),
    ],
)
def test_a_token_is_found_where_the_library_finds_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    token: str | None,
) -> None:
    monkeypatch.setattr(download, "reachable", lambda place: True)
    chosen = CardWeights(gated(), None, False)
    assert "hf auth login" in str(chosen.unavailable_reason())
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    if token:
        (tmp_path / token).parent.mkdir(parents=True)
        (tmp_path / token).write_text("hf_1")
    assert chosen.unavailable_reason() is None


@pytest.mark.parametrize(
    ("endpoint", "asked"),
    [
        (None, ("huggingface.co", 443)),
        ("https://mirror.invalid", ("mirror.invalid", 443)),
        ("http://127.0.0.1:8080/", ("127.0.0.1", 8080)),
        ("mirror.invalid", ("mirror.invalid", 443)),
    ],
)
def test_the_host_that_is_asked_is_the_users_mirror(
    monkeypatch: pytest.MonkeyPatch, endpoint: str | None, asked: tuple[str, int]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_1")
    if endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
    places: list[tuple[str, int]] = []
    monkeypatch.setattr(network, "_probe", lambda place: places.append(place[:2]))
    assert f"{asked[0]} can't be reached" in str(
        CardWeights(gated(), None, False).unavailable_reason()
    )
    assert places == [asked]


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, "home/.cache/huggingface/hub"),
        ({"HF_HOME": "{}/hf"}, "hf/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "{}/older"}, "older"),
        ({"HUGGINGFACE_HUB_CACHE": "{}/older", "HF_HUB_CACHE": "{}/newer"}, "newer"),
    ],
)
def test_what_the_library_has_downloaded_is_found_if_it_is_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], place: str
) -> None:
    pytest.importorskip("huggingface_hub", reason=LIBRARY)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    chosen = CardWeights(gated(), None, False)
    repository = tmp_path / place / "models--owner--net"
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
