"""A seeded split: the same for everybody, whole groups, and obeyed once it is written down."""

import json
import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers.messages import assert_names
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data.seeded import seeded_split
from benchmark.errors import DataError, StoreError

MICE = {f"m{n % 5}_{n:02}": f"m{n % 5}" for n in range(15)}

groupings = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40).map(
    lambda groups: {f"i{number:02}": group for number, group in enumerate(groups)}
)
shares = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(
    lambda parts: (parts[0] / 20, min(parts[1], 20 - parts[0]) / 20)
)


def split_of(groups, test, val, seed=0):
    """A split in a folder where none has been."""
    with TemporaryDirectory() as folder:
        return seeded_split(groups, Path(folder), test=test, val=val, seed=seed)


# What is drawn


def test_the_split_is_the_same_for_everybody(tmp_path):
    # `printf 1:m0 | sha256sum` and so on: m4 145e, m1 2e59, m3 4c6c, m0 b31a, m2 dcc0.
    assert seeded_split(MICE, tmp_path, test=0.4, val=0.2, seed=1) == {
        "val": ["m4_04", "m4_09", "m4_14"],
        "test": ["m1_01", "m1_06", "m1_11", "m3_03", "m3_08", "m3_13"],
        "train": ["m0_00", "m0_05", "m0_10", "m2_02", "m2_07", "m2_12"],
    }


@settings(deadline=None)
@given(groupings, shares, st.integers(0, 3))
def test_groups_stay_whole_and_every_image_is_in_one_part(groups, share, seed):
    split = split_of(groups, *share, seed)
    assert [*split] == ["val", "test", "train"]
    assert sorted(name for names in split.values() for name in names) == sorted(groups)
    parts = [{groups[name] for name in names} for names in split.values()]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert all(names == sorted(names) for names in split.values())


@settings(deadline=None)
@given(groupings, shares)
def test_a_part_is_no_further_from_its_share_than_a_group_is_large(groups, share):
    split = split_of(groups, *share)
    largest = max(Counter(groups.values()).values())
    for part, wanted in zip(("test", "val"), share, strict=True):
        assert abs(len(split[part]) - wanted * len(groups)) <= largest - 0.5 + 1e-6


@settings(deadline=None)
@given(st.integers(1, 40), shares)
def test_where_each_image_is_its_own_group_the_shares_are_exact(count, share):
    split = split_of({f"i{n}": f"g{n}" for n in range(count)}, *share)
    for part, wanted in zip(("test", "val"), share, strict=True):
        assert abs(len(split[part]) - wanted * count) <= 0.5 + 1e-6


@settings(deadline=None)
@given(groupings, st.integers(0, 20))
def test_shares_of_one_in_all_leave_no_rest(groups, twentieths):
    split = split_of(groups, twentieths / 20, 1 - twentieths / 20)
    assert split["train"] == []


@pytest.mark.parametrize("test", [0.5, 0.5 - 2**-54])
def test_what_rounding_leaves_is_tests(test):
    split = split_of({f"i{n}": f"g{n}" for n in range(3)}, test, 0.5)
    assert [*map(len, split.values())] == [1, 2, 0]


@settings(deadline=None)
@given(groupings, shares, st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(groups, share, rng: random.Random):
    shuffled = list(groups.items())
    rng.shuffle(shuffled)
    assert split_of(dict(shuffled), *share) == split_of(groups, *share)


def test_no_share_is_no_image():
    split = split_of(MICE, 0, 0)
    assert split["val"] == split["test"] == [] and len(split["train"]) == len(MICE)


def test_another_seed_is_another_split():
    assert len({str(split_of(MICE, 0.4, 0.2, seed)) for seed in range(5)}) > 2


def test_a_group_is_drawn_by_its_name_and_not_by_those_of_its_images():
    renamed = {name.replace("_", "-image-"): group for name, group in MICE.items()}
    split = split_of(renamed, 0.4, 0.2)
    assert [name.replace("-image-", "_") for name in split["test"]] == (
        split_of(MICE, 0.4, 0.2)["test"]
    )


@pytest.mark.parametrize(("test", "val"), [(-0.1, 0.5), (0.5, -0.1), (0.6, 0.5), (1.1, 0)])
def test_shares_that_are_none_are_refused(tmp_path, test, val):
    with pytest.raises(ValueError, match=f"test is {test}, val is {val}: shares of the images"):
        seeded_split(MICE, tmp_path, test=test, val=val, seed=0)
    assert not any(tmp_path.iterdir())


# The list that is kept


def kept(lists):
    (path,) = lists.iterdir()
    return path


def test_the_list_is_kept_as_json_under_a_name_that_says_how_it_was_made(tmp_path):
    lists = tmp_path / "a" / "b"
    split = seeded_split(MICE, lists, test=0.4, val=0.25, seed=7)
    assert kept(lists).name == "split_seed7_val0.25_test0.4.json"
    assert json.loads(kept(lists).read_text()) == split
    assert kept(lists).read_text().endswith("]\n}\n")


def test_the_list_holds_once_it_is_there(tmp_path):
    seeded_split(MICE, tmp_path, test=0.4, val=0.2, seed=0)
    edited = {
        "val": ["m0_00"],
        "test": ["m0_05"],
        "train": sorted(MICE.keys() - {"m0_00", "m0_05"}),
    }
    kept(tmp_path).write_text(json.dumps(edited))
    assert seeded_split(MICE, tmp_path, test=0.4, val=0.2, seed=0) == edited


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"val": 0.3}, {"test": 0.5}, {"test": 0.2, "val": 0.4}], ids=str
)
def test_other_shares_or_another_seed_have_a_list_of_their_own(tmp_path, other):
    asked = {"test": 0.4, "val": 0.2, "seed": 0}
    seeded_split(MICE, tmp_path, **asked)
    first = kept(tmp_path)
    before = first.read_bytes()
    assert seeded_split(MICE, tmp_path, **asked | other) == split_of(MICE, **asked | other)
    assert len([*tmp_path.iterdir()]) == 2 and first.read_bytes() == before


def test_images_that_the_list_does_not_know_are_an_error_that_names_it(tmp_path):
    seeded_split(MICE, tmp_path, test=0.4, val=0.2, seed=0)
    more = MICE | {"m9_99": "m9", "m9_98": "m9"}
    with pytest.raises(DataError) as error:
        seeded_split(more, tmp_path, test=0.4, val=0.2, seed=0)
    assert_names(str(error.value), kept(tmp_path), "m9_98", "m9_99")
    assert "remove it" in str(error.value)


def test_images_that_are_gone_leave_the_others_where_they_are(tmp_path):
    whole = seeded_split(MICE, tmp_path, test=0.4, val=0.2, seed=0)
    before = kept(tmp_path).read_bytes()
    fewer = {name: group for name, group in MICE.items() if name > "m1_99"}
    found = seeded_split(fewer, tmp_path, test=0.4, val=0.2, seed=0)
    assert found == {part: [n for n in names if n in fewer] for part, names in whole.items()}
    assert kept(tmp_path).read_bytes() == before


BROKEN = ["{", "[]", '{"val": [], "test": []}', "3", b"\xff"]


@pytest.mark.parametrize("content", BROKEN, ids=repr)
def test_a_list_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "split_seed0_val0.2_test0.4.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as error:
        seeded_split(MICE, tmp_path, test=0.4, val=0.2, seed=0)
    assert f"{path} can't be read (" in str(error.value)
    assert "Remove it" in str(error.value)


@pytest.mark.parametrize("content", ["null", "3", '[["m0_00"]]'])
def test_a_list_whose_parts_are_no_lists_of_names_is_named(tmp_path, content):
    path = tmp_path / "split_seed0_val0.2_test0.4.json"
    path.write_text(f'{{"val": {content}, "test": [], "train": []}}')
    with pytest.raises(DataError, match="can't be read"):
        seeded_split(MICE, tmp_path, test=0.4, val=0.2, seed=0)


def test_a_list_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "lists").write_text("in the way")
    with pytest.raises(StoreError, match=str(tmp_path)):
        seeded_split(MICE, tmp_path / "lists", test=0.4, val=0.2, seed=0)
