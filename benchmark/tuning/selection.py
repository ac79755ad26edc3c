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
from benchmark.stats.choice import Choice, choose
from benchmark.stats.permutation import FEWEST_FOR_P
from benchmark.store.files import disk_errors, path_of_id, write_whole
from benchmark.store.names import safe_name
from benchmark.tuning.grid import Grid, Point
from benchmark.tuning.search import Scores


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
    """

    job: Job
    grid: Grid
    scores: Scores
    metric: Metric
    rule: str
    choice: Choice

    @classmethod
    def of(cls, job: Job, grid: Grid, scores: Scores, metric: Metric) -> Selection:
        """Choose by the rule of the job."""
        found = choose(scores.values, scores.groups, grid.distances(), job.settings.seed)
        return cls(job, grid, scores, metric, job.settings.tune.rule.name, found)

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
            f"{'' if name in known else '+'}model.{name}={_written(value)}"
            for name, value in self.changed.items()
        ]

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
                        Cell(_written(value), value),
                        number(float(means[of_value].mean())),
                        number(float(best.max()) * self.metric.sign),
                        words(", ".join(signs)),
                    ]
                )
        is_val = str(self.job.settings.data["split"]) == "val"  # one's own images have no splits
        images = counted(len(self.scores.groups), "val image" if is_val else "image")
        return Table(
            "tuning",
            f"{self.job.model_name}, tuned on {images} of {self.job.data.name}",
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
        """What the choice promises, how sure that is, and what to widen."""
        found, default = self.choice, self.scores.values[:, 0].mean() * self.metric.sign
        size, title = len(self.grid.points), self.metric.title
        by = "higher" if self.metric.higher_is_better else "lower"
        lines = [
            f"{counted(size, 'point')}; the default has {title} {default:.3f}, the best point "
            f"promises {abs(found.gain):.3f} {by} ({_point(self.grid.points[found.best])})."
        ]
        if found.lower is None:
            lines.append(
                f"{counted(found.groups, 'group')}: fewer than {FEWEST_FOR_P} can't show that a "
                "gain is real" + (", so the default is kept." if self.rule == "safe" else ".")
            )
        else:
            lines.append(
                f"Choosing among these points by chance alone promises {found.by_chance:.3f}. The "
                f"gain of the choice is at least {found.lower:+.3f} (lower end of the 95 % "
                f"interval, over {counted(found.groups, 'group')})"
                + ("." if found.lower > 0 or self.rule == "best" else ": the default is kept.")
            )
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

    def write(self, folder: Path) -> Path:
        """Write the choice, the table, and the chosen parameters as a model's YAML.

        Args:
            folder: of the search; a folder named by metric and rule is added to it.

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
        about = {
            "rule": self.rule,
            "metric": self.metric.name,
            "images": len(self.scores.groups),
            "undefined": self.scores.undefined,
            "default": self.grid.points[0],
            "best": self.grid.points[self.choice.best],
            "chosen": self.point,
            **{name: value for name, value in asdict(self.choice).items() if name != "best"},
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


def _written(value: Any) -> str:
    """A value as the command line and YAML write it."""
    return value if isinstance(value, str) else json.dumps(value)


def _point(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_written(value)}" for name, value in point.items())
