"""Read Cellpose's `_seg.npy`, a pickle, without executing anything in it.

Every object in it that is not a plain container, string or number is built by a stand-in of this
module; any other class that it names is refused.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from benchmark.errors import DataError

SUFFIX = "_seg.npy"


def read_seg(path: Path) -> Any:
    """Return the label image of a `_seg.npy`: its entry `masks`.

    Raises:
        DataError: no such entry, or objects that are neither NumPy arrays nor scalars.
        Exception: the file is damaged.
    """
    with path.open("rb") as file:
        header: Any = np.lib.format
        version = header.read_magic(file)[0]
        read = header.read_array_header_1_0 if version == 1 else header.read_array_header_2_0
        if not read(file)[2].hasobject:
            return np.load(path, allow_pickle=False)
        content = _plain(_Unpickler(file, path).load())
    while isinstance(content, list) and len(content) == 1:  # an array without dimensions
        content = content[0]
    if not isinstance(content, dict) or "masks" not in content:
        raise DataError(f"{path}: has no entry 'masks', as a _seg.npy of Cellpose does.")
    masks = np.asarray(_plain(content["masks"]))
    if masks.dtype.kind == "i" and masks.size and masks.min() == -1:  # as its first versions wrote
        masks = masks + 1
    return masks


class _Dtype:
    """In place of `numpy.dtype`."""

    def __init__(self, name: str, align: object = False, copy: object = False) -> None:
        if not isinstance(name, str) or name[:1] not in "biufcSUO":
            raise pickle.UnpicklingError(f"a dtype '{name}' is not one of numbers or text")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """In place of `numpy.ndarray`: what is stored becomes an array without NumPy's own unpickling.

    Attributes:
        value: the array, or a list of the objects of an array of objects.
    """

    value: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, in_columns, content = state
        if isinstance(content, list):
            self.value = content
        elif dtype.dtype.hasobject:
            raise pickle.UnpicklingError("an array of objects without its objects")
        else:
            self.value = _array(content, dtype.dtype, shape, "F" if in_columns else "C")


def _array(content: Any, dtype: np.dtype[Any], shape: tuple[int, ...], order: Any) -> Any:
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise pickle.UnpicklingError("an array's size is not that of its content")
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _reconstruct(kind: object, shape: object, typecode: object) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, content: Any = b"") -> Any:
    return _array(content, dtype.dtype, (), "C")[()]


def _from_buffer(content: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.value = _array(content, dtype.dtype, shape, "F" if order == "F" else "C")
    return array


_STAND_INS = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}


class _Unpickler(pickle.Unpickler):
    """Builds containers, numbers, strings, and the stand-ins; nothing else."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in.

        Raises:
            DataError: any other class or function.
        """
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise DataError(
                f"{self._path}: is not read, as loading it would execute {module}.{name}; a "
                "_seg.npy of Cellpose has only NumPy arrays and numbers. Save the masks as TIFF."
            ) from None


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, _Array) else value
