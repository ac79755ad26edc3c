"""Names from outside become names that no file system, page or table trips over."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.store.names import MAX_BYTES, hashed_name, safe_name, safe_names

RESERVED = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}

HOSTILE = [
    "../x",
    "..",
    ".",
    "",
    ".hidden",
    "a..b",
    "x.",
    "[red]",
    "a&b_%.tif",
    "<img src=x>",
    "CON",
    "nul.txt",
    "Com7.tar.gz",
    "=1+1",
    "-rf",
    "a" * 300,
    "nul." + "a" * 300,
    "é",
    "e\u0301",  # the same, its accent apart
    "\u202efit.exe",
    "a\nb",
    "a\n",
    "\x00\x1b[31m",
    "\udcff",  # a byte of a Linux file name that is no UTF-8
    "\ud800",  # half a character of a Windows file name
    "C:\\x",
    "a b",
]


def digits(name):
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def assert_harmless(name):
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", name)
    assert ".." not in name and not name.endswith(".")
    assert len(name) <= MAX_BYTES == 120
    assert name.split(".")[0].casefold() not in RESERVED


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_name_is_cleaned_and_hashed(name):
    safe = safe_name(name)
    assert_harmless(safe)
    assert safe.endswith(f"-{digits(name)}")


def test_hostile_names_stay_apart():
    assert len({safe.casefold() for safe in safe_names(HOSTILE).values()}) == len(HOSTILE)


def test_what_can_be_read_in_a_name_stays():
    assert safe_name("[red] cell.01").startswith("_red_cell.01-")
    assert safe_name("nul.txt").startswith("_nul.txt-")
    assert safe_name("..").startswith("_-")


@pytest.mark.parametrize("name", ["a", "B-1_c.d", "_x", "0", "console", "com", "a" * 120])
def test_an_ordinary_name_stays_as_it_is(name):
    assert safe_name(name) == name


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_safe_name_is_its_own_safe_name(name):
    assert safe_name(safe_name(name)) == safe_name(name)


def test_names_that_differ_in_case_alone_all_get_their_hash():
    safe = safe_names(["Cell", "cell", "CELL", "other"])
    assert safe == {n: f"{n}-{digits(n)}" for n in ("Cell", "cell", "CELL")} | {"other": "other"}


def test_a_name_that_looks_hashed_gives_way_to_the_one_it_looks_like():
    looks_alike = hashed_name("[red]")
    assert safe_names([looks_alike]) == {looks_alike: looks_alike}
    for twin in (looks_alike, looks_alike.upper(), looks_alike.replace("red", "Red")):
        for order in ([twin, "[red]"], ["[red]", twin]):
            assert safe_names(order) == {"[red]": looks_alike, twin: f"{twin}-{digits(twin)}"}


def test_a_chain_of_names_that_look_hashed_is_undone():
    first = hashed_name("[red]")
    second = hashed_name(first)
    safe = safe_names(["[red]", first, second])
    assert safe == {"[red]": first, first: second, second: hashed_name(second)}


names = st.one_of(
    st.text(st.characters(), max_size=8),  # surrogates too
    st.text("aA.-_/ ", max_size=4),
    st.text("aA", min_size=118, max_size=123),
    st.sampled_from(["con", "CON", "nul.a", hashed_name("/"), hashed_name("/").upper()]),
)


@given(st.lists(names, unique=True, max_size=12), st.randoms())
def test_any_names_become_harmless_and_unique_in_whatever_order(originals, random):
    safe = safe_names(originals)
    assert list(safe) == originals
    for name in safe.values():
        assert_harmless(name)
    assert len({name.casefold() for name in safe.values()}) == len(originals)
    shuffled = list(originals)
    random.shuffle(shuffled)
    assert safe_names(shuffled) == safe
