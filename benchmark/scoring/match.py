"""Two label images -> their sparse overlap, in one pass over the pixels, and which objects match.

Everything a metric needs of the pixels is here: which true and predicted objects
overlap, by how many pixels, how large each object is, and whether it touches the
border. There is no matrix of objects x objects anywhere: memory grows with the
number of OVERLAPPING pairs.

Which objects are matched, split and merged is decided here as well, for scores and for
pictures alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from benchmark.compiled import compiled
from benchmark.types import Labels

MATCH_IOU = 0.5
"""Objects match at an IoU of at least this; below it, an object can have many partners."""

Ints = NDArray[np.int64]
Ids = NDArray[np.uint64]
Unsigned = NDArray[np.unsignedinteger[Any]]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one label image, in ascending order of their ids.

    Attributes:
        ids: N, as found in the image.
        areas: N, pixels.
        border: N, whether the object touches the image's border.
    """

    ids: Ids
    areas: Ints
    border: Bools

    def __len__(self) -> int:
        """The number of objects."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Match:
    """Which true objects overlap which predicted ones, and by how much.

    Attributes:
        true: the annotated objects.
        predicted: the predicted objects.
        true_index: K, for each overlapping pair the position in `true`; ascending, and for
            equal ones `predicted_index` is.
        predicted_index: K, for each pair the position in `predicted`.
        intersection: K, pixels that the pair shares; at least 1.
    """

    true: Objects
    predicted: Objects
    true_index: NDArray[np.intp]
    predicted_index: NDArray[np.intp]
    intersection: Ints

    @cached_property
    def iou(self) -> Floats:
        """K, intersection over union of each overlapping pair, in (0, 1].

        Both counts are exact integers and divided once in float64, as elf does, so the
        quotients are equal to its to the last bit.
        """
        union = (
            self.true.areas[self.true_index]
            + self.predicted.areas[self.predicted_index]
            - self.intersection
        )
        return self.intersection / union

    @cached_property
    def matched_pairs(self) -> NDArray[np.intp]:
        """Positions in `true_index` of the pairs matched one to one at an IoU of at least 0.5.

        A pair with IoU > 0.5 shares more than half of either object, so neither can have
        another such partner, nor one at exactly 0.5: such pairs are all matched. Pairs at
        exactly 0.5 can compete, and a maximum bipartite matching settles them. At each
        threshold from 0.5 upwards as many of these pairs reach it as elf's and stardist's
        assignments over all objects match. Ascending.
        """
        matched = self.iou > MATCH_IOU
        tied = np.flatnonzero(self.iou == MATCH_IOU)
        if tied.size:
            true, predicted = self.true_index[tied], self.predicted_index[tied]
            shape = (len(self.true), len(self.predicted))
            graph = csr_array((np.ones(tied.size, np.int8), (true, predicted)), shape=shape)
            partner = maximum_bipartite_matching(graph, perm_type="column")
            matched[tied] = partner[true] == predicted
        return np.flatnonzero(matched)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of each object, in the order of `Match.true` and `Match.predicted`.

    An object holds another one if more than half of the other's pixels lie in it. Whether
    objects hold others does not depend on whether they are matched.

    Attributes:
        pairs: K, the matched pairs; see `Match.matched_pairs`.
        true_matched: N, which true objects are matched.
        predicted_matched: M, which predicted objects are matched.
        split: N, which true objects hold two or more predicted ones.
        parts_of_split: M, which predicted objects a split one holds.
        merged: M, which predicted objects hold two or more true ones.
        parts_of_merged: N, which true objects a merged one holds.
    """

    pairs: NDArray[np.intp]
    true_matched: Bools
    predicted_matched: Bools
    split: Bools
    parts_of_split: Bools
    merged: Bools
    parts_of_merged: Bools


def match(true: Labels, predicted: Labels) -> Match:
    """Overlap two label images.

    Args:
        true: H x W integers, 0 = background; ids need not be consecutive.
        predicted: the same shape.

    Returns:
        The sparse overlap of their objects.

    Raises:
        ValueError: the shapes differ, or one is not 2-D, not integer, or negative.
    """
    for name, labels in (("true", true), ("predicted", predicted)):
        if labels.ndim != 2 or labels.dtype.kind not in "iu":
            shape = f"{labels.dtype} of shape {labels.shape}"
            raise ValueError(f"the {name} labels are {shape}, not 2-D integers")
    if true.shape != predicted.shape:
        raise ValueError(f"shapes differ: true {true.shape}, predicted {predicted.shape}")

    listed = np.ascontiguousarray(_count_pairs(_bits(true), _bits(predicted)).T)
    true_id, predicted_id, pixels = listed[0], listed[1], listed[2].view(np.int64)
    for name, labels, ids in (("true", true, true_id), ("predicted", predicted, predicted_id)):
        # As bits, a negative id is larger than any that the type can hold.
        if labels.dtype.kind == "i" and ids.max(initial=0) > np.iinfo(labels.dtype).max:
            raise ValueError(f"the {name} labels hold negative ids (smallest {labels.min()})")
    true_objects, true_of_pair = _objects(true_id, pixels, true)
    predicted_objects, predicted_of_pair = _objects(predicted_id, pixels, predicted)
    both = np.flatnonzero((true_id != 0) & (predicted_id != 0))
    # A fixed order: sums and "the first of equals" must not depend on how ids are hashed.
    rank = true_of_pair[both] * len(predicted_objects) + predicted_of_pair[both]
    both = both[np.argsort(rank)]
    return Match(
        true_objects, predicted_objects, true_of_pair[both], predicted_of_pair[both], pixels[both]
    )


def outcomes(overlap: Match) -> Outcomes:
    """Find which objects are matched, split and merged.

    Args:
        overlap: which objects overlap.
    """
    pairs = overlap.matched_pairs
    true, predicted = overlap.true, overlap.predicted
    in_true = 2 * overlap.intersection > predicted.areas[overlap.predicted_index]
    in_predicted = 2 * overlap.intersection > true.areas[overlap.true_index]
    split, parts_of_split = _holding_several(
        overlap.true_index[in_true], len(true), overlap.predicted_index[in_true], len(predicted)
    )
    merged, parts_of_merged = _holding_several(
        overlap.predicted_index[in_predicted], len(predicted),
        overlap.true_index[in_predicted], len(true),
    )  # fmt: skip
    return Outcomes(
        pairs,
        _marked(overlap.true_index[pairs], len(true)),
        _marked(overlap.predicted_index[pairs], len(predicted)),
        split,
        parts_of_split,
        merged,
        parts_of_merged,
    )


def _holding_several(
    holder: NDArray[np.intp], holders: int, held: NDArray[np.intp], parts: int
) -> tuple[Bools, Bools]:
    """Which of the holders hold two or more objects, and which objects these hold."""
    several = np.bincount(holder, minlength=holders) >= 2
    return several, _marked(held[several[holder]], parts)


def _marked(positions: NDArray[np.intp], length: int) -> Bools:
    marked = np.zeros(length, bool)
    marked[positions] = True
    return marked


def _bits(labels: Labels) -> Unsigned:
    """A label image as one row of unsigned pixels of the same width, without a copy if it can be.

    A copy of every signed image would cost more than the matching.
    """
    native = labels.astype(labels.dtype.newbyteorder("="), copy=False)
    return native.reshape(-1).view(f"u{native.dtype.itemsize}")


def _objects(ids: Ids, pixels: Ints, labels: Labels) -> tuple[Objects, NDArray[np.intp]]:
    """The objects named in the pairs, and each pair's position among them (background: -1)."""
    found, areas, position = _grouped(ids, pixels)
    background = int(len(found) > 0 and found[0] == 0)
    found, areas, position = found[background:], areas[background:], position - background

    border = np.zeros(len(found), bool)
    if labels.size:
        frame = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
        run_ends = np.append(frame[1:] != frame[:-1], True)  # along an edge ids come in runs
        touching = frame[run_ends].astype(np.uint64)
        border[np.searchsorted(found, touching[touching > 0])] = True
    return Objects(found, areas, border), position


def _grouped(ids: Ids, pixels: Ints) -> tuple[Ids, Ints, NDArray[np.intp]]:
    """The ids in ascending order, the pixels of each, and where each pair's id is among them."""
    highest = int(ids.max(initial=0))
    if highest >= 4 * len(ids) + 65536:  # a table of all numbers up to it would be mostly empty
        found, position = np.unique(ids, return_inverse=True)
        areas = np.bincount(position, weights=pixels, minlength=len(found))
    else:
        number = ids.astype(np.intp)
        of_number = np.bincount(number, weights=pixels, minlength=highest + 1)
        there = np.flatnonzero(of_number)
        rank = np.empty(highest + 1, np.intp)
        rank[there] = np.arange(len(there))
        found, areas, position = there.astype(np.uint64), of_number[there], rank[number]
    # Exact: a sum of pixel counts stays far below 2^53.
    return found, areas.astype(np.int64), position


_BLOCK = 4096  # pixels looked at together: the list of runs stays in the processor's cache
_SLOTS = 8  # of the table for each pair, at least: its first slot is nearly always the right one


@compiled
def _count_pairs(true: Unsigned, predicted: Unsigned) -> Ids:
    """List every pair of ids, background included: the true id, the predicted one, their pixels.

    Neighbouring pixels mostly carry the same pair, so it is looked up once per run of equal
    pairs and not once per pixel. Pairs are listed in the order in which they are met: those of
    neighbouring rows are near to each other in memory. The table is larger, and holds only where
    in the list a pair is.
    """
    pairs, table = np.empty((1024, 3), np.uint64), np.zeros(_SLOTS * 1024, np.uint32)
    used = 1  # 0 in the table is a free slot
    begin = 0
    changed = np.zeros(_BLOCK, np.uint8)
    end = np.empty(_BLOCK + 1, np.int64)
    pixels = len(true)
    for first in range(1, pixels + 1, _BLOCK):
        runs = _run_ends(true, predicted, first, changed, end)
        if first + _BLOCK > pixels:
            end[runs] = pixels
            runs += 1
        if used + runs > len(pairs):
            pairs, table = _grown(pairs, used, runs)
        used, begin = _add_runs(true, predicted, begin, end[:runs], pairs, used, table)
    return pairs[1:used]


@compiled
def _run_ends(
    true: Unsigned, predicted: Unsigned, first: int, changed: NDArray[np.uint8], end: Ints
) -> int:
    """Write where runs end that end in a block, and return how many there are.

    Comparing neighbours is one vector instruction for many pixels. The results of 64 pixels
    become the bits of a word, and only the bits that are set are visited: a branch for each pixel,
    or for each few, would be mispredicted at every outline.

    Args:
        true: N pixels.
        predicted: likewise.
        first: the first pixel of the block, at least 1.
        changed: room for a block.
        end: room for a block; the positions are written here, ascending.
    """
    size = min(len(changed), len(true) - first)
    t, before_t = true[first : first + size], true[first - 1 : first - 1 + size]
    p, before_p = predicted[first : first + size], predicted[first - 1 : first - 1 + size]
    for i in range(size):
        changed[i] = (t[i] != before_t[i]) | (p[i] != before_p[i])
    changed[size:] = 0
    eights = changed.view(np.uint64)
    runs = 0
    for word in range((size + 63) // 64):
        bits = np.uint64(0)
        for i in range(8):
            # The product moves the lowest bits of the eight bytes to the uppermost byte.
            byte = (eights[8 * word + i] * np.uint64(0x0102040810204080)) >> np.uint64(56)
            bits |= byte << np.uint64(8 * i)
        while bits:
            end[runs] = first + 64 * word + trailing_zeros(bits)
            runs += 1
            bits &= bits - np.uint64(1)  # without its lowest bit
    return runs


@compiled
def _add_runs(
    true: Unsigned,
    predicted: Unsigned,
    begin: int,
    end: Ints,
    pairs: Ids,
    used: int,
    table: NDArray[np.uint32],
) -> tuple[int, int]:
    """Add the pixels of runs to the list, and return its new length and where the last one ends.

    Args:
        true: N pixels.
        predicted: likewise.
        begin: where the first run begins.
        end: where each ends, and the next one begins.
        pairs: the list, with room for a new pair of each run.
        used: its length.
        table: where in the list each pair is.
    """
    for run in range(len(end)):
        t, p = np.uint64(true[begin]), np.uint64(predicted[begin])
        slot = _slot(t, p, pairs, table)
        if table[slot] == 0:
            table[slot] = used
            pairs[used, 0], pairs[used, 1], pairs[used, 2] = t, p, 0
            used += 1
        pairs[table[slot], 2] += np.uint64(end[run] - begin)
        begin = end[run]
    return used, begin


@compiled
def _grown(pairs: Ids, used: int, more: int) -> tuple[Ids, NDArray[np.uint32]]:
    """The same list with room for more pairs, and its table."""
    length = len(pairs)
    while length < used + more:
        length *= 2
    larger, table = np.empty((length, 3), np.uint64), np.zeros(_SLOTS * length, np.uint32)
    for place in range(1, used):
        for column in range(3):  # a slice would take numba seconds to compile
            larger[place, column] = pairs[place, column]
        table[_slot(larger[place, 0], larger[place, 1], larger, table)] = place
    return larger, table


@compiled
def _slot(t: np.uint64, p: np.uint64, pairs: Ids, table: NDArray[np.uint32]) -> np.uint64:
    """The slot of the table that holds where the pair is in the list, or is free for it."""
    # Odd constants near 2^64 / golden ratio spread consecutive ids (Fibonacci hashing). Of a
    # product the upper bits depend on all bits of the id.
    mixed = t * np.uint64(0x9E3779B97F4A7C15) ^ p * np.uint64(0xC2B2AE3D27D4EB4F)
    slot = ((mixed >> np.uint64(32)) * np.uint64(len(table))) >> np.uint64(32)
    last = np.uint64(len(table) - 1)  # their number is a power of two
    while table[slot] and (pairs[table[slot], 0] != t or pairs[table[slot], 1] != p):
        slot = (slot + np.uint64(1)) & last
    return slot
