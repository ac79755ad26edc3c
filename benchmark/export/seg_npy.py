"""`_seg.npy` files of Cellpose, which its GUI opens for correction and training."""

from __future__ import annotations

import io

import numpy as np

from benchmark.export.predicted import Predicted
from benchmark.types import smallest


def seg_npy(predicted: Predicted) -> bytes:
    """Write what `cellpose.io.masks_flows_to_seg` does, without flows, which only Cellpose has.

    The GUI expects ids without gaps: objects are numbered 1, 2, ... in the order of their ids.
    """
    from skimage.segmentation import find_boundaries

    labels = predicted.labels
    ids, consecutive = np.unique(labels, return_inverse=True)
    consecutive = consecutive.reshape(labels.shape) + int(not (len(ids) and ids[0] == 0))
    count = int(np.count_nonzero(ids))
    masks = smallest(consecutive)
    numbered = np.array_equal(ids[ids > 0], np.arange(1, count + 1))
    predicted.losses["image whose ids had gaps: renumbered from 1"] += not numbered
    content = {
        "outlines": masks * find_boundaries(masks, mode="inner"),
        "masks": masks,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(count, bool),
        "filename": str(predicted.image_file),
        "flows": [[], [], [], [], [[]]],  # what the GUI itself sets where there are none
        "diameter": np.nan,
    }
    buffer = io.BytesIO()
    np.save(buffer, np.array(content, dtype=object), allow_pickle=True)
    return buffer.getvalue()
