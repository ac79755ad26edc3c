"""A shard is a part of a list; all shards of one count are the list, each item once."""

import itertools

import pytest

from benchmark.errors import UsageError
from benchmark.store.shard import WHOLE, Shard

SHARDS = [Shard(index, count) for count in (1, 2, 3, 4, 6, 8) for index in range(1, count + 1)]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("items", [0, 1, 7, 16])
def test_the_shards_of_one_count_have_every_item_once_and_about_as_many_each(count, items):
    parts = [Shard(index, count).take(range(items)) for index in range(1, count + 1)]
    assert sorted(itertools.chain(*parts)) == list(range(items))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_shards_exclude_each_other_unless_they_are_parts_of_one_division():
    for one, other in itertools.product(SHARDS, SHARDS):
        both = set(one.take(range(48))) & set(other.take(range(48)))  # 48: their common multiple
        assert one.excludes(other) == other.excludes(one)
        assert one.excludes(other) if both else one.excludes(other) == (one.count != other.count)


@pytest.mark.parametrize(
    ("text", "shard"),
    [(None, WHOLE), ("1/1", WHOLE), ("3/8", Shard(3, 8)), ("10/10", Shard(10, 10))],
)
def test_a_shard_is_read_as_it_is_written(text, shard):
    assert Shard.parse(text) == shard
    writer = f"{shard.prefix}20260101T000000-s2of3-7"
    for other in SHARDS:
        assert other.may_repair(writer) == other.excludes(shard), other
        assert not other.may_repair(f"{shard.prefix}notes") and not other.may_repair("20260101")
    assert text is None or str(shard) == text


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "3/0", "-1/8", "a/b", "", "3/8/9", " 3/8"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(UsageError, match=r"such as 3/8"):
        Shard.parse(text)
