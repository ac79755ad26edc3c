"""What tests of weights share: a card, its file, and a cache of one's own."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from models.weights import network
from models.weights.card import Card, CardFile
from models.weights.checkpoint import file_digest
from models.weights.registry import CACHE

CONTENT = b"parameters, many of them"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("DEEPCELL_ACCESS_TOKEN", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(network, "_known", {})
    with contextlib.suppress(ImportError):  # it reads most of its variables when it is imported
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
        monkeypatch.setattr(constants, "ENDPOINT", "https://huggingface.co")


def digest(content: bytes, algorithm: str, folder: Path) -> str:
    (folder / "reference").write_bytes(content)
    return file_digest(folder / "reference", algorithm)


def card(source: str = "https://weights.invalid/net.pt", **changes: object) -> Card:
    known = {key: changes.pop(key) for key in ("digest", "caches", "archive") if key in changes}
    files = {"model": CardFile("net.pt", source, **known)}  # type: ignore[arg-type]
    told = {"size": "1 MB", "licence": "MIT", "source": "https://weights.invalid"}
    return Card("net", "family", files, **told | changes)  # type: ignore[arg-type]
