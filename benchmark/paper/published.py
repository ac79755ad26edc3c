"""The published study's numbers as cells; none is typed here, all come from `results/published`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.paper.card import PUBLISHED, Configuration, StudyCard, study_card
from benchmark.report.frame import COMPLETE, NOT_REPORTED, frame_of_rows
from benchmark.report.marks import UNMARKED


def published_frame(folder: Path = PUBLISHED) -> pd.DataFrame:
    """A cell for each number of the study, and one for each that it does not report.

    Args:
        folder: holds `msa.csv` and `card.yaml`.
    """
    card = study_card(folder)
    table = pd.read_csv(folder / "msa.csv")
    rows = [_row(row, card) for row in table.to_dict("records")]
    about = table.drop_duplicates("dataset").to_dict("records")
    never_run = [made for made in card.configurations.values() if not made.method]
    rows += [_cell(made, row, card, np.nan, None) for made in never_run for row in about]
    return frame_of_rows(rows)


def _row(row: dict[Any, Any], card: StudyCard) -> dict[str, Any]:
    made = card.configurations[card.key_of_column(row["method"], row["setting"])]
    in_domain = bool(row["flagged_in_domain"]) if made.flagged else None
    return _cell(made, row, card, row["msa"], in_domain)


def _cell(
    made: Configuration, row: dict[Any, Any], card: StudyCard, msa: float, in_domain: bool | None
) -> dict[str, Any]:
    modality = card.modalities[row["modality"]]
    reported = not np.isnan(msa)
    return {
        "source": "published",
        "method": made.label,
        "key": card.name_of(made.key),
        "data": row["dataset"],
        "data_label": row["dataset_name"],
        "modality": modality,
        "score": msa,
        "images": card.images.get(row["dataset"], pd.NA) if reported else pd.NA,
        "groups": pd.NA,
        "status": COMPLETE if reported else NOT_REPORTED,
        "reason": "",
        "in_domain": pd.NA if in_domain is None else in_domain,
        "protocol": card.protocol,
        "split": card.split,
        "weights": made.weights_for(modality),
        "mark": "",
        **UNMARKED,
        "control": False,
        "lost": "",
        "run": "",
        "run_id": "",
        "images_id": "",
        "truth": "",
        "set_aside": "",
        "result": "",
        "variant_of": card.variants.get(card.name_of(made.key), ""),
        "ranked": made.shown,
        "labelled": "",
        "selection": "",
    }
