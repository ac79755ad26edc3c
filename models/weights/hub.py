"""Hugging Face's hub: where its own library looks for access, and for what it has downloaded."""

from __future__ import annotations

import os
from pathlib import Path


def endpoint() -> str:
    """The hub's address; a mirror's, where the user has named one."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def has_token() -> bool:
    """Whether a token lies where the library looks for one; asked without importing it."""
    # The second is what the first was called before; the library still takes it.
    named = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    return bool(named) or _place("HF_TOKEN_PATH", default=_home() / "token").is_file()


def snapshot(repository: str, file: str) -> Path | None:
    """The folder of the library's cache that holds a file of a repository; None without it.

    Args:
        repository: its name on the hub.
        file: one of its files. Those beside it are of the same revision.
    """
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    older = _place("HUGGINGFACE_HUB_CACHE", default=_home() / "hub")
    found = try_to_load_from_cache(repository, file, _place("HF_HUB_CACHE", default=older))
    return Path(found).parent if isinstance(found, str) else None


def _home() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _place("HF_HOME", default=Path(caches, "huggingface"))


def _place(variable: str, *, default: Path) -> Path:
    """A path as the library reads it: `~` is expanded first, then variables in it."""
    named = Path(os.environ.get(variable) or default)
    return Path(os.path.expandvars(named.expanduser()))
