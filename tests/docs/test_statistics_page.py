"""docs/statistics.md: what it says of small samples is simulated, or counted."""

import numpy as np
import pytest

from benchmark.stats import bootstrap_interval, holm, sign_flip_p

MANY = 100_000


def failures(rng, groups):
    """One group in twenty scores 0, the others about 0.9."""
    return np.where(rng.random(groups) < 0.05, 0, rng.normal(0.9, 0.03, groups))


def equals(rng, groups):
    """Nine differences in ten are exactly 0."""
    return np.where(rng.random(groups) < 0.9, 0, rng.normal(0.05, 0.05, groups))


@pytest.mark.parametrize(
    ("drawn", "groups", "percent"),
    [
        (failures, 5, 40), (failures, 10, 40), (failures, 30, 80),
        (equals, 5, 35), (equals, 10, 50), (equals, 30, 85),
    ],
)  # fmt: skip
def test_intervals_are_too_narrow_where_few_images_decide(drawn, groups, percent):
    rng = np.random.default_rng(groups)
    truth = drawn(rng, MANY).mean()
    names, held = [str(number) for number in range(groups)], 0
    for seed in range(300):
        low, high = bootstrap_interval(drawn(rng, groups), names, seed, resamples=500)
        held += low <= truth <= high
    assert held / 3 == pytest.approx(percent, abs=10)


def test_six_groups_and_two_tests_can_not_be_significant():
    smallest = sign_flip_p(np.ones(6))
    assert smallest == 1 / 32
    assert holm([smallest, 0.5])[0] == pytest.approx(0.0625)
