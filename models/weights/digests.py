"""Digests of weights' files: the algorithms that publishers use, and a lock for the rest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmark.errors import ModelError
from benchmark.store.files import disk_errors, write_whole

_BLOCK = 1 << 22  # bytes read at a time
_CRYPTOGRAPHIC = ("sha256", "sha512", "blake2b")


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """`<algorithm>:<hexadecimal>` of a file's bytes.

    Args:
        path: the file.
        algorithm: one of hashlib's (`sha256`, `md5`), or `xxh128` (micro-sam's).

    Raises:
        ModelError: the file can't be read, or the algorithm is not installed.
    """
    digest = _new(algorithm)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}.") from error
    return f"{algorithm}:{digest.hexdigest()}"


def _new(algorithm: str) -> Any:
    if algorithm == "xxh128":
        try:
            import xxhash  # only here: whoever loads no such file need not have it
        except ImportError as error:
            raise ModelError("digests of this kind (xxh128) need: pip install xxhash.") from error
        return xxhash.xxh128()
    return hashlib.new(algorithm)


def unforgeable(digest: str | None) -> bool:
    """Whether nobody can make another file of the same digest on purpose.

    By md5 and xxh128 a file is known to have arrived whole, and no more.
    """
    return digest is not None and digest.partition(":")[0] in _CRYPTOGRAPHIC


def short(digest: str) -> str:
    """The first eight digits, for people."""
    return digest.partition(":")[2][:8]


class Lock:
    """The digests of first downloads, where nobody publishes one: on the user's side.

    A file that changes afterwards is an error, not a surprise.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, card: str, file: str) -> str | None:
        """The digest of the first download; None before it.

        Raises:
            ModelError: the lock can't be read.
        """
        found: str | None = self._read().get(f"{card}/{file}")
        return found

    def put(self, card: str, file: str, digest: str) -> None:
        """Remember the digest of a first download."""
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        locked = self._read() | {f"{card}/{file}": digest}
        write_whole(self.path, json.dumps(locked, indent=1, sort_keys=True).encode())

    def _read(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        try:
            return dict(json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(
                f"{self.path} can't be read ({error}). It holds the digests of weights that "
                "were downloaded first; move it away to trust the present files anew."
            ) from error
