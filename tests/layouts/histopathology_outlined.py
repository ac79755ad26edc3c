"""Fixtures of histopathology whose nuclei come as outlines: XML and GeoJSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layouts.histopathology_parts import (
    Member,
    Pair,
    archive,
    clear,
    field,
    files,
    middle,
    outlines,
    tiff,
    turned,
)

TRAINING = (
    "18-5592-01Z-00-DX1 21-5784-01Z-00-DX1 21-5786-01Z-00-DX1 38-6178-01Z-00-DX1 "
    "49-4488-01Z-00-DX1 50-5931-01Z-00-DX1 A7-A13E-01Z-00-DX1 A7-A13F-01Z-00-DX1 "
    "AR-A1AK-01Z-00-DX1 AR-A1AS-01Z-00-DX1 AY-A8YK-01A-01-TS1 B0-5698-01Z-00-DX1 "
    "B0-5710-01Z-00-DX1 B0-5711-01Z-00-DX1 CH-5767-01Z-00-DX1 DK-A2I6-01A-01-TS1 "
    "E2-A14V-01Z-00-DX1 E2-A1B5-01Z-00-DX1 G2-A2EK-01A-02-TSB G9-6336-01Z-00-DX1 "
    "G9-6348-01Z-00-DX1 G9-6356-01Z-00-DX1"
)
"""Names of MoNuSeg; the natural order of E2-A14V and E2-A1B5 is not the alphabetic one."""

TESTS = "2Z-A9J9-01A 44-2665-01B 69-7764-01A A6-6782-01A AC-A2FO-01A CU-A0YN-01A"

NUCLEI = (
    "stroma tumor plasma_cell histiocyte lymphocyte "
    "melanophage neutrophil endothelium epithelium apoptosis"
)
TISSUES = "stroma tumor epidermis blood_vessel necrosis white_background"


def write_monuseg(root: Path) -> None:
    """A zip for each split; macOS left its folder in that of the training images."""
    shape = (1000, 1000)
    drawn = field(shape, 24, 1)
    pairs = [turned(drawn, k) if k in (0, 16, 20) else middle(shape, 8, k) for k in range(22)]
    pairs[4], pairs[17] = middle(shape, 4, 4), middle(shape, 2, 17)
    top = "MoNuSeg 2018 Training Data"
    members = [
        *_monuseg(TRAINING.split(), pairs, f"{top}/Tissue Images", f"{top}/Annotations"),
        (f"__MACOSX/{top}/._Tissue Images", b"\0"),
    ]
    archive(root / "monuseg" / "monuseg_train.zip", members)
    pairs = [turned(drawn, k) for k in range(3, 6)]
    pairs[1:1] = [middle(shape, count, count) for count in (4, 2, 12)]
    names, folder = [f"{name}-01-TS1" for name in TESTS.split()], "MoNuSegTestData"
    archive(root / "monuseg" / "monuseg_test.zip", _monuseg(names, pairs, folder, folder))


def _monuseg(names: list[str], pairs: list[Pair], images: str, labels: str) -> Iterator[Member]:
    for name, (image, truth) in zip(names, pairs, strict=True):
        yield f"{images}/TCGA-{name}.tif", tiff(image)
        yield f"{labels}/TCGA-{name}.xml", _xml(outlines(truth))


def _xml(contours: Iterable[NDArray[np.float64]]) -> bytes:
    """Outlines as Aperio's ImageScope writes them; the vertices' coordinates are fractions."""
    regions = []
    for k, contour in enumerate(contours, start=1):
        points = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for y, x in contour[::2])
        regions.append(f'<Region Id="{k}"><Vertices>{points}</Vertices></Region>')
    text = "".join(regions)
    return (
        '<?xml version="1.0"?><Annotations MicronsPerPixel="0.252000"><Annotation Id="1">'
        f"<Regions>{text}</Regions></Annotation></Annotations>"
    ).encode()


def write_puma(root: Path) -> None:
    """The zip of images, that of tissues, and the outlines of nuclei as once unpacked.

    Both sorts of outlines are downloaded to the same file, so that only one can be a zip.
    """
    folder, shape = root / "puma", (1024, 1024)
    drawn = field(shape, 48, 1)
    # Of at least ten label values; those of numbers 1 and 2 are in the loader's test split.
    few = {("metastatic", 2): 2, ("metastatic", 103): 9, ("primary", 1): 9, ("primary", 3): 9}
    images, nuclei, tissues = [], [], []
    for kind, numbers in (("metastatic", (1, 2, 3, 10, 11, 103)), ("primary", range(1, 7))):
        for k, number in enumerate(numbers):
            name = f"training_set_{kind}_roi_{number:03}"
            image, labels = turned(drawn, k)
            if k % 2 or (kind, number) in few:
                image, labels = middle(shape, few.get((kind, number), 12), 7 * k)
            labels = labels.copy()
            labels[:9, :9] = labels[-9:, -9:] = 1  # the loader stretches what outlines enclose
            labels[-9:, -9:] = 2000
            ending = "tiff" if number == 103 else "tif"  # as it is in the real one
            images.append((f"01_training_dataset_tif_ROIs/{name}.{ending}", tiff(clear(image))))
            content = _geojson(outlines(labels), "nuclei", NUCLEI.split())
            nuclei.append((f"01_training_dataset_geojson_nuclei/{name}_nuclei.geojson", content))
            content = _geojson(_bands(shape), "tissue", TISSUES.split())
            tissues.append((f"01_training_dataset_geojson_tissue/{name}_tissue.geojson", content))
    archive(folder / "roi.zip", images)
    archive(folder / "annotations.zip", tissues)
    files(folder / "annotations" / "nuclei", nuclei)


def _bands(shape: tuple[int, int]) -> Iterator[NDArray[np.float64]]:
    """One stripe of each tissue."""
    for low, high in itertools.pairwise(np.linspace(0, shape[0], len(TISSUES.split()) + 1)):
        yield np.array([(low, 0), (low, shape[1]), (high, shape[1]), (high, 0)])


def _geojson(contours: Iterable[NDArray[np.float64]], kind: str, classes: list[str]) -> bytes:
    features = []
    for k, contour in enumerate(contours):
        # Pixel edges lie half a pixel before pixel centres, and edges are what is counted here.
        ring = (contour[:, ::-1] + (0.5 if kind == "nuclei" else 0)).tolist()
        name = {"name": f"{kind}_{classes[k % len(classes)]}", "color": [200, 0, 0]}
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
                "properties": {"objectType": "annotation", "classification": name},
            }
        )
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()
