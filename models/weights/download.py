"""Downloads of weights, each left to the library for it, and what may stand in their way."""

from __future__ import annotations

import os
import shlex
import tarfile
from collections.abc import Callable
from pathlib import Path

from benchmark.errors import ModelError, SkippedError, import_problem
from benchmark.store.files import disk_errors, temporary_name
from models.weights.card import Card, CardFile
from models.weights.checkpoint import file_digest
from models.weights.network import PATIENCE, door, reachable

DEEPCELL = "https://users.deepcell.org"


def unavailable_reason(card: Card) -> str | None:
    """Why a card's files can't be downloaded from here, with what to do; None if they can.

    Files and variables are looked at first, the network last.
    """
    missing = _wanting(card)
    if missing:
        return missing
    place = door(_address(card))
    if not reachable(place):
        return f"{place} can't be reached (within {PATIENCE:.0f} s). {_by_hand(card)}"
    return None


def to_get(card: Card) -> str:
    """How a card's files come here, for a list: in a few words, without asking the network."""
    return _wanting(card) or f"downloaded at the first run ({card.size})"


def download(card: Card, key: str, folder: Path) -> None:
    """Download one file of a card, with progress, into a folder.

    Args:
        card: the weights.
        key: the file, as the adapter calls it.
        folder: where it goes.

    Raises:
        SkippedError: it can't be had: no network, no access.
        ModelError: what came is not what was published.
        StoreError: the disk is full.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _WAYS[card.way](card, card.files[key], folder)
        except ImportError as error:
            raise unavailable(card, f"downloading them needs {import_problem(error)}") from error


def hub_snapshot(file: CardFile) -> Path | None:
    """The folder of the hub library's own cache that holds a file, and those of its revision."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(file.source, file.name)
    return Path(found).parent if isinstance(found, str) else None


def unavailable(card: Card, why: object) -> SkippedError:
    """The one error for weights that can't be had."""
    return SkippedError(f"weights unavailable: '{card.name}': {why}. {_by_hand(card)}")


def _by_hand(card: Card) -> str:
    """The one command, or page, that gets the files."""
    files = list(card.files.values())
    if card.way == "url":
        commands = " && ".join(
            f"curl -L -o {shlex.quote(file.name)} {shlex.quote(file.source)}" for file in files
        )
        return f"Get them with: {commands} (then weights_dir=<that folder>)"
    if card.way == "hub":
        names = " ".join(shlex.quote(file.name) for file in files)
        return (
            f"Get them with: hf download {files[0].source} {names} --local-dir <folder> "
            "(then weights_dir=<folder>)"
        )
    return f"Get them from {card.source} (then weights_dir=<their folder>)"


def _address(card: Card) -> str:
    if card.way == "hub":
        from huggingface_hub import constants

        return str(constants.ENDPOINT)
    return DEEPCELL if card.way == "deepcell" else next(iter(card.files.values())).source


def _wanting(card: Card) -> str | None:
    """What files and variables say against a download."""
    if card.way == "packaged":
        files = ", ".join(file.name for file in card.files.values())
        return (
            f"'{card.name}' is part of this repository, and a file of it is missing ({files}). "
            "Get it back with: git checkout -- models/weights/packaged"
        )
    if card.way == "deepcell" and not os.environ.get("DEEPCELL_ACCESS_TOKEN"):
        return (
            f"a token is needed. Make one at {card.gated}, then: "
            "export DEEPCELL_ACCESS_TOKEN=<your token>"
        )
    if card.way == "hub":
        try:
            from huggingface_hub import get_token
        except ImportError as error:
            return f"downloading them needs {import_problem(error)}. {_by_hand(card)}"
        if card.gated and get_token() is None:
            return f"access is granted by hand. Ask for it at {card.gated}, then: hf auth login"
    return None


def _from_url(card: Card, file: CardFile, folder: Path) -> None:
    import pooch
    import requests

    try:
        # It writes under a temporary name, and compares with the digest before it renames.
        pooch.retrieve(file.source, file.digest, file.name, folder, progressbar=True)
    except requests.exceptions.RequestException as error:
        raise unavailable(card, f"{file.source}: {error}") from error
    except ValueError as error:
        raise ModelError(f"the download of weights '{card.name}' went wrong: {error}.") from error


def _from_hub(card: Card, file: CardFile, folder: Path) -> None:
    import huggingface_hub
    from huggingface_hub.errors import HTTPError  # httpx's or httpx2's, by its version

    try:
        huggingface_hub.hf_hub_download(file.source, file.name, local_dir=folder)
    except (HTTPError, OSError, RuntimeError) as error:  # the last is hf_xet's, which transfers
        why = str(error).strip() or repr(error)
        raise unavailable(card, why.splitlines()[0]) from error


def _from_deepcell(card: Card, file: CardFile, folder: Path) -> None:
    # Only its own library knows how to ask for the download with a token.
    from cellSAM import _auth

    try:
        archive = Path(_auth.fetch_data(file.source, cache_subdir="models", file_hash=file.archive))
    except Exception as error:  # whatever its requests raise; it repeats a wrong token
        why = str(error).replace(os.environ["DEEPCELL_ACCESS_TOKEN"], "<your token>")
        raise unavailable(card, why) from None
    # It compares only what was there before, not what it has just fetched.
    found = file_digest(archive, "md5")
    if found != f"md5:{file.archive}":
        raise ModelError(
            f"{archive}: its digest is {found}, by the card '{card.name}' it is "
            f"md5:{file.archive}. Remove it and run again."
        )
    with tarfile.open(archive) as members, disk_errors(folder):
        wanted = [m for m in members if m.isfile() and Path(m.name).name == file.name]
        if not wanted:
            raise ModelError(f"{archive} holds no {file.name}, which '{card.name}' is made of.")
        unfinished = folder / temporary_name(file.name)  # or half a file would be taken for all
        wanted[0].name = unfinished.name  # nowhere but into the folder
        try:
            members.extract(wanted[0], folder, filter="data")
            unfinished.replace(folder / file.name)
        finally:
            unfinished.unlink(missing_ok=True)


_WAYS: dict[str, Callable[[Card, CardFile, Path], None]] = {
    "url": _from_url,
    "hub": _from_hub,
    "deepcell": _from_deepcell,
}
