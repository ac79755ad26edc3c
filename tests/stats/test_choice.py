"""The choice of the best of many: when its gain is real, and when it is the luck of many tries."""

import numpy as np
import pytest

from benchmark.stats.choice import choose, delivered


def scores_of(rng, images=24, points=40, spread=0.05):
    """Scores of images that differ more than points do; skewed, as scores near 1 are."""
    level = rng.beta(6, 2, (images, 1))
    return level - spread * rng.exponential(size=(images, points))


GROUPS = {
    "six": [str(n % 6) for n in range(24)],
    "eight uneven": [str(min(n, 7)) for n in range(24)],
    "24": [str(n) for n in range(24)],
}


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
def test_of_permuted_scores_the_default_is_kept(groups):
    rng = np.random.default_rng(3)
    kept = promised = 0
    for _ in range(400):
        choice = choose(rng.permuted(scores_of(rng), axis=1), groups)
        kept += choice.of_rule("safe") == 0
        promised += choice.gain > 0
    assert promised > 380  # the best of 40 nearly always promises something
    assert kept >= 0.95 * 400


@pytest.mark.parametrize("groups", [GROUPS["six"], GROUPS["eight uneven"]], ids=["six", "eight"])
def test_of_permuted_scores_folds_deliver_nothing(groups):
    """The best points promise a gain, folds deliver none, and the safe rule keeps the default."""
    rng = np.random.default_rng(6)
    covered = kept = 0
    gains, promised = [], []
    for _ in range(400):
        scores = rng.permuted(scores_of(rng), axis=1)
        nested = delivered(scores, groups, "best", 5)
        covered += nested.low <= 0 <= nested.high
        gains.append(nested.gain)
        promised.append(choose(scores, groups).gain)
        safe = delivered(scores, groups, "safe", 3)
        kept += safe.gain == 0 == safe.low
    assert covered >= 0.95 * 400 and kept >= 0.95 * 400
    error = np.std(gains) / 20
    assert abs(np.mean(gains)) < 3 * error and np.mean(promised) > 10 * error


def test_folds_deliver_a_real_gain_on_images_that_did_not_choose():
    rng = np.random.default_rng(7)
    groups = [str(n % 12) for n in range(24)]
    scores = scores_of(rng, points=20)
    scores[:, 13] = scores[:, 0] + rng.normal(0.1, 0.02, 24)
    nested = delivered(scores, groups, "safe", 4)
    assert nested.chosen == (13,) * 4 and nested.gain == pytest.approx(
        (scores[:, 13] - scores[:, 0]).mean()
    )
    assert 0 < nested.low < nested.gain < nested.high


def test_a_group_never_chooses_for_itself():
    """Each group has a candidate of its own that is far ahead on it, and behind on all others."""
    scores = np.c_[np.zeros(12), np.kron(np.eye(6) * 12 - 1, np.ones((2, 1)))]
    groups = [str(n // 2) for n in range(12)]
    assert choose(scores, groups).gain > 0
    assert delivered(scores, groups, "best", 6).gain == pytest.approx(-1)
    with pytest.raises(ValueError, match="7 folds of 6 groups"):
        delivered(scores, groups, "best", 7)


def test_of_candidates_that_cant_be_told_apart_the_nearest_is_safe():
    rng = np.random.default_rng(8)
    groups = [str(n) for n in range(24)]
    default = rng.uniform(0.3, 0.6, 24)
    gain = np.array([0.2, 0.2, 0.199, 0.1])
    scores = np.c_[default, default[:, None] + gain + rng.normal(0, 0.01, (24, 4))]
    choice = choose(scores, groups, [0, 9, 8, 3, 1])
    assert choice.best in (1, 2, 3) and choice.safe == 3, "the last is far nearer, and worse"
    assert 0 < choice.safe_lower < choice.safe_gain <= choice.gain
    assert choice.of_rule("best") == choice.best and choice.of_rule("safe") == 3


@pytest.mark.parametrize("count", (8, 24))
def test_a_real_gain_is_chosen(count):
    rng = np.random.default_rng(4)
    groups = [str(n % count) for n in range(24)]
    found = []
    for _ in range(20):
        scores = scores_of(rng, points=20)
        scores[:, 5:10] -= 0.4  # far worse candidates hide nothing
        scores[:, 13] = scores[:, 0] + rng.normal(0.1, 0.02, 24)
        choice = choose(scores, groups)
        assert choice.lower < choice.gain
        found.append((choice.best, choice.of_rule("safe")))
    assert found.count((13, 13)) >= 18


def test_with_five_groups_no_gain_is_shown_to_be_real():
    scores = np.c_[np.zeros(10), np.ones(10)]
    five = choose(scores, [str(n % 5) for n in range(10)])
    assert five.lower is None and five.of_rule("safe") == 0 and five.of_rule("best") == 1
    assert choose(scores, [str(n % 6) for n in range(10)]).of_rule("safe") == 1


def test_of_equal_candidates_the_nearest_is_the_best():
    scores = np.tile([0.5, 0.7, 0.7, 0.7, 0.6], (8, 1))
    assert choose(scores, list("abcdefgh"), distance=[0, 3, 1, 2, 1]).best == 2
    assert choose(scores[:, [0, 0, 4]] * [1, 1, 0.5], list("abcdefgh")).best == 0


def test_the_order_of_images_has_no_effect():
    rng = np.random.default_rng(5)
    scores, groups = scores_of(rng), np.array(GROUPS["eight uneven"])
    order = rng.permutation(24)
    one, other = choose(scores, groups), choose(scores[order], groups[order])
    assert (one.best, one.differs) == (other.best, other.differs)
    assert one.lower == pytest.approx(other.lower)


def test_the_gain_is_the_mean_over_images_and_a_tie_is_no_other_choice():
    groups = ["a", "a", "a", "b"]
    choice = choose([[0, 0.2, 0.2], [0, 0.2, 0.2], [0, 0.2, 0.2], [0, 0.6, 0.6]], groups)
    assert choice.gain == pytest.approx(0.3) and choice.differs == 0 and choice.groups == 2


@pytest.mark.parametrize("scores", ([], [[np.nan, 1.0]], np.zeros((1, 0)), [[0.0], [1.0]]))
def test_scores_that_are_none_are_refused(scores):
    with pytest.raises(ValueError):
        choose(scores, ["a"])
