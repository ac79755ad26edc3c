"""The overlap of two label images: every count equals what the pixels say."""

import os
import subprocess
import sys
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from cases import CASES, draw, label_pairs, repeatable, row
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from skimage.metrics import contingency_table
from skimage.segmentation import clear_border

from benchmark.scoring.match import match

INTEGERS = [np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)]
LARGEST = 2**64 - 1


def pairs(found):
    """{(true id, predicted id): pixels} of a match."""
    true = found.true.ids[found.true_index].tolist()
    predicted = found.predicted.ids[found.predicted_index].tolist()
    return dict(zip(zip(true, predicted, strict=True), found.intersection.tolist(), strict=True))


def pairs_by_counting(true, predicted):
    """The same, pixel by pixel in plain Python."""
    together = Counter(zip(true.ravel().tolist(), predicted.ravel().tolist(), strict=True))
    return {ids: pixels for ids, pixels in together.items() if all(ids)}


def areas(objects):
    return dict(zip(objects.ids.tolist(), objects.areas.tolist(), strict=True))


def areas_by_numpy(labels):
    ids, counts = np.unique(labels[labels > 0], return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))


def border(objects):
    return set(objects.ids[objects.border].tolist())


def assert_equals_the_pixels(true, predicted):
    found = match(true, predicted)
    assert pairs(found) == pairs_by_counting(true, predicted)
    assert len(found.intersection) == len(pairs(found)), "no pair is listed twice"
    for objects, labels in ((found.true, true), (found.predicted, predicted)):
        assert areas(objects) == areas_by_numpy(labels)
        assert (np.diff(objects.ids.astype(object)) > 0).all(), "ids ascend"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_named_pairs_are_counted_exactly(case):
    assert_equals_the_pixels(case.true, case.predicted)
    found = match(case.true, case.predicted)
    assert (len(found.true), len(found.predicted)) == case.objects[:2]


def test_a_small_overlap_written_out():
    found = match(draw("11.", "122", "..2"), draw("33.", "337", "777"))
    assert pairs(found) == {(1, 3): 3, (2, 3): 1, (2, 7): 2}
    assert areas(found.true) == {1: 3, 2: 3}
    assert areas(found.predicted) == {3: 4, 7: 4}
    iou = {(1, 3): 3 / 4, (2, 3): 1 / 6, (2, 7): 2 / 5}
    assert dict(zip(pairs(found), found.iou.tolist(), strict=True)) == iou


@repeatable
@given(label_pairs())
def test_every_pair_is_counted_once(labels):
    assert_equals_the_pixels(*labels)


@repeatable
@given(label_pairs())
def test_the_overlap_is_the_contingency_table(labels):
    true, predicted = labels
    found = match(true, predicted)
    t = found.true.ids[found.true_index].astype(int)
    p = found.predicted.ids[found.predicted_index].astype(int)
    by_skimage = contingency_table(true, predicted).toarray()
    ours = coo_array((found.intersection, (t, p)), shape=by_skimage.shape).toarray()
    by_skimage[0], by_skimage[:, 0] = 0, 0  # we keep no row and no column for background
    assert np.array_equal(ours, by_skimage)


@repeatable
@given(label_pairs())
def test_border_objects_are_those_that_clear_border_takes_pixels_from(labels):
    found = match(*labels)
    for objects, image in zip((found.true, found.predicted), labels, strict=True):
        left = clear_border(image)
        taken = {i for i in objects.ids.tolist() if (left == i).sum() < (image == i).sum()}
        assert border(objects) == taken


@pytest.mark.parametrize(
    ("labels", "touching"),
    [
        (draw("....", ".12.", "...."), set()),
        (draw(".1..", "....", ".3.."), {1, 3}),  # top and bottom
        (draw("....", "1..2", "...."), {1, 2}),  # left and right
        (draw("1..2", "....", "3..4"), {1, 2, 3, 4}),  # one corner each
        (draw(".....", ".121.", "..1.."), {1}),
        (draw("1213"), {1, 2, 3}),  # all of a row is border
        (draw("1", "2"), {1, 2}),
    ],
)
def test_the_border_is_the_outermost_pixels_of_all_four_sides(labels, touching):
    found = match(labels, np.roll(labels, 1))
    assert border(found.true) == touching
    assert border(match(labels * 0, labels).predicted) == touching


@pytest.mark.parametrize("true_dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("predicted_dtype", INTEGERS, ids=str)
def test_any_two_integer_dtypes_can_be_compared(true_dtype, predicted_dtype):
    true = row((1, 2), (0, 1), (np.iinfo(true_dtype).max, 3)).astype(true_dtype)
    predicted = row((2, 3), (np.iinfo(predicted_dtype).max, 3)).astype(predicted_dtype)
    largest = int(true.max()), int(predicted.max())
    assert pairs(match(true, predicted)) == {(1, 2): 2, largest: 3}


@pytest.mark.parametrize("a", [2**31 - 1, 2**32 - 1, 2**53, 2**63 - 1, LARGEST - 1])
def test_neighbouring_large_ids_stay_two_objects(a):
    labels = row((a, 2), (a + 1, 3))
    found = match(labels, labels[:, ::-1])
    assert areas(found.true) == {a: 2, a + 1: 3}
    assert pairs(found) == {(a, a + 1): 2, (a + 1, a + 1): 1, (a + 1, a): 2}


@repeatable
@given(
    st.lists(st.integers(1, LARGEST), min_size=2, max_size=30),
    st.lists(st.integers(1, LARGEST), min_size=2, max_size=30),
)
def test_ids_may_be_any_64_bits(true_ids, predicted_ids):
    n = min(len(true_ids), len(predicted_ids))
    true, predicted = (
        row(*((i, 2) for i in true_ids[:n])),
        row(*((i, 2) for i in predicted_ids[:n])),
    )
    assert_equals_the_pixels(true, predicted)


VIEWS = {
    "transposed": lambda labels: labels.T.copy().T,
    "reversed": lambda labels: labels[::-1, ::-1].copy()[::-1, ::-1],
    "every second pixel": lambda labels: np.repeat(np.repeat(labels, 2, 0), 2, 1)[::2, ::2],
    "one channel of three": lambda labels: np.stack([labels, labels * 0, labels], -1)[..., 0],
    "big-endian": lambda labels: labels.astype(labels.dtype.newbyteorder(">")),
    "read-only": lambda labels: np.frombuffer(labels.tobytes(), labels.dtype).reshape(labels.shape),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_the_layout_in_memory_does_not_matter(view):
    true, predicted = draw("112.", "1123", ".44."), draw("1.22", "3322", "3.4.")
    seen = view(true)
    assert np.array_equal(seen, true)
    assert seen.dtype.byteorder == ">" or not seen.flags.c_contiguous or not seen.flags.writeable
    expected = pairs_by_counting(true, predicted)
    assert pairs(match(seen, predicted)) == pairs(match(seen, view(predicted))) == expected
    assert pairs(match(true, view(predicted))) == expected
    assert border(match(seen, predicted).true) == {1, 2, 3, 4}


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_an_image_without_pixels_has_no_objects(shape, dtype):
    found = match(np.zeros(shape, dtype), np.zeros(shape, np.int64))
    assert (len(found.true), len(found.predicted), len(found.iou)) == (0, 0, 0)


@pytest.mark.parametrize("n", [1, 2, 4095, 4096, 4097, 8192, 40_000])
def test_runs_of_pixels_may_end_anywhere(n):
    """4096 pixels are looked at together: a run may cross that edge, or end at it."""
    edge = min(n, 4096) - 1
    for cuts in ([], [edge], [edge, n - 1], range(0, n, 100)):
        true, predicted = np.ones((2, 1, n), np.uint16)
        for cut in cuts:
            true[0, cut:] += 1
            predicted[0, cut + 1 :] += 1
        assert_equals_the_pixels(true, predicted)


@pytest.mark.parametrize("ids", [2, 30, 300, 60_000])
def test_the_table_grows_with_the_number_of_pairs(ids):
    rng = np.random.default_rng(ids)  # noise: up to 40,000 pairs, nearly one per pixel
    true, predicted = rng.integers(0, ids, (2, 200, 200), dtype=np.uint16)
    assert_equals_the_pixels(true, predicted)


def test_the_label_images_are_left_alone():
    true, predicted = draw("4112"), draw("4.12")
    before = true.copy(), predicted.copy()
    match(true, predicted)
    assert np.array_equal((true, predicted), before)


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"true \(2, 3\), predicted \(3, 2\)"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), r"the true labels are float64 of shape \(2, 3\)"),
        (np.zeros((2, 3), int), np.zeros((2, 3), bool), "the predicted labels are bool"),
        (np.zeros(4, int), np.zeros(4, int), r"the true labels are int64 of shape \(4,\)"),
        (np.zeros((1, 2), int), np.array([[-3, 1]]), r"negative ids \(smallest -3\)"),
        (np.zeros((2, 2, 2), int),) * 2 + (r"shape \(2, 2, 2\), not 2-D integers",),
    ],
)
def test_what_is_no_pair_of_label_images_is_refused(true, predicted, message):
    with pytest.raises(ValueError, match=message):
        match(true, predicted)


LARGE = """
import resource, sys, time
import numpy as np
from benchmark.scoring.match import match
from benchmark.scoring.metrics import object_rows, score
from benchmark.scoring.protocol import Protocol

clean = Protocol("clean", "exact", "exclude")
tiny = np.ones((2, 2), np.int32)
score(match(tiny, tiny), clean)  # compile, or read what was compiled before

cells = np.arange(1, 20_001, dtype=np.int32).reshape(160, 125)
true = np.zeros((4096, 4096), np.int32)
true[:4000, :4000] = cells.repeat(25, axis=0).repeat(32, axis=1)
predicted = np.roll(true, 8, axis=1)  # each overlaps itself by 24 of 32 columns: IoU 24 / 40

start = time.process_time()
overlap = match(true, predicted)
result, rows = score(overlap, clean), object_rows(overlap)
seconds = time.process_time() - start

# ru_maxrss would count the parent's pages as well if we were forked from a large one.
status = open("/proc/self/status").read() if sys.platform == "linux" else ""
peak = int(status.split("VmHWM:")[1].split()[0]) if status else 0
print(*result.true_positives, len(rows["true"]["id"]), seconds, peak / 1024)
"""


def test_20_000_objects_take_seconds_and_less_than_a_gibibyte():
    """Images, interpreter and libraries included; a dense table alone would take 3 GiB."""
    done = subprocess.run(
        [sys.executable, "-c", LARGE],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    *tps, rows, seconds, mebibytes = done.stdout.split()
    assert [int(n) for n in tps] == [20_000] * 3 + [0] * 7
    assert int(rows) == 20_000
    assert float(seconds) < 60  # of the processor; every pair of objects would take hours
    assert float(mebibytes) < 1024


# Of few widths: each two of them are compiled once more.
KINDS = [(np.uint16, np.int32), (np.int32, ">i4"), (np.int64, np.uint16), (np.uint32, np.int32)]


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("seed", range(10))
def test_pairs_of_two_kinds_of_integers_are_those_of_counting_pixel_by_pixel(kinds, seed):
    rng = np.random.default_rng(seed)
    scale = int(rng.choice([1, 1, 40]))  # dense ids, and ids far apart
    side = rng.integers(1, 90, 2)
    images = []
    for kind in kinds:
        highest = min(np.iinfo(kind).max, int(rng.choice([1, 5, 120, 3000])) * scale**3)
        blocks = rng.integers(0, highest, side, dtype=np.int64, endpoint=True)
        images.append(np.kron(blocks, np.ones((3, 5), int)).astype(kind)[:, 1:])
    found = match(*images)
    for image, objects in zip(images, (found.true, found.predicted), strict=True):
        ids, areas = np.unique(image[image > 0], return_counts=True)
        assert objects.ids.tolist() == ids.tolist() and objects.areas.tolist() == areas.tolist()
    expected = Counter(
        (int(t), int(p)) for t, p in zip(*(i.flat for i in images), strict=True) if t and p
    )
    pairs = zip(
        found.true.ids[found.true_index].tolist(),
        found.predicted.ids[found.predicted_index].tolist(),
        found.intersection.tolist(),
        strict=True,
    )
    assert {(t, p): pixels for t, p, pixels in pairs} == expected


@pytest.mark.parametrize("kinds", [(np.int32, np.int32), (np.int64, np.uint16)])
def test_no_copy_of_an_image_is_made(kinds):
    blocks = np.arange(1, 26).reshape(5, 5)
    true, predicted = (np.kron(blocks, np.ones((200, 200), int)).astype(kind) for kind in kinds)
    match(true, predicted)  # compiled before
    tracemalloc.start()
    try:
        match(true, predicted)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < min(true.nbytes, predicted.nbytes) / 4


@pytest.mark.parametrize(
    "pixels", [1, 2, 7, 8, 9, *range(63, 67), *range(127, 131), *range(4094, 4101), 8191, 8193]
)
def test_rows_of_every_length_are_counted_to_their_last_pixel(pixels):
    """Pixels are looked at in blocks of 4096, and in words of 8 and of 64."""
    true = (np.arange(pixels, dtype=np.int32) // 3 + 1)[None]
    predicted = (np.arange(pixels, dtype=np.int32)[::-1] // 7 + 1)[None]
    found = match(true, predicted)
    assert found.true.areas.tolist() == np.bincount(true[0])[1:].tolist()
    assert found.predicted.areas.tolist() == np.bincount(predicted[0])[1:].tolist()
    assert found.intersection.sum() == pixels
