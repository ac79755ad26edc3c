"""Cross-family agreement: one vote for each other family; copies of a model change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.stats.agreement import (
    NEAR_COPIES,
    agreement_of_samples,
    cross_family,
    mean_matrix,
    ranks_of_families,
)


def symmetric(rng, samples, methods, high=0.85):
    values = rng.random((samples, methods, methods)) * high
    values = (values + values.transpose(0, 2, 1)) / 2
    values[:, np.arange(methods), np.arange(methods)] = np.nan
    return values


def by_hand(values, families):
    """The definition, of families without near copies, number by number."""
    out = np.empty(values.shape[:2])
    for s in range(values.shape[0]):
        for m, own in enumerate(families):
            votes = [
                np.mean([values[s, m, o] for o, f in enumerate(families) if f == family])
                for family in sorted(set(families) - {own})
            ]
            out[s, m] = np.mean(votes)
    return out


@st.composite
def cases(draw):
    """Agreements of several methods in at least three families."""
    families = [*"abc", *draw(st.lists(st.sampled_from("abcd"), max_size=4))]
    samples = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return symmetric(rng, samples, len(families)), families, rng


@settings(max_examples=60, deadline=None)
@given(cases())
def test_it_is_the_mean_over_other_families_of_the_mean_over_their_members(case):
    values, families, _ = case
    np.testing.assert_allclose(cross_family(values, families), by_hand(values, families))


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(1, 6), st.floats(0, 0.02))
def test_near_copies_of_a_model_move_no_other_familys_rank(case, copies, noise):
    values, families, rng = case
    model = int(rng.integers(len(families)))
    size = len(families) + copies
    more = np.full((len(values), size, size), np.nan)
    source = [*range(len(families)), *[model] * copies]
    for i in range(size):
        for j in range(i):
            near = source[i] == source[j]
            same = np.full(len(values), 0.97) if near else values[:, source[i], source[j]]
            shift = 0 if j < len(families) > i else noise * (rng.random(len(values)) - 0.5)
            more[:, i, j] = more[:, j, i] = np.clip(same + shift, 0, 1)
    with_copies = [*families, *[families[model]] * copies]
    before = cross_family(values, families).mean(0)
    after = cross_family(more, with_copies).mean(0)

    others = [i for i, family in enumerate(families) if family != families[model]]
    np.testing.assert_allclose(after[others], before[others], atol=noise / 2 + 1e-12)
    # Ranks can move only between families that were equal up to the noise.
    best = {f: max(v for v, g in zip(before, families, strict=True) if g == f) for f in families}
    apart = np.diff(sorted(best.values())).min()
    if apart > 2 * noise + 1e-9:
        old = ranks_of_families(before.tolist(), families)
        new = ranks_of_families(after.tolist(), with_copies)
        assert [new[i] for i in others] == [old[i] for i in others]


def test_a_plain_mean_would_be_moved_by_copies():
    # Two families agree on the truth; the third, wrong, comes alone or with four copies.
    families = ["a", "b", "c"]
    values = np.full((1, 3, 3), 0.2)
    values[0, 0, 1] = values[0, 1, 0] = 0.6
    source = [0, 1, 2, 2, 2, 2, 2]
    many = values[:, source][:, :, source]
    many[0][np.equal.outer(source, source)] = 0.99
    many[0][np.diag_indices(7)] = np.nan
    voted = cross_family(many, [families[i] for i in source])[0]
    np.testing.assert_allclose(voted, [0.4, 0.4, *[0.2] * 5])
    plain = np.nanmean(many[0], axis=1)
    assert plain[2] > plain[0], "this is what votes by families are for"


def test_distinct_members_of_a_family_count_each_and_near_copies_once():
    families = ["a", "b", "b", "b"]
    values = np.full((1, 4, 4), np.nan)

    def put(i, j, value):
        values[0, i, j] = values[0, j, i] = value

    put(0, 1, 0.8), put(0, 2, 0.8), put(0, 3, 0.2)
    put(1, 2, NEAR_COPIES), put(1, 3, 0.3), put(2, 3, 0.3)
    assert cross_family(values, families)[0, 0] == pytest.approx(0.5)
    put(1, 2, NEAR_COPIES - 0.01)
    assert cross_family(values, families)[0, 0] == pytest.approx(0.6)


def test_what_can_not_be_compared_is_left_out_of_means():
    values = symmetric(np.random.default_rng(0), 2, 3)
    values[0, 0, 1] = values[0, 1, 0] = np.nan
    families = ["a", "b", "c"]
    assert cross_family(values, families)[0, 0] == values[0, 0, 2]
    assert mean_matrix(values)[0, 1] == values[1, 0, 1]
    values[0] = np.nan
    assert np.isnan(agreement_of_samples(values, families)[0])
    assert np.isnan(cross_family(values, ["a", "a", "a"])).all()


def test_families_are_ranked_by_their_best_member():
    nan = float("nan")
    values, families = [0.5, 0.9, 0.7, 0.7, nan, 0.6], ["a", "b", "b", "c", "d", "a"]
    assert ranks_of_families(values, families) == [None, 1, None, 2, None, 3]
    assert ranks_of_families([0.5, 0.5], ["a", "b"]) == [1, 1]


def test_samples_are_compared_between_families_and_within_a_single_one():
    values = symmetric(np.random.default_rng(1), 5, 4)
    within = agreement_of_samples(values, ["a"] * 4)
    np.testing.assert_allclose(within, np.nanmean(values.reshape(5, -1), axis=1))
    assert agreement_of_samples(values[:0], ["a"] * 4).shape == (0,)
    two = agreement_of_samples(values, ["a", "a", "b", "b"])
    np.testing.assert_allclose(two, values[:, :2, 2:].mean((1, 2)))
