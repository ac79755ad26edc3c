"""Digests of decoded arrays and of JSON values, independent of compression and layout."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray


def array_digest(array: NDArray[Any]) -> str:
    """SHA-256 over dtype, shape and the values in little-endian C order, as hexadecimal."""
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    sha = hashlib.sha256(f"{plain.dtype.str}{list(array.shape)}".encode())
    sha.update(plain.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def json_digest(value: Any) -> str:
    """SHA-256 over canonical JSON (sorted keys, no spaces, no NaN), as hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """Serialise a value as canonical JSON: equal values give equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
