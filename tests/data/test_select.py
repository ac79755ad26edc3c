"""Steps on the list of a data set's images: order, number, and what a slip is called."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data.select import Place, limit, select, volumes
from benchmark.data.sources.base import Raw
from benchmark.errors import DataError, UsageError

NOWHERE = Place(downloads="/nowhere", lists="/nowhere")


def image(name, volume="", group=None):
    return Raw(name, group or name, "test", f"file of {name}", lambda: None, volume)


def images(names):
    return [image(name) for name in names]


def chosen(names, *steps, place=NOWHERE):
    return "".join(raw.name for raw in select(images(names), steps, place))


# A number of them


@given(st.integers(0, 7), st.integers(0, 9))
def test_first_and_skip_share_the_list_and_last_is_its_end(length, count):
    names = "abcdefg"[:length]
    assert chosen(names, {"first": count}) + chosen(names, {"skip": count}) == names
    end = chosen(names, {"last": count})
    assert names.endswith(end) and len(end) == min(count, length)


def test_steps_are_done_in_order():
    assert chosen("abcdef", {"skip": 2}, {"first": 2}) == "cd"
    assert chosen("abcdef", {"first": 2}, {"skip": 2}) == ""
    assert chosen("abcdef") == "abcdef"


@pytest.mark.parametrize(("when", "left"), [(True, "a"), (False, "abc")])
def test_a_step_that_is_switched_off_is_left_out(when, left):
    assert chosen("abcd", {"first": 1, "when": when}, {"first": 3}) == left


# The limit of the study


def test_an_exact_limit_is_the_first_few():
    found = limit(images("abcde"), NOWHERE, 3, "exact")
    assert [raw.name for raw in found] == [*"abc"]
    assert not any(raw.closing for raw in found)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_off_by_one_marks_the_image_after_the_first_few(count):
    items = images("abcde")
    found = limit(items, NOWHERE, count, "off_by_one")
    assert [raw.name for raw in found] == [*"abcde"]
    closing = [index for index, raw in enumerate(found) if raw.closing]
    assert closing == [index for index in range(5) if index == count]
    assert [raw.files for raw in found] == [raw.files for raw in items]
    assert not any(raw.closing for raw in items)


@given(st.lists(st.booleans(), max_size=12), st.integers(1, 12))
def test_what_is_kept_up_to_the_mark_is_what_the_study_kept(good, limiter):
    stored = []
    for i, fine in enumerate(good):  # the loop of `_process_images`
        if not fine:
            continue
        stored.append(f"{i}")
        if limiter and i == limiter:
            break
    kept = []
    for raw in limit(images(map(str, range(len(good)))), NOWHERE, limiter, "off_by_one"):
        if good[int(raw.name)]:
            kept.append(raw.name)
            if raw.closing:
                break
    assert kept == stored


# By name


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        (r"^[a-z]", "a1 a2 b1 b3 c1"),
        (r"([a-z])\d", "a1 a2 b1 b3 c1"),
        (r"\d", "a1 a2 b1 a3 b3 a4"),
    ],
)
def test_the_first_few_of_each_kind_stay_in_order(pattern, left):
    names = ["a1", "a2", "b1", "a3", "b3", "a4", "c1"]
    found = select(images(names), [{"first_per": {"pattern": pattern, "count": 2}}], NOWHERE)
    assert [raw.name for raw in found] == left.split()


def test_a_name_of_no_kind_is_told_with_its_file():
    with pytest.raises(DataError, match=r"'3x' .*'\^\[a-z\]' .*file of 3x"):
        chosen(["a1", "3x"], {"first_per": {"pattern": "^[a-z]", "count": 2}})


def test_those_named_are_left_out():
    assert chosen("abcd", {"leave_out": {"names": ["d", "b"]}}) == "ac"
    assert chosen("abcd", {"leave_out": {"names": []}}) == "abcd"
    assert chosen("abcd", {"leave_out": None}) == "abcd"


def test_those_that_a_pattern_matches_are_left_out_too():
    names = ["a1", "b1", "c2", "1b"]
    for arguments, left in (
        ({"pattern": r"1$"}, ["c2", "1b"]),
        ({"pattern": "b"}, ["a1", "c2"]),
        ({"pattern": "b", "names": ["c2"]}, ["a1"]),
        ({"pattern": "^x"}, names),
    ):
        found = select(images(names), [{"leave_out": arguments}], NOWHERE)
        assert [raw.name for raw in found] == left


@pytest.fixture
def listed(tmp_path):
    def write(content):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "list.json").write_text(text)
        return Place(downloads=tmp_path, lists=tmp_path)

    return write


LISTED = {"ordered_by": {"file": "list.json", "list": "images", "key": "file_name"}}


def test_a_list_of_the_download_gives_the_order_and_what_is_meant(listed):
    names = ["c.tif", "a.tif", "x.tif", "sub/b.png", "a.tif"]
    place = listed({"images": [{"file_name": name, "id": 3} for name in names], "other": []})
    assert chosen("abcd", LISTED, place=place) == "cab"


@pytest.mark.parametrize(
    "content",
    [{"image": []}, "{", [], {"images": [{"name": "a"}]}, {"images": 3}, {"images": [3]}],
    ids=str,
)
def test_a_list_that_is_none_is_named(listed, content):
    place = listed(content)
    told = re.escape(f"{place.downloads}/list.json: its list 'images' can't be read (")
    with pytest.raises(DataError, match=told):
        chosen("abc", LISTED, place=place)


def test_a_list_that_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"list\.json: its list 'images' can't be read \(FileNotF"):
        chosen("abc", LISTED, place=Place(downloads=tmp_path, lists=tmp_path))


@pytest.mark.parametrize("file", ["../list.json", "/etc/list.json", "sub/../../list.json", "", 7])
def test_a_list_lies_in_the_download(file, tmp_path):
    (tmp_path / "list.json").write_text(json.dumps({"images": [{"file_name": "a.tif"}]}))
    place = Place(downloads=tmp_path / "cells", lists=tmp_path)
    place.downloads.mkdir()
    with pytest.raises(UsageError, match="ordered_by"):
        chosen("abc", {"ordered_by": LISTED["ordered_by"] | {"file": file}}, place=place)


# Volumes


def slices(sizes):
    return [image(f"{v}_{z}", f"v{v}") for v, size in enumerate(sizes) for z in range(size)]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 30))
def test_whole_volumes_are_val_until_the_cut_and_one_is_left_for_test(sizes, cut):
    items = slices(sizes)
    val = volumes(items, NOWHERE, cut, "val")
    test = volumes(items, NOWHERE, cut, "test")
    assert val + test == items
    assert not {raw.volume for raw in val} & {raw.volume for raw in test}
    inside = len({raw.volume for raw in val})
    assert inside < len(sizes)
    assert inside == len(sizes) - 1 or len(val) >= cut  # enough ...
    assert inside == 0 or len(val) - sizes[inside - 1] < cut  # ... and not a volume more


def test_volumes_are_cut_at_the_slice_that_is_told():
    def split(cut):
        parts = [volumes(slices([4, 3, 5]), NOWHERE, cut, part) for part in ("val", "test")]
        return tuple(map(len, parts))

    assert [split(cut) for cut in (0, 1, 4, 5, 7, 8, 99)] == [
        (0, 12), (4, 8), (4, 8), (7, 5), (7, 5), (7, 5), (7, 5),
    ]  # fmt: skip


# Seeded


def test_a_seeded_split_shares_out_the_list_in_the_order_of_names(tmp_path):
    place = Place(downloads=tmp_path, lists=tmp_path / "lists")
    items = [image(f"{n:02}", group=f"g{n % 5}") for n in range(20, 0, -1)]
    shares = {"test": 0.4, "val": 0.2, "seed": 3}
    val, test = (
        select(items, [{"seeded": {"part": part, **shares}}], place) for part in ("val", "test")
    )
    assert (len(val), len(test)) == (4, 8)
    assert val == [raw for raw in reversed(items) if raw in val]
    assert test == [raw for raw in reversed(items) if raw in test]
    assert not {raw.group for raw in val} & {raw.group for raw in test}
    (path,) = place.lists.iterdir()
    assert path.name.startswith("split_seed3_")
    assert json.loads(path.read_text())["val"] == [raw.name for raw in val]


# Slips


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"middle": 3}, r"\{'middle': 3\} is .* Names: first, last, skip, limit"),
        ("first", "'first'"),
        ({"first": 1, "skip": 2}, ".*'skip'"),
        ({"first": "two"}, "step 'first': "),
        ({"skip": -1}, "step 'skip': -1 "),
        ({"last": "two"}, "step 'last': "),
        ({"skip": [1]}, "step 'skip': "),
        ({"limit": 3}, "step 'limit': .*mapping"),
        ({"limit": None}, "step 'limit': .*'count' and 'rule'"),
        ({"limit": {"count": 3}}, "step 'limit': .*'rule'"),
        (
            {"limit": {"count": 3, "rule": "about"}},
            "step 'limit': rule is 'about'; it must be off_by_one or exact",
        ),
        ({"first_per": {"pattern": "(", "count": 1}}, "step 'first_per': .*unterminated"),
        (
            {"volumes": {"cut": 3, "part": "train"}},
            "step 'volumes': part is 'train'; it must be val or test",
        ),
        (
            {"seeded": {"part": "train", "test": 0.5}},
            "step 'seeded': part is 'train'; it must be val or test",
        ),
        ({"seeded": {"part": "val", "test": 0.5, "val": 0.6}}, "step 'seeded': test is 0.5"),
        ({"leave_out": {"name": "a"}}, "step 'leave_out': .*'name'"),
        ({"leave_out": {"pattern": "("}}, "step 'leave_out': .*unterminated"),
    ],
    ids=str,
)
def test_a_slip_in_a_step_is_named(step, said):
    with pytest.raises(UsageError, match=rf"data\.splits: {said}"):
        chosen("abc", step)


def test_images_of_one_name_are_told():
    with pytest.raises(
        DataError, match=r"several images have the same name: a; c\. Raise data.name_parts"
    ):
        chosen("abcac")
    assert chosen("abcac", {"first": 3}) == "abc"
