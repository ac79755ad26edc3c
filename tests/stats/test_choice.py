"""The choice of the best of many: when its gain is real, and when it is the luck of many tries."""

import numpy as np
import pytest

from benchmark.stats.choice import choose


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
