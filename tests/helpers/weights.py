"""What tests of weights share: a card, its file, and a cache of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.weights import network
from models.weights.card import Card, CardFile
from models.weights.choose import CACHE
from models.weights.digests import file_digest

CONTENT = b"parameters, many of them"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("DEEPCELL_ACCESS_TOKEN", raising=False)
    monkeypatch.setattr(network, "_known", {})


def digest(content: bytes, algorithm: str, folder: Path) -> str:
    (folder / "reference").write_bytes(content)
    return file_digest(folder / "reference", algorithm)


def card(source: str = "https://weights.invalid/net.pt", **changes: object) -> Card:
    known = {key: changes.pop(key) for key in ("digest", "caches", "archive") if key in changes}
    files = {"model": CardFile("net.pt", source, **known)}  # type: ignore[arg-type]
    told = {"size": "1 MB", "licence": "MIT", "source": "https://weights.invalid"}
    return Card("net", "family", files, **told | changes)  # type: ignore[arg-type]
