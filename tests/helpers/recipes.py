"""One step of a recipe done, and how its images are compared."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
quick = settings(deadline=None)


def done(step, image, labels, **arguments):
    ((suffix, new_image, new_labels),) = step(image, labels, **arguments)
    assert suffix == ""
    return new_image, new_labels


def assert_same(found, expected):
    np.testing.assert_array_equal(found, expected, strict=True)
