"""The fixture of LIVECell: images in a zip, and their cells as polygons in COCO's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from skimage.measure import approximate_polygon, find_contours

from layouts.parts import Pair, archive, field, middle, tiff

SHAPE = (520, 704)
TYPES = ("A172", "BT474", "BV2", "Huh7", "MCF7", "SHSY5Y", "SKOV3", "SkBr3")


def write_livecell(root: Path) -> None:
    """All eight cell types in test and val.

    The first five of BV2 in val.json's order are neither its first five by name, nor all kept.
    """
    few = middle(SHAPE, 2, 5)
    test = {f"{kind}_Phase_C7_1_00d12h00m_{k + 1}": _cells(k) for k, kind in enumerate(TYPES)}
    test["A172_Phase_C7_1_01d00h00m_2"] = middle(SHAPE, 4, 3)
    test["SHSY5Y_Phase_C7_1_01d00h00m_4"] = few
    for bad in ("00d00h00m_1", "02d04h00m_3"):
        test[f"BV2_Phase_A4_2_{bad}"] = _cells(9)
    test = dict(sorted(test.items()))

    val = {f"{kind}_Phase_B3_1_00d12h00m_1": _cells(20 + k) for k, kind in enumerate(TYPES)}
    val["A172_Phase_B3_1_01d00h00m_2"] = middle(SHAPE, 4, 4)
    val |= {f"BV2_Phase_B3_1_0{day}d00h00m_3": _cells(30 + day) for day in (2, 3, 5)}
    val["BV2_Phase_B3_1_04d00h00m_1"] = few
    val = dict(sorted(val.items()))
    val |= {f"BV2_Phase_B3_1_00d0{hour}h00m_2": _cells(40 + hour) for hour in (8, 4)}

    folder, members = root / "livecell", []
    for split, place, drawn in (
        ("test", "livecell_test_images", test),
        ("val", "livecell_train_val_images", val),
    ):
        members += [(f"images/{place}/{n}.tif", tiff(image)) for n, (image, _) in drawn.items()]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{split}.json").write_text(json.dumps(_coco(drawn.items())))
    archive(folder / "livecell.zip", members)


def _cells(seed: int) -> Pair:
    return field(SHAPE, 24, seed)


def _coco(drawn: Iterable[tuple[str, Pair]]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, (_, labels)) in enumerate(drawn, start=1):
        images.append(
            {"id": number, "width": SHAPE[1], "height": SHAPE[0], "file_name": f"{name}.tif"}
        )
        for value in np.unique(labels)[1:]:
            outline = find_contours(np.pad(labels == value, 1), 0.5)[0] - 0.5
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "area": int((labels == value).sum()),
                    "segmentation": [approximate_polygon(outline, 0.5)[:, ::-1].ravel().tolist()],
                }
            )
    category = {"id": 1, "name": "cell", "supercategory": "cell"}
    return {"images": images, "annotations": annotations, "categories": [category]}
