"""What a search chooses, and how that is written: a table, and a model's YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.job import Job
from benchmark.report.tables import formats
from benchmark.report.tables.table import Cell, Column, Table, number, words
from benchmark.report.text import counted
from benchmark.scoring.metrics import Metric
from benchmark.stats.choice import Choice, Delivered, choose, delivered
from benchmark.stats.permutation import FEWEST_FOR_P
from benchmark.store.digest import json_digest
from benchmark.store.files import disk_errors, path_of_id, write_whole
from benchmark.store.names import safe_name
from benchmark.store.shapes import Selection as Stored
from benchmark.tuning.grid import Grid, Point
from benchmark.tuning.images import Choosing, Seen
from benchmark.tuning.search import Scores
from benchmark.tuning.words import override_value


@dataclass(frozen=True)
class Selection:
    """The choice of one rule, by one metric.

    Attributes:
        job: the model and the images.
        grid: the points.
        scores: what it is made from.
        metric: by which.
        rule: `safe` or `best`.
        choice: the best point, and how sure its gain is.
        images: those that choose.
        delivered: by `tune.folds`, what the choice delivers on images that did not choose.
    """

    job: Job
    grid: Grid
    scores: Scores
    metric: Metric
    rule: str
    choice: Choice
    images: Choosing
    delivered: Delivered | None = None

    @classmethod
    def of(
        cls, job: Job, grid: Grid, scores: Scores, metric: Metric, images: Choosing
    ) -> Selection:
        """Choose by the rule of the job."""
        tune, seed = job.settings.tune, job.settings.seed
        given, far = (scores.values, scores.groups), grid.distances()
        found = choose(*given, far, seed)
        folds = min(tune.folds or 0, found.groups)
        nested = delivered(*given, tune.rule.name, folds, far, seed) if folds > 1 else None
        return cls(job, grid, scores, metric, tune.rule.name, found, images, nested)

    @property
    def point(self) -> Point:
        """The chosen one."""
        return self.grid.points[self.choice.of_rule(self.rule)]

    @property
    def changed(self) -> Point:
        """Of the chosen point the parameters that differ from the default."""
        default = self.grid.points[0]
        return {name: value for name, value in self.point.items() if value != default[name]}

    def overrides(self) -> list[str]:
        """The chosen parameters as overrides of the command line."""
        known = self.job.settings.model
        return [
            f"{'' if name in known else '+'}model.{name}={override_value(value)}"
            for name, value in self.changed.items()
        ]

    @property
    def table_title(self) -> str:
        """`apg, tuned on 25 val images of livecell`."""
        is_val = str(self.job.settings.data["split"]) == "val"  # one's own images have no splits
        images = counted(len(self.scores.groups), "val image" if is_val else "image")
        return f"{self.job.model_name}, tuned on {images} of {self.job.data.name}"

    def table(self) -> Table:
        """The effect of each axis, and what the choice promises."""
        means = self.scores.values.mean(0) * self.metric.sign
        rows = []
        for name, values in self.grid.axes.items():
            for value in values:
                of_value = [n for n, p in enumerate(self.grid.points) if p[name] == value]
                best = means[of_value] * self.metric.sign
                signs = [
                    sign
                    for sign, point in (("default", self.grid.points[0]), ("chosen", self.point))
                    if point[name] == value
                ]
                rows.append(
                    [
                        words(name),
                        Cell(override_value(value), value),
                        number(float(means[of_value].mean())),
                        number(float(best.max()) * self.metric.sign),
                        words(", ".join(signs)),
                    ]
                )
        return Table(
            "tuning",
            self.table_title,
            [
                Column("parameter"),
                Column("value", right=True),
                Column(f"mean {self.metric.title}", right=True),
                Column(f"best {self.metric.title}", right=True),
                Column(""),
            ],
            rows,
            [
                "Mean and best are over all points of the grid with this value; each point's score "
                "is its mean over images.",
                *self.remarks(),
            ],
        )

    def remarks(self) -> list[str]:
        """What has to be known of the choice, and of the images that made it."""
        return [*self.findings(), *self.images.remarks()]

    def findings(self) -> list[str]:
        """What the choice promises, how sure that is, and what to widen."""
        found, default = self.choice, self.scores.values[:, 0].mean() * self.metric.sign
        size, title = len(self.grid.points), self.metric.title
        by = "higher" if self.metric.higher_is_better else "lower"
        lines = [
            f"{counted(size, 'point')}; the default has {title} {default:.3f}, the best point "
            f"promises {abs(found.gain):.3f} {by} ({point_in_words(self.grid.points[found.best])})."
        ]
        if found.lower is None:
            lines.append(
                f"{counted(found.groups, 'group')}: fewer than {FEWEST_FOR_P} can't show that a "
                "gain is real" + (", so the default is kept." if self.rule == "safe" else ".")
            )
        else:
            lines.append(
                f"Choosing among these points by chance alone promises {found.by_chance:.3f}. The "
                f"gain of the best is at least {found.lower:+.3f} (lower end of the 95 % "
                f"interval, over {counted(found.groups, 'group')})"
                + (": the default is kept." if self.rule == "safe" and not found.safe else ".")
            )
        if self.rule == "safe" and found.safe not in (0, found.best):
            lines.append(
                "Chosen is the point nearest the default that can't be told apart from the best; "
                f"it promises {found.safe_gain:.3f}, at least {found.safe_lower:+.3f}."
            )
        lines += self._delivered_in_words()
        if found.differs is not None:
            lines.append(
                f"Another point is the best in {found.differs:.0%} of bootstrap resamples of the "
                "groups."
            )
        edges = [name for name in self.grid.edges(self.point) if name in self.changed]
        if edges:
            lines.append(f"On the edge of the grid, which could be widened: {', '.join(edges)}.")
        if self.scores.undefined:
            lines.append(
                f"{counted(self.scores.undefined, 'image')} left out: {title} is undefined there "
                "for a point."
            )
        return lines

    def _delivered_in_words(self) -> list[str]:
        nested = self.delivered
        if nested is None:
            return []
        if not any(nested.chosen):
            return [
                f"{len(nested.chosen)} folds: without each of them the default is kept, so that "
                "nothing is gained on images that did not choose."
            ]
        between = ""
        if nested.low is not None and nested.high is not None:
            between = f" (95 % interval {nested.low:+.3f} to {nested.high:+.3f})"
        kept = nested.chosen.count(0)
        return [
            f"{len(nested.chosen)} folds: on images that did not choose, the choice gains "
            f"{nested.gain:+.3f}{between}; {len(set(nested.chosen))} different points are chosen"
            + (f", in {kept} folds the default." if kept else ".")
        ]

    def _delivered(self) -> dict[str, Any] | None:
        nested = self.delivered
        if nested is None:
            return None
        points = [self.grid.points[number] for number in nested.chosen]
        return {"gain": nested.gain, "low": nested.low, "high": nested.high, "chosen": points}

    def stored(self, default_run: str, search: str) -> Stored:
        """What a run keeps of it.

        Args:
            default_run: the id of the run of the default parameters on the images tested.
            search: the digest of the search.
        """
        images = self.images
        return {
            "search": search,
            "model": self.job.model_name,
            "config": str(self.job.settings.model["name"]),
            "default_run": default_run,
            "data": self.job.data.name,
            "split": str(self.job.settings.data["split"]),
            "limit": self.job.settings.tune.limit,
            "images": len(self.scores.groups),
            "groups": self.choice.groups,
            "left_out_images": images.left_out.images,
            "left_out_groups": images.left_out.groups,
            "tested_images": images.tested.images,
            "tested_groups": images.tested.groups,
            "trained": images.trained,
            "grid": grid_name(self.job.settings.tune.grid),
            "metric": self.metric.name,
            "rule": self.rule,
            "default": self.grid.points[0],
            "chosen": self.point,
            "promised": self.choice.gain,
            "lower": self.choice.lower,
        }

    def write(self, folder: Path, search: str) -> Path:
        """Write the choice, the table, and the chosen parameters as a model's YAML.

        Args:
            folder: of the search; a folder named by metric and rule is added to it.
            search: its digest.

        Returns:
            That folder, for `--config-dir`.

        Raises:
            StoreError: it can't be written.
        """
        from omegaconf import OmegaConf

        place = path_of_id(folder, safe_name(f"{self.metric.name}-{self.rule}"))
        with disk_errors(place):
            (place / "model").mkdir(parents=True, exist_ok=True)
        table = self.table()
        for suffix in ("md", "csv"):
            text = formats.FORMATS[suffix](table)
            write_whole(place / f"table.{suffix}", text.encode())
        seen = Seen.of_entries(self.images.entries)
        about = {
            "rule": self.rule,
            "metric": self.metric.name,
            "grid": grid_name(self.job.settings.tune.grid),
            "data": self.job.data.name,
            "split": str(self.job.settings.data["split"]),
            "limit": self.job.settings.tune.limit,
            "images": len(self.scores.groups),
            "undefined": self.scores.undefined,
            "left_out": asdict(self.images.left_out),
            "tested": asdict(self.images.tested),
            "trained": self.images.trained,
            "search": search,
            "default": self.grid.points[0],
            "best": self.grid.points[self.choice.best],
            "chosen": self.point,
            **{k: v for k, v in asdict(self.choice).items() if k not in ("best", "safe")},
            "delivered": self._delivered(),
            "digests": sorted(filter(None, seen.digests)),
            "group_names": sorted(seen.groups),
        }
        write_whole(place / "choice.json", f"{json.dumps(about, indent=1)}\n".encode())
        head = " ".join(f"# {table.title}, by {self.metric.name}".splitlines())
        content = dict(self.job.settings.model) | self.changed | {"name": self.model}
        yaml = OmegaConf.to_yaml(OmegaConf.create(content))
        write_whole(path_of_id(place / "model", self.model, ".yaml"), f"{head}\n{yaml}".encode())
        return place

    @property
    def model(self) -> str:
        """The name of the model with the chosen parameters."""
        return safe_name(f"{self.job.settings.model['name']}_tuned")


def grid_name(grid: Any) -> str:
    """The name of a grid; of parameters and values given, the beginning of a digest."""
    return grid if isinstance(grid, str) else f"own {json_digest(grid)[:6]}"


def point_in_words(point: Mapping[str, Any]) -> str:
    """`sigma=2, min_size=50`."""
    return ", ".join(f"{name}={override_value(value)}" for name, value in point.items())
