"""Which images choose: none that are tested, and which of them the weights may know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmark.data.prepared import Entry, PreparedData
from benchmark.errors import UsageError
from benchmark.job import Job
from benchmark.report.text import counted
from benchmark.report.training import training_splits


@dataclass(frozen=True)
class Count:
    """Images, and the groups that they are of."""

    images: int = 0
    groups: int = 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Count:
        """Count images."""
        found = list(entries)
        return cls(len(found), len({entry.group for entry in found}))

    def __str__(self) -> str:
        """`3 images of 2 groups`."""
        return f"{counted(self.images, 'image')} of {counted(self.groups, 'group')}"


@dataclass(frozen=True)
class Choosing:
    """The images that choose.

    Attributes:
        entries: labelled images.
        unlabelled: how many are left out, as they have no labels.
        left_out: what is left out, as the images or others of their groups are tested.
        tested: what is tested all the same, as the protocol shares images between the splits.
        trained: whether the weights may have been trained on these images.
    """

    entries: Sequence[Entry]
    unlabelled: int = 0
    left_out: Count = Count()
    tested: Count = Count()
    trained: bool = False

    def remarks(self) -> list[str]:
        """What to know about them, in sentences."""
        lines = []
        if self.left_out.images:
            lines.append(f"Left out of the choice, as they are tested: {self.left_out}.")
        if self.tested.images:
            lines.append(
                f"Of the images that choose, {self.tested} are tested as well: the score on the "
                "test images is too good."
            )
        if self.trained:
            lines.append(
                "The weights may have been trained on these images: what is chosen may fit only "
                "them."
            )
        if self.unlabelled:
            every = self.unlabelled + len(self.entries)
            lines.append(f"{self.unlabelled} of {every} images have no labels and can't choose.")
        return lines


def choosing_images(job: Job, tested: PreparedData | None) -> Choosing:
    """The images of a job that choose.

    Args:
        job: of the validation images.
        tested: the images that results are reported on; None: nobody knows them.

    Raises:
        UsageError: no image is left.
    """
    limit = job.settings.tune.limit
    seen = Seen.of(tested)
    shared = job.protocol.val_images == "shared" and not is_own(job)
    free = [entry for entry in job.requested if shared or not seen.holds(entry)]
    left_out = [entry for entry in job.requested if not shared and seen.holds(entry)]
    if not free:
        raise UsageError(
            f"data '{job.data.name}': no image is left to choose parameters, as all "
            f"{len(left_out)} are tested, or others of their groups are. {_instead(job)}"
        )
    wanted = free[:limit]
    entries = [entry for entry in wanted if not entry.is_unlabelled]
    if not entries:
        raise UsageError(f"no image of data '{job.data.name}' that was asked for has labels.")
    return Choosing(
        entries,
        len(wanted) - len(entries),
        Count.of(left_out),
        Count.of(filter(seen.holds, entries)),
        may_be_trained_on(job),
    )


@dataclass(frozen=True)
class Seen:
    """The images that are tested.

    Attributes:
        digests: of their pixels.
        groups: of several images (volumes, slides, movies). That two images have one file name
            makes them no group.
    """

    digests: frozenset[str | None]
    groups: frozenset[str]

    @classmethod
    def of(cls, data: PreparedData | None) -> Seen:
        """Of prepared data."""
        return cls.of_entries([] if data is None else data.entries)

    @classmethod
    def of_entries(cls, entries: Sequence[Entry]) -> Seen:
        """Of samples."""
        return cls(
            frozenset(entry.image_digest for entry in entries if entry.image_digest),
            frozenset(entry.group for entry in entries if _is_group(entry)),
        )

    def holds(self, entry: Entry) -> bool:
        """Whether an image, or another one of its group, is among them."""
        of_group = _is_group(entry) and entry.group in self.groups
        return of_group or entry.image_digest in self.digests


def _is_group(entry: Entry) -> bool:
    return entry.group != entry.original


def is_own(job: Job) -> bool:
    """Whether the images are the user's own, which have no splits."""
    return "images" in job.settings.data


def _instead(job: Job) -> str:
    if is_own(job):
        return (
            "Choose on other images of yours (action=tune data.images=...), and test with "
            "tuned=<the YAML that it writes>; tune.folds=5 with action=tune says what a choice on "
            "these images would deliver on new ones."
        )
    return "protocol=paper chooses as the study did, and its results say so."


def may_be_trained_on(job: Job) -> bool:
    """Whether the job's weights may have been trained on its validation images.

    So it is where their card names the data set with anything but its training split, or where
    the protocol takes the validation images from that (`val_training`).
    """
    weights = job.weights
    if weights is None or weights.mark not in ("verified", "demo"):
        return False
    splits = training_splits(weights.name).get(job.data.name.casefold(), frozenset())
    held_back = job.protocol.val_training == "unseen"
    from_training = "val_training" in (job.settings.data.get("quirks") or ()) and not held_back
    return bool(splits - {"train"}) or (bool(splits) and from_training)
