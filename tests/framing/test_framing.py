"""What tile, halo and rescale ask for: checked, and resolved on the images of a data set."""

import pytest

from benchmark.errors import UsageError
from benchmark.framing.framing import Framing, Request

LARGE, SMALL = (3000, 500, 3), (512, 512)


@pytest.mark.parametrize(
    "given",
    [
        {"tile": "on"}, {"tile": 512}, {"tile": [512]}, {"tile": [512, 512, 3]}, {"tile": [0, 512]},
        {"tile": [512, -1]}, {"tile": [512.0, 512]}, {"tile": ["512", "512"]}, {"tile": True},
        {"tile": [True, True]}, {"tile": {"rows": 512}}, {"tile": []}, {"tile": float("nan")},
        {"tile": "auto", "halo": "64"}, {"tile": "auto", "halo": [-1, 64]},
        {"tile": "auto", "halo": 64}, {"tile": "auto", "halo": [64]},
        {"tile": "auto", "halo": True},
        {"tile": [512, 512], "halo": [64.5, 64]},
        {"rescale": 0}, {"rescale": -1}, {"rescale": "half"}, {"rescale": True},
        {"rescale": float("nan")}, {"rescale": float("inf")}, {"rescale": 1e9}, {"rescale": 1e-9},
        {"rescale": [0.5]}, {"rescale": {}}, {"rescale": {"diameter": 0}},
        {"rescale": {"diameter": "30"}}, {"rescale": {"diametre": 30}},
        {"rescale": {"diameter": 30, "other": 1}}, {"rescale": {"diameter": None}},
    ],
)  # fmt: skip
def test_an_invalid_value_is_one_message_that_names_the_key_and_an_example(given):
    key = [*given][-1]
    with pytest.raises(UsageError, match=rf"^model\.{key} is .*such as|^model\.{key} is .*: ") as e:
        Request.of(given, "off")
    assert f"model.{key}=" in str(e.value)


@pytest.mark.parametrize("halo", [[65, 10], [10, 65]])
def test_a_halo_larger_than_its_tile_is_refused(halo):
    with pytest.raises(UsageError, match=r"larger than the tile, \[64,64\]"):
        Request.of({"tile": [64, 64], "halo": halo}, "off")
    assert Request.of({"tile": [64, 64], "halo": [64, 64]}, "off").halo == (64, 64)
    with pytest.raises(UsageError, match=r"larger than the tile, \[512,512\]"):
        Request.of({"tile": "auto", "halo": [513, 8]}, "off").resolve([LARGE], 1024)


@pytest.mark.parametrize("given", [{"halo": [8, 8]}, {"tile": "off", "halo": [8, 8]}])
def test_a_halo_without_tiles_is_refused(given):
    with pytest.raises(UsageError, match="no image is tiled"):
        Request.of(given, "off")


def test_null_is_the_default_and_yaml_reads_off_as_false():
    nothing = {"tile": None, "halo": None, "rescale": None}
    assert Request.of(nothing, "off") == Request() == Request.of({"tile": False}, "auto")
    assert Request.of(nothing, "auto").tile == "auto"


def test_off_is_nothing_in_the_identity():
    found = Request().resolve([LARGE], 1024)
    assert found.in_identity == {} and found.words == [] and not found.tiles(LARGE)


def test_auto_acts_where_the_model_would_shrink_an_image_by_more_than_two():
    request = Request.of({}, "auto")
    assert request.resolve([SMALL, (2048, 2048), ()], 1024) == Framing()
    found = request.resolve([SMALL, (2049, 8)], 1024)
    assert found == Framing((512, 512), (64, 64), beyond=2048)
    assert found.in_identity == {"tile": [512, 512], "halo": [64, 64], "beyond": 2048}
    assert found.words == ["tile=auto"]
    assert found.tiles((2049, 8)) and not found.tiles((2048, 2048))
    assert request.resolve([LARGE], 0) == Framing()  # a model that scales no image


def test_a_halo_of_ones_own_is_named():
    found = Request.of({"halo": [9, 9]}, "auto").resolve([LARGE], 1024)
    assert found.words == ["tile=auto", "halo=[9,9]"] and found.in_identity["halo"] == [9, 9]


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ({}, [SMALL, LARGE]), ({"tile": "auto", "rescale": 0.9}, [SMALL, LARGE]),
        ({"tile": "auto", "halo": [9, 9]}, [SMALL, LARGE]), ({"tile": "off"}, [SMALL, LARGE]),
        ({"tile": [600, 600], "rescale": 0.9}, [SMALL, LARGE]),
    ],
)  # fmt: skip
def test_possible_words_are_those_of_some_images(given, sizes):
    request = Request.of(given, "auto")
    found = [request.resolve([shape], 1024).words for shape in sizes]
    assert all(words in request.possible_words for words in found)
    assert all(words in found for words in request.possible_words)


def test_auto_looks_at_the_scaled_image():
    half = Request.of({"rescale": 0.5}, "auto").resolve([(4096, 10)], 1024)
    assert half == Framing(rescale=0.5)
    assert Request.of({"rescale": 2}, "auto").resolve([(1025, 10)], 1024).beyond == 2048


def test_tiles_are_in_the_identity_only_where_an_image_is_larger_than_a_tile():
    request = Request.of({"tile": [512, 512]}, "off")
    assert request.resolve([SMALL, (100, 100)], 0) == Framing()
    found = request.resolve([SMALL, (100, 513)], 0)
    assert found.in_identity == {"tile": [512, 512], "halo": [64, 64]}
    assert found.words == ["tile=[512,512]", "halo=[64,64]"]
    assert not found.tiles(SMALL) and found.tiles((513, 512))


def test_a_factor_of_one_is_nothing():
    assert Request.of({"rescale": 1.0}, "off").is_off
    assert Request.of({"rescale": 0.5}, "off").resolve([SMALL], 0).in_identity == {"rescale": 0.5}


def test_a_diameter_is_a_factor_once_labels_are_measured():
    request = Request.of({"rescale": {"diameter": 30}}, "off")
    assert request.words == ["rescale={diameter:30}"]
    assert request.resolve([SMALL], 0, 0.25) == Framing(rescale=0.25)


def test_what_the_model_sees_at_once_decides_whether_it_shrinks():
    assert Framing().shrinks((4096, 100), 1024) == 4
    assert Framing().shrinks((2048, 100), 1024) == 0 == Framing().shrinks((4096, 100), 0)
    assert Framing(rescale=0.5).shrinks((4096, 4096), 1024) == 0
    assert Framing((512, 512), (64, 64)).shrinks((4096, 4096), 1024) == 0
    assert Framing((2000, 2000), (64, 64)).shrinks((4096, 4096), 1024) == 2128 / 1024
    assert Framing((512, 512), (64, 64), beyond=8192).shrinks((4096, 4096), 1024) == 4


@pytest.mark.parametrize(("side", "factor", "expected"), [(5, 0.5, 3), (1, 0.01, 1), (7, 2, 14)])
def test_scaled_sides_are_rounded_and_never_empty(side, factor, expected):
    assert Framing(rescale=factor).scaled((side, side, 3)) == (expected, expected)
