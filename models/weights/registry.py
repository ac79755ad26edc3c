"""`model.weights=<card>` or `=/path/to/file`: found, fetched, verified, before anything loads."""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import ModelError, UsageError
from benchmark.store.digest import json_digest
from benchmark.store.files import disk_errors, parse_json, path_of_id, write_whole
from benchmark.store.names import safe_name
from benchmark.types import Weights, WeightsAbout
from models.weights.card import CHECKOUT, Card, CardFile, cards
from models.weights.checkpoint import damage, file_digest, unforgeable
from models.weights.download import download, hub_snapshot, to_get, unavailable_reason

CACHE = "BENCHMARK_WEIGHTS"
"""Environment variable: the folder that downloads go to; else one in the user's cache."""


def find_weights(
    chosen: str,
    folder: Path | None = None,
    unpickle: bool = False,
    *,
    family: str,
    untrained: bool = False,
) -> CardWeights | UserWeights:
    """What `model.weights` names. Nothing is loaded, downloaded or probed yet.

    Args:
        chosen: a card's name, or a path to a file (or folder) of the user's own.
        folder: where the files of cards may lie already (`weights_dir`).
        unpickle: load a file that is more than tensors (`weights_unsafe`).
        family: the adapter's; a card of another one is refused.
        untrained: the tests' own door: random weights, which no report shows.

    Raises:
        UsageError: there is no such card and no such path.
    """
    known = cards(family)
    if chosen in known:
        return CardWeights(known[chosen], folder, unpickle)
    path = Path(chosen).expanduser()
    if path.exists():
        return UserWeights(path.resolve(), "untrained" if untrained else "user", unpickle)
    near = difflib.get_close_matches(chosen, known, n=1)
    raise UsageError(
        f"model.weights='{chosen}' is neither a file nor the name of weights for this model."
        + (f" Did you mean '{near[0]}'?" if near else "")
        + f" Valid names: {', '.join(known)}."
    )


def cache() -> Path:
    """The folder that downloads go to."""
    own = os.environ.get(CACHE)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base, "cell-segmentation-benchmark", "weights")


@dataclass(frozen=True)
class CardWeights:
    """Weights chosen by the name of their card."""

    card: Card
    folder: Path | None
    unpickle: bool

    def about(self) -> WeightsAbout:
        """What the card says, and whether every file lies on this machine."""
        card = self.card
        state = self._wanting_module() or (to_get(card) if self._missing() else "here")
        return WeightsAbout(card.name, card.mark, card.licence, state)

    def expected(self) -> Weights | None:
        """What the card, or else the first download, says."""
        digests = {key: self._expected(file) for key, file in self.card.files.items()}
        known = {key: digest for key, digest in digests.items() if digest}
        return self._weights(known) if len(known) == len(digests) else None

    def unavailable_reason(self) -> str | None:
        """What stands between this machine and what is missing: a module, or files; else None."""
        return self._wanting_module() or (
            unavailable_reason(self.card) if self._missing() else None
        )

    def fetch(self) -> Weights:
        """Download what is missing, verify all of it.

        Raises:
            SkippedError: they can't be had (no network, no access).
            ModelError: a file is not the one that was published, or that was there before.
        """
        for key in self._missing():
            download(self.card, key, self._home)
        missing = self._missing()
        if missing:
            raise ModelError(f"weights '{self.card.name}': {', '.join(missing)} not found.")
        found = {key: self._found(file) for key, file in self.card.files.items()}
        paths = {key: path for key, path in found.items() if path}
        weights = self._weights({key: self._verified(key, path) for key, path in paths.items()})
        # By a digest that nobody can forge, a file is known to be its publisher's.
        theirs = all(unforgeable(file.digest) for file in self.card.files.values())
        return replace(weights, paths=paths, unpickle=self.unpickle or theirs)

    def _weights(self, digests: Mapping[str, str]) -> Weights:
        card = self.card
        confirmed = all(file.digest for file in card.files.values())
        return Weights(card.name, card.mark, digests, confirmed, card.title, card.architecture)

    def _wanting_module(self) -> str | None:
        card = self.card
        if card.requires is None or importlib.util.find_spec(card.requires):
            return None
        return f"{card.requires} is not installed. Install with: {card.install}"

    def _missing(self) -> list[str]:
        return [key for key, file in self.card.files.items() if self._found(file) is None]

    @property
    def _home(self) -> Path:
        return cache() / self.card.name

    def _found(self, file: CardFile) -> Path | None:
        places = [folder / file.name for folder in self._folders()]
        if self.card.way == "packaged":
            places.append(CHECKOUT / file.source)
        # A path from the root of the file system, as of a variable, is no longer below home.
        places += [Path.home() / os.path.expandvars(place) for place in file.caches]
        return next((place for place in places if place.is_file()), None)

    def _folders(self) -> list[Path]:
        card, first = self.card, next(iter(self.card.files.values()))
        places = [self.folder, self.folder and self.folder / card.name, self._home]
        if card.way != "hub":
            return [place for place in places if place]
        # The hub's libraries load a folder: only one that has all of the files will do.
        places.append(hub_snapshot(first))
        return [place for place in places if place and self._whole(place)] or [self._home]

    def _whole(self, folder: Path) -> bool:
        return all((folder / file.name).is_file() for file in self.card.files.values())

    def _expected(self, file: CardFile) -> str | None:
        return file.digest or self._lock.get(self.card.name, file.name)

    @property
    def _lock(self) -> Lock:
        return Lock(cache() / "digests")

    def _verified(self, key: str, path: Path) -> str:
        file = self.card.files[key]
        expected = self._expected(file)
        digest = file_digest(path, (expected or "sha256").partition(":")[0])
        if digest == expected:
            return digest
        what = damage(path)
        nature = f"({f'{what}; ' if what else ''}it has {path.stat().st_size:,} bytes.) "
        if expected is not None:
            whose, remedy = "its card", _AGAIN
            if not file.digest:
                whose = "the first download"
                forget = self._lock.remedy(self.card.name, file.name)
                remedy += f" If the change is meant, {forget}."
            raise ModelError(
                f"{path} is not the file of the weights '{self.card.name}': its digest is "
                f"{digest}, by {whose} it is {expected}. {nature}{remedy}"
            )
        if what:  # else the lock would expect it from now on
            raise ModelError(f"{path} is not a weights file: {nature}{_AGAIN}")
        self._lock.put(self.card.name, file.name, digest)
        return digest


_AGAIN = (
    "Remove it and run again to download it once more, or give it by its path as weights of your "
    "own."
)


class Lock:
    """The digests of first downloads, where nobody publishes one: on the user's side.

    A file that changes afterwards is an error, not a surprise. Each digest has a file of its own,
    since several processes may download different weights at once.

    Args:
        folder: that of these files. Earlier versions kept all digests in one, `<folder>.json`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._of_all = folder.with_suffix(".json")

    def get(self, card: str, file: str) -> str | None:
        """The digest of the first download; None before it.

        Raises:
            ModelError: the lock can't be read.
        """
        name = f"{card}/{file}"
        return self._read(self.path(card, file)).get(name) or self._read(self._of_all).get(name)

    def put(self, card: str, file: str, digest: str) -> None:
        """Remember the digest of a first download."""
        path = self.path(card, file)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({f"{card}/{file}": digest}, indent=1).encode())

    def remedy(self, card: str, file: str) -> str:
        """How to make it forget a digest."""
        path = self.path(card, file)
        return f"remove {path}" if path.exists() else f"remove its line from {self._of_all}"

    def path(self, card: str, file: str) -> Path:
        """The file that holds a digest."""
        return path_of_id(self._folder, safe_name(f"{card}-{file}"), ".json")

    def _read(self, path: Path) -> dict[str, str]:
        try:
            return dict(parse_json(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(
                f"{path} can't be read ({error}). It holds the digests of weights that were "
                "downloaded first; move it away to trust the present files."
            ) from error


@dataclass(frozen=True)
class UserWeights:
    """A file, or a folder of files, of the user's own."""

    path: Path
    mark: str
    unpickle: bool

    def about(self) -> WeightsAbout:
        """The path exists, and its licence is its owner's affair."""
        return WeightsAbout(str(self.path), self.mark, "unknown", "here")

    def expected(self) -> Weights:
        """The files themselves: they are what is there."""
        return self.fetch()

    def unavailable_reason(self) -> None:
        """Nothing: the path exists."""

    def fetch(self) -> Weights:
        """Take the digests.

        Raises:
            ModelError: the folder is empty, or a file can't be read.
        """
        named = self._files() if self.path.is_dir() else {"weights": self.path}
        if not named:
            raise ModelError(f"model.weights='{self.path}' is an empty folder.")
        digests = {name: file_digest(path) for name, path in named.items()}
        # One of several files would not stand for them all.
        [whole] = digests.values() if len(digests) == 1 else [f"sha256:{json_digest(digests)}"]
        name = f"user {whole.partition(':')[2][:8]}"
        return Weights(name, self.mark, digests, paths=named, unpickle=self.unpickle)

    def _files(self) -> dict[str, Path]:
        """Those of a folder by their place in it; hidden ones are notes of download tools."""
        found = {p.relative_to(self.path): p for p in self.path.rglob("*") if p.is_file()}
        shown = {k: p for k, p in found.items() if not any(s.startswith(".") for s in k.parts)}
        return {key.as_posix(): shown[key] for key in sorted(shown)}
