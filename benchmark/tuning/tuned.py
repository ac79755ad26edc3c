"""From a job that asks to be tuned to the job of the parameters that were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.console import note, say
from benchmark.errors import StoreError, UsageError
from benchmark.job import Job
from benchmark.own_yaml import read_yaml
from benchmark.report.text import counted
from benchmark.store.identity import read_stored, run_id
from benchmark.store.shapes import Choice
from benchmark.store.shapes import Selection as Stored
from benchmark.tuning.choose import make_choice
from benchmark.tuning.images import Seen, is_own
from benchmark.tuning.selection import grid_name, point_in_words
from benchmark.tuning.words import override_value


def tuned_job(job: Job) -> Job:
    """The job of the parameters that validation images choose, or that a YAML has chosen.

    What is missing of the search is predicted first.

    Args:
        job: with `tuned`; its model can be tuned (`benchmark.tuning.choose.check_tunable`).

    Raises:
        UsageError: no image is left to choose, or the YAML does not hold a choice.
        NothingChosenError: too many images of the search fail.
        SkippedError: the model can't run here.
    """
    if isinstance(job.settings.tuned, str):
        return _of_yaml(job, Path(job.settings.tuned))
    choosing = job if is_own(job) else job.of_split("val")
    made = make_choice(choosing, job.data, wait=True)
    for line in made.selection.findings():
        note(line)
    stored = made.selection.stored(run_id(job.identity), made.search)
    return _with(job, stored)


def was_asked_for(stored: Stored, job: Job) -> bool:
    """Whether a choice that a run keeps is the one that a job asks for; by names alone."""
    tune, tuned = job.settings.tune, job.settings.tuned
    same = (stored["model"], stored["config"]) == (job.model_name, job.settings.model["name"])
    if isinstance(tuned, str):
        try:
            choice: Any = read_stored(choice_beside(Path(tuned)), Choice)
        except StoreError:
            return False
        return same and all(stored[key] == choice[key] for key in (*_KEPT, "search"))  # type: ignore[literal-required]
    asked = (job.settings.data["name"], grid_name(tune.grid), tune.metric, tune.rule.name)
    found = (stored["data"], stored["grid"], stored["metric"], stored["rule"])
    return same and found == asked and stored["limit"] == tune.limit


def choice_beside(path: Path) -> Path:
    """The choice that a YAML was written with."""
    return path.parent.parent / "choice.json"


def _with(job: Job, stored: Stored) -> Job:
    default = stored["default"]
    changed = {k: v for k, v in stored["chosen"].items() if v != default[k]}
    words = [f"{name}={override_value(value)}" for name, value in changed.items()]
    say(f"tuned: {point_in_words(changed) or 'the default is kept'}")
    return replace(job.with_parameters(changed, words), selection=stored)


def _of_yaml(job: Job, path: Path) -> Job:
    """The job of a choice that was written before.

    Raises:
        UsageError: the file is not a choice for this model, was edited, or was chosen on images
            that are to be tested.
    """
    content = read_yaml(path)
    try:
        choice: Any = read_stored(choice_beside(path), Choice)
    except StoreError as error:
        raise UsageError(
            f"tuned={path} must be a YAML that action=tune wrote, with choice.json in the folder "
            f"above it: {error}"
        ) from error
    model = dict(job.settings.model)
    default, chosen = choice["default"], choice["chosen"]
    changed = {name: value for name, value in chosen.items() if value != default[name]}
    expected = {key: value for key, value in {**model, **changed}.items() if key != "name"}
    found = {str(key): value for key, value in _plain(content).items() if key != "name"}
    if found != expected:
        differing = sorted(
            key for key in {*found, *expected} if found.get(key, _NO) != expected.get(key, _NO)
        )
        raise UsageError(
            f"tuned={path} is not model '{job.model_name}' with the parameters that were chosen: "
            f"{', '.join(differing)} differ. Choose again with action=tune, or test the file as a "
            f"model of its own: --config-dir {path.parent.parent} model={path.stem}."
        )
    seen = Seen(frozenset(choice["digests"]), frozenset(choice["group_names"]))
    both_own = is_own(job) and choice["split"] == "test"  # which may be parts of one data set
    if choice["data"] != job.data.name and not both_own:  # groups may only share a name
        seen = replace(seen, groups=frozenset())
    tested = [entry for entry in job.requested if seen.holds(entry)]
    may_share = job.protocol.val_images == "shared" and not is_own(job)
    if tested and not may_share:
        raise UsageError(
            f"tuned={path}: {counted(len(tested), 'image')} of data '{job.data.name}' that would "
            f"be tested, or of their groups, chose the parameters, e.g. '{tested[0].id}'. Test on "
            "other images."
        )
    groups = {entry.group for entry in tested}
    stored: Stored = {
        "search": choice["search"],
        "model": job.model_name,
        "config": str(model["name"]),
        "default_run": run_id(job.identity),
        **{key: choice[key] for key in _KEPT},  # type: ignore[typeddict-item]
        "left_out_images": choice["left_out"]["images"],
        "left_out_groups": choice["left_out"]["groups"],
        "tested_images": len(tested),
        "tested_groups": len(groups),
        "promised": choice["gain"],
    }
    return _with(job, stored)


_KEPT = (
    "data", "split", "limit", "images", "groups", "trained", "grid", "metric", "rule", "default",
    "chosen", "lower",
)  # fmt: skip
_NO = object()


def _plain(content: Any) -> Mapping[Any, Any]:
    from omegaconf import OmegaConf

    found = OmegaConf.to_container(content, resolve=False) if OmegaConf.is_config(content) else {}
    return found if isinstance(found, dict) else {}
