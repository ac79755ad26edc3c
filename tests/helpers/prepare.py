"""A source of arrays, and what preparing it leaves behind.

A file of tests imports a fixture under its own name, `import x as x`: so pytest finds it there,
and the linter takes it for meant.
"""

import dataclasses

import numpy as np
import pytest

from benchmark.data.prepare import prepare
from benchmark.data.sources.base import Raw
from benchmark.errors import DataError, UsageError

TILES = [{"tiles": {"rows": 1, "columns": 2}}]


@dataclasses.dataclass
class Listed:
    """A source of arrays: (name, image, labels), or (name, error) where it can't be read."""

    rows: list
    mark: int = 0
    val: tuple = ()

    def items(self, split):
        everything = [
            Raw(
                row[0],
                f"group of {row[0]}",
                "val" if row[0] in self.val else "test",
                f"file of {row[0]}",
                lambda row=row: self._read(*row[1:]),
            )
            for row in self.rows
        ]
        kept = [raw for raw in everything if split in (raw.split, "all")]
        if not kept and split == "val":
            raise UsageError("this data set has no split 'val'; it has: test.")
        return kept

    def fingerprint(self, known=None):
        return self.mark

    def _read(self, image, labels=None):
        if labels is None:
            raise DataError(image)
        return image, labels


def image(value=1, shape=(8, 9)):
    return np.full(shape, value, np.uint8)


def labels(value=1, shape=(8, 9)):
    array = np.zeros(shape, np.uint16)
    array[2:5, 2:5] = value
    return array


def make(source, datasets, recipe=(), split="test", allowed=0, **options):
    options = {"parameters": {}, "workers": 1} | options
    return prepare(
        "cells",
        source,
        list(recipe),
        datasets=datasets,
        split=split,
        allowed_failures=lambda images: allowed,
        **options,
    )


def folders(datasets):
    """The data sets that pass for prepared."""
    return [path for path in (datasets / "cells" / "prepared").glob("[!.]*") if path.is_dir()]


def strays(datasets):
    return list((datasets / "cells" / "prepared").rglob(".*tmp*"))


@pytest.fixture
def datasets(tmp_path):
    return tmp_path / "datasets"


@pytest.fixture
def data(datasets):
    return make(Listed([(n, image(i), labels(i)) for i, n in enumerate("abc", 1)]), datasets)
