"""The weights' cards: what can be loaded by name, where it comes from, what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

CARDS = Path(__file__).parent / "cards"
PACKAGED = Path(__file__).parent / "packaged"
"""Weights that are part of this repository: a folder for each card."""
CHECKOUT = Path(__file__).parents[2]
"""What the paths of packaged files start from."""

WAYS = ("url", "hub", "deepcell", "packaged")
MARKS = ("verified", "demo")


@dataclass(frozen=True)
class CardFile:
    """One file of a set of weights.

    Attributes:
        name: its file name.
        source: where it comes from: a URL; where `way` is `hub`, a repository there; where it is
            `packaged`, the file's path in this repository, which cards may share.
        digest: `<algorithm>:<hexadecimal>` as published; None where nobody publishes one.
        caches: where its own library keeps it, below the home folder or a `$VARIABLE`.
        archive: MD5 digest of the archive that it comes in, where it comes in one.
    """

    name: str
    source: str
    digest: str | None = None
    caches: tuple[str, ...] = ()
    archive: str | None = None


@dataclass(frozen=True)
class Card:
    """A set of weights.

    Attributes:
        name: of the card's file, without suffix.
        family: the adapters that can load it.
        files: by the name that the adapter knows them by.
        size: of the download, for people.
        licence: of the weights, SPDX where there is one; `unknown` where it is unknown.
        source: the page that says all this.
        title: what people call the model with these weights, where that differs.
        architecture: for an adapter that can build several.
        requires: a module that this architecture needs besides what its adapter requires.
        install: the command that installs it.
        way: how they are downloaded: `url`, `hub` (Hugging Face) or `deepcell` (a token); or
            `packaged`: they are in this repository.
        mark: `verified`, or `demo` for weights that stand for no published model.
        gated: the page where access has to be asked for; None where anybody may download.
        trained_on: rows of data, split and evidence.
        notes: what a user should know besides.
    """

    name: str
    family: str
    files: Mapping[str, CardFile]
    size: str
    licence: str
    source: str
    title: str | None = None
    architecture: str | None = None
    requires: str | None = None
    install: str | None = None
    way: str = "url"
    mark: str = "verified"
    gated: str | None = None
    trained_on: tuple[Mapping[str, str], ...] = field(default=())
    notes: str = ""


@cache
def cards(family: str | None = None, folder: Path = CARDS) -> dict[str, Card]:
    """All cards, or those of one family, by name.

    Raises:
        ValueError: a card is not written as it should be.
    """
    if family is not None:  # each file is read once, whoever asks
        return {name: card for name, card in cards(None, folder).items() if card.family == family}
    found = (_read(path) for path in sorted(folder.glob("*.yaml")))
    return {card.name: card for card in found}


def _read(path: Path) -> Card:
    written: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[assignment]
    unknown = set(written) - {entry.name for entry in fields(Card)}
    if unknown:
        raise ValueError(f"{path}: a card has no {', '.join(sorted(unknown))}")
    written["files"] = {key: _file(value) for key, value in written["files"].items()}
    written["trained_on"] = tuple(written.get("trained_on", ()))
    if written.get("way", "url") not in WAYS:
        raise ValueError(f"{path}: way is '{written['way']}'; it must be one of {', '.join(WAYS)}")
    if written.get("mark", "verified") not in MARKS:
        raise ValueError(f"{path}: mark is '{written['mark']}'; one of {', '.join(MARKS)}")
    return Card(name=path.stem, **written)


def _file(written: dict[str, Any]) -> CardFile:
    return CardFile(**{**written, "caches": tuple(written.get("caches", ()))})
