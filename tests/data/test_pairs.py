"""Lists of images and labels that a loader found: they pair by name, or the file is named."""

from pathlib import Path

import pytest
from helpers.messages import assert_names
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data.sources.pairs import check_pairs
from benchmark.errors import DataError


def paths(*names):
    return [Path("/data", name) for name in names]


def many(pattern, numbers):
    return paths(*(pattern.format(number) for number in numbers))


def check(images, labels, by_order=False):
    check_pairs("cells", images, labels, by_order=by_order)


def refusal(images, labels, by_order=False):
    with pytest.raises(DataError) as error:
        check(images, labels, by_order)
    said = str(error.value)
    assert said.startswith(
        f"data 'cells': {len(images)} images and {len(labels)} label images don't pair"
    )
    assert said.endswith("set data.pairing=order.")
    return said


# What pairs


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("im/{}.tif", "la/{}.tif"),
        ("im/{}.tif", "la/{}.png"),
        ("{}_img.tif", "{}_mask.tif"),
        ("im/img_{}.tif", "la/{}_mask_of_it.tif"),
        ("raw-{}.ome.tif", "truth.{}.tif"),
        ("set{}/raw.tif", "set{}/instances_ids.png"),
        ("set{}/raw.tif", "labels/{}.tif"),
        ("{}/images/a.tif", "{}/masks/b.tif"),
        ("im/{}.tif", "la/of_{0}_all/{0}.tif"),
    ],
)
@pytest.mark.parametrize("numbers", [(1, 2), (1, 2, 10), ("a", "b", "ab"), ("08", "09", "10")])
def test_what_all_names_have_in_common_does_not_count(images, labels, numbers):
    check(many(images, numbers), many(labels, numbers))


@given(
    st.sets(st.text("ab1_", min_size=1, max_size=4), min_size=1, max_size=8).map(sorted),
    st.text("xy-", max_size=3),
    st.text("xy-", max_size=3),
)
def test_names_with_anything_around_them_pair(names, before, after):
    check(many("im/{}.tif", names), many(f"la/{before}{{}}{after}.tif", names))


def test_a_folder_for_each_image_lies_beside_a_folder_of_many():
    images = paths("set1/raw.tif", "set2/raw.tif", "many/a_img.tif", "many/b_img.tif")
    labels = paths("set1/ids.png", "set2/ids.png", "truth/a.tif", "truth/b.tif")
    check(images, labels)
    said = refusal(images, paths("set1/ids.png", "set2/ids.png", "truth/b.tif", "truth/a.tif"))
    assert_names(said, "/data/many/a_img.tif", "/data/truth/b.tif")
    said = refusal(images, paths("set2/ids.png", "set1/ids.png", "truth/a.tif", "truth/b.tif"))
    assert_names(said, "/data/set1/raw.tif", "/data/set2/ids.png")


def test_equal_names_pair_wherever_they_lie():
    check(paths("im/a.tif", "im/b.tif", "c.tif"), paths("x/y/a.png", "z/b.tif", "la/c.tif"))


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_pair(count):
    check(many("im/{}.tif", "a"[:count]), many("la/{}.tif", "b"[:count]))


# What does not


@pytest.mark.parametrize("label", ["la/t{:02}_img.tif", "t{:02}_mask.tif"])
def test_the_missing_file_is_named_where_the_others_have_more_in_common(label):
    said = refusal(many("t{:02}_img.tif", range(1, 11)), many(label, range(1, 10)))
    assert "names: /data/t10_img.tif has no label image. Correct" in said


@pytest.mark.parametrize("gone", [4, 7])
def test_an_image_without_its_label_is_named(gone):
    numbers = range(1, 11)
    labels = many("la/t{:02}_mask.tif", (n for n in numbers if n != gone))
    said = refusal(many("im/t{:02}.tif", numbers), labels)
    assert f"names: /data/im/t{gone:02}.tif has no label image. Correct" in said


@pytest.mark.parametrize("gone", [4, 7])
def test_a_label_without_its_image_is_named(gone):
    numbers = range(1, 11)
    images = many("im/t{:02}.tif", (n for n in numbers if n != gone))
    said = refusal(images, many("la/t{:02}_mask.tif", numbers))
    assert f"names: /data/la/t{gone:02}_mask.tif has no image. Correct" in said


def test_a_folder_without_its_label_is_named():
    said = refusal(many("set{}/raw.tif", (1, 2, 10)), many("set{}/ids.png", (1, 2)))
    assert "names: /data/set10/raw.tif has no label image. Correct" in said


def test_one_missing_on_either_side_is_two_names():
    said = refusal(
        paths("im/a.tif", "im/b.tif", "im/c.tif"), paths("a_m.tif", "c_m.tif", "d_m.tif")
    )
    assert "names: /data/d_m.tif has no image; /data/im/b.tif has no label image. Correct" in said


@pytest.mark.parametrize("side", [0, 1])
def test_nothing_on_one_side_is_refused(side):
    lists = [paths("im/a.tif", "im/b.tif"), []]
    said = refusal(lists[side], lists[1 - side])
    assert f"/data/im/a.tif has no {('label image', 'image')[side]}" in said


@pytest.mark.parametrize("label", ["la/t{}.tif", "la/t{}_mask.tif", "set{}/ids.tif"])
@pytest.mark.parametrize("numbers", [range(11, 29), range(10, 20), range(8, 11)])
@pytest.mark.parametrize("shift", [1, 3, -1, 10, 100])
def test_equal_numbers_that_are_shifted_are_refused(label, numbers, shift):
    image = "set{}/raw.tif" if "set" in label else "im/t{}.tif"
    check(many(image, numbers), many(label, numbers))
    refusal(many(image, numbers), many(label, (number + shift for number in numbers)))


def test_names_in_another_order_are_refused_at_the_first():
    said = refusal(many("im/{}.tif", "abcd"), many("la/{}_m.tif", "acbd"))
    assert "names: /data/im/b.tif would be paired with /data/la/c_m.tif. Correct" in said


@given(st.permutations([1, 2, 3, 10, 11, 20]))
def test_no_order_passes_but_the_right_one(order):
    images, labels = many("im/{}_img.tif", sorted(order)), many("la/m{}.tif", order)
    if order == sorted(order):
        check(images, labels)
    else:
        refusal(images, labels)


def test_an_image_twice_is_told_though_each_has_a_partner():
    said = refusal(paths("im/a.tif", "im/b.tif", "im/b.tif"), paths("la/a.tif", "la/b.tif"))
    assert "/data/im/b.tif or /data/la/b.tif is there twice" in said


def test_of_many_only_some_are_named():
    said = refusal(many("im/{}.tif", "abcdefghi"), many("la/{}_m.tif", "ab"))
    assert said.count(" has no label image") == 5 and "; and 2 more. Correct" in said


# Trusting the order


def test_order_is_trusted_where_the_numbers_agree():
    images, labels = many("im/{}.tif", "abc"), many("la/{}.tif", "xbz")
    refusal(images, labels)
    check(images, labels, by_order=True)


@pytest.mark.parametrize("labels", ["ab", "abcd"])
def test_order_is_not_trusted_where_the_numbers_differ(labels):
    refusal(many("im/{}.tif", "abc"), many("la/{}.tif", labels), by_order=True)


# Folders of many


MIXED = ["set1/raw.tif", "set2/raw.tif", "many/a.tif", "many/b.tif"]


def test_a_folder_for_each_image_lies_beside_one_of_equal_names():
    check(paths(*MIXED), paths("set1/ids.png", "set2/ids.png", "truth/a.tif", "truth/b.tif"))


def test_a_folder_is_no_file_of_its_name():
    images = many("{}/raw.tif", (2, 10)) + many("more/{}.tif", (2, 10))
    check(images, many("{}/ids.png", (2, 10)) + many("truth/{}.tif", (2, 10)))


@pytest.mark.parametrize("numbers", [(2, 3, 4), (3, 1, 2)])
def test_a_folder_for_each_image_counts_where_all_files_have_one_name(numbers):
    check(many("im/{}/data.tif", (1, 2, 3)), many("la/{}/data.tif", (1, 2, 3)))
    refusal(many("im/{}/data.tif", (1, 2, 3)), many("la/{}/data.tif", numbers))


DAYS = ["day1/a.tif", "day1/b.tif", "day2/a.tif", "day2/b.tif"]


def test_folders_of_equal_names_in_another_order_are_refused():
    refusal(many("im/{}", DAYS), many("la/{}", DAYS[2:] + DAYS[:2]))


def test_folders_of_equal_names_pair():
    check(many("im/{}", DAYS), many("la/{}", DAYS))
