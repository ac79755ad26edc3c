"""GeoJSON of QuPath: a polygon, or one for each part, per object, with its holes."""

from __future__ import annotations

import json
from typing import Any

from benchmark.export.polygons import Polygon, Ring, polygons
from benchmark.export.predicted import Predicted


def geojson(predicted: Predicted) -> bytes:
    """Write a FeatureCollection of detections; `name` and `label` of each are the object's id."""
    features = [
        {
            "type": "Feature",
            "geometry": _geometry(parts),
            "properties": {"objectType": "detection", "name": str(label), "label": label},
        }
        for label, parts in polygons(predicted.labels)
    ]
    return (json.dumps({"type": "FeatureCollection", "features": features}) + "\n").encode()


def _geometry(parts: list[Polygon]) -> dict[str, Any]:
    coordinates = [[_closed(ring) for ring in (part.outer, *part.holes)] for part in parts]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _closed(ring: Ring) -> Ring:
    return [*ring, ring[0]]
