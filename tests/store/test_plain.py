"""What models and files of strangers say becomes JSON and printable text."""

import enum
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.console import UNPRINTABLE, printable
from benchmark.store.plain import MAX_DEPTH, MAX_ITEMS, MAX_TEXT, plain, plain_text, text_of


class Odd:
    def __init__(self, error=ValueError):
        self.error = error

    def __str__(self):
        raise self.error("no text")

    def item(self):
        raise self.error("no item")


class Level(enum.IntEnum):
    LOW = 1


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers()
    | st.sampled_from([np.float32(0.1), np.int8(-3), np.datetime64("2020"), np.array("a"), Odd()]),
    lambda children: (
        st.lists(children)
        | st.dictionaries(st.text(st.characters()) | st.integers(), children)
        | st.tuples(children, children)
    ),
    max_leaves=20,
)


@given(anything)
def test_anything_becomes_json_that_can_be_encoded_and_printed(value):
    found = json.dumps(plain(value), allow_nan=False, ensure_ascii=False)
    found.encode()
    assert UNPRINTABLE.search(found) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.25), 0.25),
        (np.bool_(False), False),
        (np.array(3), 3),
        (np.array([[1, 2]]), [[1, 2]]),
        (float("-inf"), "-inf"),
        (np.float32("nan"), "nan"),
        (Level.LOW, 1),
        ((1, "a"), [1, "a"]),
        ({1: {2}}, {"1": [2]}),
        (None, None),
        (True, True),
        ("line\n\ttab é", "line\n\ttab é"),
        ("\udcff\u202e\x1b[0m", r"\udcff\u202e\x1b[0m"),
        (Odd(), "(a Odd whose text can't be shown)"),
        (10**400, "an integer of many digits"),
    ],
)
def test_what_a_value_becomes(value, expected):
    found = plain(value)
    assert found == expected and type(found) is type(expected)


def test_a_torch_scalar_is_a_number():
    torch = pytest.importorskip("torch")
    assert plain(torch.tensor(0.5)) == 0.5 and isinstance(plain(torch.zeros(3)), str)


def test_long_and_deep_values_are_cut():
    text = plain_text("a" * MAX_TEXT + "b" * MAX_TEXT)
    assert text.startswith("aaa") and text.endswith("bbb") and len(text) < MAX_TEXT + 100
    assert plain_text("a" * MAX_TEXT) == "a" * MAX_TEXT
    assert len(plain([0] * 10**5)) == MAX_ITEMS and isinstance(plain(np.zeros(10**5)), str)
    deep = value = []
    for _ in range(10**4):
        value.append([])
        value = value[0]
    levels, found = 0, plain(deep)
    while isinstance(found, list):
        levels, found = levels + 1, found[0]
    assert levels == MAX_DEPTH


def test_an_error_without_a_text_has_one():
    assert text_of(Odd(RecursionError)) == "(a Odd whose text can't be shown)"


def test_a_terminal_gets_no_half_surrogates_and_no_marks_of_direction():
    assert printable("a\ud800b\u202ec\x1bd\n") == "a\ufffdb\ufffdc\ufffdd\n"
