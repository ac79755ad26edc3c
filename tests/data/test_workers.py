"""Processes that work on images side by side."""

from __future__ import annotations

import platform
import resource

import numpy as np
import pytest

from benchmark.workers import Workers

IMAGES = 20
PIXELS = 2 << 20  # 8 MiB of float32: more than malloc keeps by itself


def pages_taken(turn: int) -> int:
    """How often the kernel had to give this process a page while it worked on arrays."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for value in range(IMAGES):
        first, second = (np.full(PIXELS, value, np.float32) for _ in range(2))
        assert first[-1] == second[-1]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's malloc that is told")
def test_a_worker_keeps_the_memory_of_one_image_for_the_next():
    crew = Workers(2, "benchmark.data.prepare")
    try:
        taken = list(crew.outcomes(pages_taken, range(8)))
    finally:
        crew.close()
    pages = 2 * PIXELS * 4 // resource.getpagesize()
    # What each of two processes needs once at most, and a little; not so much for each image.
    assert sum(taken) < 2 * 2 * pages
