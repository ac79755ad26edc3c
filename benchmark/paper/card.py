"""The published study as its data card describes it: configurations, and what stands for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.choices import CHECKOUT

PUBLISHED = CHECKOUT / "results" / "published"


@dataclass(frozen=True)
class Configuration:
    """A method as the study ran it.

    Attributes:
        key: what it is known by here.
        label: what tables call it.
        method: its name in the CSV; empty for one that the study never ran.
        setting: `default` or `grid_search`.
        model: the YAML in `configs/model` that stands for it; empty where none does.
        tuned: grid, metric and rule that chose its parameters; empty for default settings.
        weights: name of the weights' card, by modality (`default`: any other).
        shown: it is in the study's main figure.
        flagged: the study says on which data sets it is in-domain.
    """

    key: str
    label: str
    method: str = ""
    setting: str = "default"
    model: str = ""
    tuned: str = ""
    weights: Mapping[str, str] | str = ""
    shown: bool = False
    flagged: bool = True

    def weights_for(self, modality: str) -> str:
        """The name of the weights' card for data of a modality."""
        if isinstance(self.weights, str):
            return self.weights
        return self.weights.get(modality, self.weights["default"])


@dataclass(frozen=True)
class StudyCard:
    """`results/published/card.yaml`; what is for people alone stays in the file.

    Attributes:
        title: of the paper.
        citation: authors, place and year.
        protocol: that its numbers follow.
        split: that they are of.
        limits: what a reader has to know, in sentences.
        modalities: the CSV's names -> ours.
        configurations: by key, in the study's order.
        reference: key of the method that its tests compare with every other one.
        pairs: keys of the methods that it sets against each other.
        ablation: keys of variants of one method, which it sets against each other.
        tie_order: keys in the order in which the study's ranking left equal numbers.
        images: by data set, how many images its numbers are over; absent where unknown.
    """

    title: str
    citation: str
    protocol: str
    split: str
    limits: tuple[str, ...]
    modalities: Mapping[str, str]
    configurations: Mapping[str, Configuration]
    reference: str
    pairs: tuple[tuple[str, str], ...]
    ablation: tuple[tuple[str, str], ...]
    tie_order: tuple[str, ...]
    images: Mapping[str, int]

    def name_of(self, key: str) -> str:
        """What rows of runs and of the study name a configuration: the YAML that stands for it.

        Of a configuration without one, its key. Of a tuned one as `RunResult.method_key`.
        """
        made = self.configurations[key]
        name = made.model or key
        return f"{name} tuned {made.tuned}" if made.tuned else name

    @property
    def variants(self) -> dict[str, str]:
        """Name of a variant -> name of the method, the first of the ablation."""
        main = self.ablation[0][0]
        keys = dict.fromkeys(key for pair in self.ablation for key in pair if key != main)
        return {self.name_of(key): self.name_of(main) for key in keys}

    def key_of_column(self, method: str, setting: str) -> str:
        """The key of a configuration as the CSV names it.

        Raises:
            ValueError: the card has none.
        """
        for key, made in self.configurations.items():
            if (made.method, made.setting) == (method, setting):
                return key
        raise ValueError(f"the study's card has no configuration {method}, {setting}")

    @property
    def shown(self) -> list[str]:
        """Labels of the methods of the study's main figure."""
        return [made.label for made in self.configurations.values() if made.shown]

    def label(self, key: str) -> str:
        """What tables call a configuration."""
        return self.configurations[key].label


@cache
def study_card(folder: Path = PUBLISHED) -> StudyCard:
    """The card, read once."""
    from omegaconf import OmegaConf

    written: Any = OmegaConf.to_container(OmegaConf.load(folder / "card.yaml"))
    return StudyCard(
        **{key: written[key] for key in ("title", "citation", "protocol", "split")},
        limits=tuple(written["limits"]),
        modalities=written["modalities"],
        configurations={
            key: Configuration(key, **made) for key, made in written["configurations"].items()
        },
        reference=written["reference"],
        pairs=tuple((a, b) for a, b in written["pairs"]),
        ablation=tuple((a, b) for a, b in written["ablation"]),
        tie_order=tuple(written["tie_order"]),
        images=written["images"],
    )
