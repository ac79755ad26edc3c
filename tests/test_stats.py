"""Intervals: right where the answer is known, and honest where it is not."""

import numpy as np
import pytest

from benchmark import stats
from benchmark.stats import bootstrap_interval


def clustered(n_groups, seed=0, images=(1, 21)):
    """Values around 0.5 with group effects, and the group of each."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), rng.integers(*images, n_groups))
    values = 0.5 + rng.normal(0, 0.15, n_groups)[group] + rng.normal(0, 0.1, len(group))
    return values, [f"g{i}" for i in group]


def test_agrees_with_theory_for_many_independent_images():
    values = np.random.default_rng(1).normal(0.6, 0.1, 400)
    low, high = bootstrap_interval(values, [str(i) for i in range(400)])
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=5e-4)
    assert high == pytest.approx(values.mean() + half, abs=5e-4)


def test_is_the_mean_over_images_not_over_groups():
    # One group of 90 zeros beside nine of a single one: the mean over images is 0.09, that
    # over groups 0.9.
    values, groups = [0.0] * 90 + [1.0] * 9, ["big"] * 90 + [f"g{i}" for i in range(9)]
    low, high = bootstrap_interval(values, groups)
    assert low < 0.09 < high
    assert low == pytest.approx(7 / (7 + 3 * 90), abs=0.02)  # the big group drawn three times
    assert high == 1, "the big group is left out of a third of the resamples"


def test_clusters_make_the_interval_wider():
    values, groups = clustered(20)
    low, high = bootstrap_interval(values, groups)
    alone = bootstrap_interval(values, [str(i) for i in range(len(values))])
    assert high - low > 2 * (alone[1] - alone[0])


def test_same_in_any_order_and_by_seed():
    values, groups = clustered(12)
    first = bootstrap_interval(values, groups)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(values))
        assert bootstrap_interval(values[order], [groups[i] for i in order]) == first
    assert bootstrap_interval(values, groups, seed=1) != first


def test_excluded_samples_are_dropped_with_their_groups():
    values, groups = clustered(6)
    with_gap = np.append(values, np.nan)
    assert bootstrap_interval(with_gap, [*groups, "g0"]) == bootstrap_interval(values, groups)
    five = [str(i) for i in range(5)]
    assert bootstrap_interval([0.1, 0.2, 0.3, 0.4, 0.5], five) is not None
    assert bootstrap_interval([0.1, 0.2, 0.3, 0.4, np.nan], five) is None
    assert bootstrap_interval([0.1] * 9, ["a", "b", "c"] * 3) is None
    assert bootstrap_interval([], []) is None


def test_constant_values_have_an_interval_without_width():
    assert bootstrap_interval([0.25] * 6, list("abcdef")) == (0.25, 0.25)


def test_chunks_change_nothing(monkeypatch):
    values, groups = clustered(30)
    whole = bootstrap_interval(values, groups, resamples=1000)
    monkeypatch.setattr(stats, "_DRAWS_AT_ONCE", 70)
    assert bootstrap_interval(values, groups, resamples=1000) == whole


def test_lengths_have_to_agree():
    with pytest.raises(ValueError, match="groups"):
        bootstrap_interval([0.1, 0.2], ["a"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_groups", "measured"), [(5, 0.815), (10, 0.897), (30, 0.921), (100, 0.939)]
)
def test_coverage_is_what_the_docstring_says(n_groups, measured):
    trials = 1500
    hits = 0
    for trial in range(trials):
        low, high = bootstrap_interval(*clustered(n_groups, seed=trial), resamples=1000)
        hits += low <= 0.5 <= high
    assert hits / trials == pytest.approx(measured, abs=0.04)  # four standard errors
    assert f"{n_groups:<6} {100 * measured:.1f} %" in bootstrap_interval.__doc__
