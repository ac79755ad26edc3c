"""Images that the demo weights are trained on: from their source, and none that is scored."""

import json

import numpy as np
import pytest
import tifffile
from demo.pictures import EXCLUDED, HELD_OUT, Source, find, pieces
from helpers.demo_model import DATA, dsb, real
from PIL import Image

from benchmark.data.sources.synthetic import draw
from benchmark.errors import UsageError


def test_held_out_and_excluded_images_are_not_trained_on(tmp_path):
    root = dsb(tmp_path, HELD_OUT + 3)
    for kind in ("images", "masks"):
        folder = root / "dsb/train" / kind
        (folder / f"{HELD_OUT + 1:064x}.tif").rename(folder / f"{next(iter(EXCLUDED))}0.tif")
    source = find(root)
    assert len(source.held_out) == HELD_OUT and len(source.names) == 2
    lists = source.lists()
    assert (lists["training"], lists["scored"]) == (list(source.names), [])
    assert not set(source.names) & set(source.held_out)
    with pytest.raises(UsageError, match="holds 0 images that can be used"):
        find(tmp_path / "nowhere")


@real
@pytest.mark.slow
def test_no_image_that_is_scored_is_trained_on():
    """Neither itself nor its like: turned, of another depth."""
    source = find(DATA)
    used = [*source.names, *source.held_out]
    own = {name: _thumbnail(source.read(name)[0]) for name in used}
    scored = [*(DATA / "dsb/test/images").glob("*.tif"), *(DATA / "u20s/images").glob("*.tif")]
    assert len(scored) >= 50
    others = np.stack([_thumbnail(tifffile.imread(path)).ravel() for path in scored])
    for name, thumbnail in own.items():
        for turns in range(4):
            turned = np.rot90(thumbnail, turns)
            for one in (turned, turned.T):
                assert (others @ one.ravel()).max() < 0.8, name


def _thumbnail(grey):
    from skimage.transform import resize

    small = resize(np.log1p(grey.astype(np.float32) - grey.min()), (64, 64), anti_aliasing=True)
    small -= small.mean()
    return small / np.linalg.norm(small)


def test_the_images_come_from_their_public_source(tmp_path):
    """As the public folder holds them: a colour PNG, and one for each object's mask."""
    from dsb_from_bbbc038 import convert

    names = {"training": ["a1"], "validation": ["b2"], "scored": ["c3"]}
    (tmp_path / "list.json").write_text(json.dumps(names))
    for seed, name in enumerate(("a1", "b2")):
        grey, labels = draw("fluorescent_nuclei", seed, 3, 64)
        grey = (grey >> 4).astype(np.uint8)
        for kind in ("images", "masks"):
            (tmp_path / "source" / name / kind).mkdir(parents=True)
        opaque = np.dstack([grey] * 3 + [np.full_like(grey, 255)])
        Image.fromarray(opaque).save(tmp_path / "source" / name / "images" / f"{name}.png")
        for one in np.unique(labels)[1:]:
            mask = Image.fromarray(np.where(labels == one, 255, 0).astype(np.uint8))
            mask.save(tmp_path / "source" / name / "masks" / f"{one:03d}.png")
    missing = list(convert(tmp_path / "source", tmp_path / "root", tmp_path / "list.json"))
    assert missing == ["", "", "c3"]
    image, found = Source(tmp_path / "root", (), ()).read("b2")
    assert np.array_equal(image, grey) and image.dtype == np.uint8
    assert np.array_equal(pieces(found), pieces(labels))
