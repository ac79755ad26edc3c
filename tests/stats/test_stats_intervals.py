"""Bootstrap intervals: as by hand, as theory has them, and none where too little is known."""

import time

import numpy as np
import pytest

from benchmark.stats import bootstrap_interval, interval, permutation
from benchmark.stats.permutation import sign_flip_p


def clustered(n_groups, seed=0, images=(1, 21)):
    """Values around 0.5 with group effects, and the group of each."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), rng.integers(*images, n_groups))
    values = 0.5 + rng.normal(0, 0.15, n_groups)[group] + rng.normal(0, 0.1, len(group))
    return values, [f"g{i:03d}" for i in group]


def bootstrap_t_by_hand(values, groups, drawn):
    """The method as its docstring tells it, image by image."""
    names = sorted(set(groups))
    of = {name: [v for v, g in zip(values, groups, strict=True) if g == name] for name in names}

    def ratio_and_error(members):
        images = [v for name in members for v in of[name]]
        mean = sum(images) / len(images)
        residuals = [sum(of[name]) - mean * len(of[name]) for name in members]
        variance = sum(r * r for r in residuals) * len(members) / (len(members) - 1)
        return mean, variance**0.5 / len(images)

    mean, error = ratio_and_error(names)
    least = 0.2 * error
    ts = []
    for row in drawn:
        drawn_mean, drawn_error = ratio_and_error([names[i] for i in row])
        ts.append((drawn_mean - mean) / max(drawn_error, least))
    left_out = [np.mean([v for n in names if n != name for v in of[n]]) for name in names]
    n = len(names)
    jackknife = ((n - 1) / n * sum((m - mean) ** 2 for m in left_out)) ** 0.5
    low, high = np.quantile(ts, [0.025, 0.975])
    ends = mean - high * jackknife, mean - low * jackknife
    return tuple(float(np.clip(end, min(values), max(values))) for end in ends)


@pytest.mark.parametrize("n_groups", [5, 9, 30])
def test_interval_is_the_one_by_hand(n_groups):
    values, groups = clustered(n_groups, seed=n_groups)
    drawn = np.random.default_rng(3).integers(n_groups, size=(300, n_groups), dtype=np.uint16)
    ours = bootstrap_interval(values, groups, seed=3, resamples=300)
    # The jackknife of a ratio, linearised or not, is the same to its own precision.
    assert ours == pytest.approx(bootstrap_t_by_hand(values, groups, drawn), rel=1e-9)


def test_agrees_with_theory_for_many_independent_images():
    values = np.random.default_rng(1).normal(0.6, 0.1, 400)
    low, high = bootstrap_interval(values, [str(i) for i in range(400)])
    half = 1.966 * values.std(ddof=1) / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=5e-4)
    assert high == pytest.approx(values.mean() + half, abs=5e-4)


def test_is_the_mean_over_images_not_over_groups():
    # Ten groups of nine images around 0.2 beside ten of a single one around 0.9: the mean over
    # images is 0.27, that over groups 0.55.
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.2, 0.05, 90), rng.normal(0.9, 0.05, 10)])
    groups = [f"big{i // 9}" for i in range(90)] + [f"g{i}" for i in range(10)]
    low, high = bootstrap_interval(values, groups)
    assert low < values.mean() < high < 0.5


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


def test_scales_and_mirrors_with_the_scores():
    values, groups = clustered(12)
    low, high = bootstrap_interval(values, groups)
    assert bootstrap_interval(1 - values, groups) == pytest.approx((1 - high, 1 - low))
    assert bootstrap_interval(3 * values - 1, groups) == pytest.approx((3 * low - 1, 3 * high - 1))


def test_excluded_samples_are_dropped_with_their_groups():
    values, groups = clustered(6)
    with_gap = np.append(values, np.nan)
    assert bootstrap_interval(with_gap, [*groups, "g000"]) == bootstrap_interval(values, groups)
    five = [str(i) for i in range(5)]
    assert bootstrap_interval([0.1, 0.2, 0.3, 0.4, 0.5], five) is not None
    assert bootstrap_interval([0.1, 0.2, 0.3, 0.4, np.nan], five) is None
    assert bootstrap_interval([0.1] * 9, ["a", "b", "c"] * 3) is None
    assert bootstrap_interval([], []) is None


def test_constant_values_have_an_interval_without_width():
    for value in (0.25, 0.0, 1.0, 0.1):
        assert bootstrap_interval([value] * 6, list("abcdef")) == (value, value)


def test_stays_within_the_scores_seen():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = rng.beta(0.3, 0.05, 8)  # most of them next to 1
        low, high = bootstrap_interval(values, list("abcdefgh"), resamples=500)
        assert values.min() <= low <= values.mean() <= high <= values.max()


def test_one_image_of_many_does_not_blow_the_interval_up():
    values = [0.0] * 99 + [1.0]
    low, high = bootstrap_interval(values, [str(i) for i in range(100)])
    assert low == 0
    # Of one success in 100 the exact (Clopper-Pearson) interval ends at 0.0545.
    assert high == pytest.approx(0.0545, abs=0.015)


def test_memory_is_bounded(monkeypatch):
    values, groups = clustered(30)
    drawn = []
    studentise = interval._studentise
    monkeypatch.setattr(interval, "_DRAWS_AT_ONCE", 700)
    monkeypatch.setattr(
        interval, "_studentise", lambda *args: drawn.append(args[-1].size) or studentise(*args)
    )
    low, high = bootstrap_interval(values, groups, resamples=1000)
    assert (sum(drawn), max(drawn)) == (30_000, 690)
    assert low < values.mean() < high


def test_lengths_have_to_agree():
    with pytest.raises(ValueError, match="groups"):
        bootstrap_interval([0.1, 0.2], ["a"])


def test_five_hundred_images_take_no_time_worth_mentioning():
    values = np.random.default_rng(0).beta(5, 2, 500)
    groups = [str(i) for i in range(500)]
    bootstrap_interval(values, groups)  # compiles
    start = time.process_time()
    for _ in range(5):
        bootstrap_interval(values, groups)
    assert (time.process_time() - start) / 5 < 0.3  # some 0.03 s; other processes share the caches


@pytest.mark.parametrize(
    ("module", "limit"), [(interval, "_DRAWS_KEPT"), (permutation, "_EIGHTS_KEPT")]
)
def test_draws_that_are_kept_change_no_number(module, limit, monkeypatch):
    several = [clustered(n_groups, seed) for n_groups in (30, 31) for seed in (0, 1)]

    def numbers():
        return [
            (bootstrap_interval(*one), bootstrap_interval(*one, seed=1), sign_flip_p(one[0]))
            for one in several
        ]

    module._kept_draws.cache_clear()
    kept = numbers()
    assert module._kept_draws.cache_info().currsize and kept == numbers()
    monkeypatch.setattr(module, limit, 0)
    monkeypatch.setattr(module, "_kept_draws", None)
    assert numbers() == kept


@pytest.mark.parametrize(
    "compute", [lambda v, g: bootstrap_interval(v, g), lambda v, g: sign_flip_p(v)]
)
def test_intervals_and_tests_of_as_many_groups_share_their_draws(compute, monkeypatch):
    begun, make = [], np.random.default_rng
    for module in (interval, permutation):
        module._kept_draws.cache_clear()
    values, groups = clustered(40)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: begun.append(seed) or make(seed))
    compute(values, groups)
    compute(values[::-1] ** 2, groups[::-1])
    assert begun == [0]
