"""What readers share: errors of decoders that name the file, and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.data.formats.images import pointer, short_reason
from benchmark.errors import DataError


def explained(error: Exception, path: Path) -> DataError:
    """Return an error of a decoder as one that names the file."""
    if isinstance(error, DataError):
        return error
    if isinstance(error, MemoryError):
        return DataError(f"{path}: does not fit into memory.")
    if isinstance(error, ImportError):
        return DataError(f"{path}: reading it needs {error.name}: pip install -e '.[formats]'.")
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"{path}: can't be read: {error.strerror}.")
    return DataError(
        f"{path}: can't be read ({short_reason(error)}). The file may be damaged or incomplete."
    )


def read_json(path: Path) -> Any:
    """Decode a JSON file.

    Raises:
        DataError: it can't be read.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise explained(error, path) from error


def refuse_placeholder(path: Path) -> None:
    """Refuse what stands in place of a file that was not fetched.

    Raises:
        DataError: a link to nothing, or a pointer of git-LFS or git-annex.
    """
    if path.is_symlink() and not path.exists():
        raise DataError(
            f"{path}: is a link to {path.readlink()}, which does not exist. Fetch the file (git "
            "annex get, dvc pull), or correct the link."
        )
    what = pointer(path)
    if what:
        raise DataError(f"{path}: is {what}.")
