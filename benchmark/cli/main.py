"""The command line; with the rest of this package the only place that knows Hydra."""

from __future__ import annotations

import importlib
import logging
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import __version__
from benchmark.choices import CHECKOUT, GROUPS, choices, config_folders
from benchmark.cli.flags import split
from benchmark.console import complain, note, say
from benchmark.errors import DONE, INTERRUPTED, PARTIAL, USAGE, BenchmarkError, UsageError
from benchmark.import_path import put_working_directory_last
from benchmark.settings import TOP_LEVEL, Action

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

USAGE_TEXT = """\
python -m benchmark [model=<name>] [data=<name>] [action=<name>] [<key>=<value> ...]

Segments the images of a data set with a model, scores every image, stores every
result, and prints a table. Running it again resumes where it stopped.
"""
KEYS_TEXT = """\
options (flags may stand anywhere)
  limit=3                  the first 3 samples only
  overwrite=missing        run samples not tried before (default) | errors: also failed ones | all
  errors.max_failures=0    samples that may fail: a number, or a fraction such as 0.1
  device=auto              auto | cpu | cuda | mps
  threads=4  seed=0        threads of numerical libraries (default: all cores but
                           one); seed of every prediction
  workers=2                processes that prepare or rescore data (default: one per
                           core)
  cache=20GB               disk space for stored embeddings, for models that store them | off
  data.images='a/*.tif'    your own images; without data= it means data=folder
  data.split=test          test | val | all
  data.root=<folder>       folder of public data sets, existing or to be downloaded
  model.<parameter>=...    any parameter in configs/model/<name>.yaml
  model.tile=[512,512]     predict images in tiles: rows and columns | auto: those that the model
                           would shrink by more than 2 (default for your own) | off;
                           model.halo=[64,64]: what is added on each side
  model.rescale=0.5        scale images before prediction; {diameter:30}: so that the
                           median object of validation images gets that size
  model.weights=<name>     name of published weights, or /path/to/file
  weights_dir=<folder>     folder of weights that you downloaded yourself
  weights_unsafe=true      load a checkpoint even if that executes code in it
  results=<folder>         folder of runs and reports
  source=both              action=report: runs (default) | published: the study's numbers | both
  format=html              action=report: also a site, which opens without a server
  format=json              action=list, status, report: JSON instead of tables
  format=labels            action=export, segment: labels (default) | geojson | roi | seg_npy | csv
                           | napari (prints commands)
  output=<folder>          action=export, segment: where the files go
  gallery.private=true     all images, and marks the site; false: those that may be passed on, of
                           your own images those run with data.redistribute=true
  with_demo=true           compare runs of demonstration weights with published numbers
  study_ranks=true         ranks as the study gave them, of equal methods one simply first
  truth=<data set>         of data sets with the same images but other labels, the one that
                           enters means; action=compare: the labels to compare on
  metric=pq                rank and draw by another metric; action=list names them
  protocol=clean           score under another protocol; action=report, status: of it alone
  check=full               action=check: also score the stored predictions again
  tune.grid={sigma:[1,2]}  action=tune: parameters and values, or a file in configs/grid/
                           (default | study); tune.limit=25: images that choose
  tune.metric=msa          action=tune: what the choice is by
  tune.rule=safe           action=tune: keep the default unless the gain is real (default)
                           | best
  tune.folds=5             action=tune: also what the choice delivers on images that did
                           not choose
  tuned=true               choose on validation images as action=tune does, and test with
                           that | false (default) | the YAML that action=tune wrote
  comparison.reference=otsu    the method that each other one is compared with
  comparison.pairs=[[a,b]]     methods to set against each other over data sets
  lease.wait=true          wait while another process works on the same run
  shard=3/8                every eighth sample, from the third; other jobs run the rest
  -m model=a,b data=x,y    every combination; those with equal weights share a process
  -m ... shards=8          each of them split over 8 jobs
  -m ... report=true       at the end, the report of all runs
  +experiment=paper        a sweep from configs/experiment/; with action=status: its progress
  +launcher=slurm          a sweep as Slurm jobs; options: hydra.launcher.partition=..., ...
  --version                the version of this benchmark
  --config-dir <folder>    your own model/<name>.yaml and data/<name>.yaml in addition to
                           ours; they are code (_target_ names a class to run): use
                           only what you trust

exit status: 0 everything requested is done; 1 partial, failed or skipped; 2 usage
"""

# Values of these are taken as they are: patterns and regular expressions are full of
# characters that mean something to Hydra.
FREE_TEXT = (
    "data.images",
    "data.labels",
    "data.root",
    "data.group",
    "data.name",
    "model.predictions",
    "model.weights",
    "weights_dir",
    "results",
    "datasets",
    "output",
    "tuned",
    "a",
    "b",
)
SHOWN_BY_HYDRA = {"--cfg", "--info", "--hydra-help", "--shell-completion"}
"""Flags that only show what Hydra knows, or set up completion."""


def main() -> int:
    """Run the command line.

    Returns:
        The exit status.
    """
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        say(help_text(config_folders(arguments)))
        return DONE
    if "--version" in arguments:
        say(f"cell-segmentation-benchmark {__version__}")
        return DONE
    try:
        put_working_directory_last()
        _check_installed()
        folders = config_folders(arguments)
        flags, overrides = split(arguments, folders)
        plain = [_plain(override, folders) for override in overrides]
        return _run(flags, [_quoted(override) for override in _with_folder(plain)])
    except BenchmarkError as error:
        complain(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        note("interrupted; stored results stay valid, and running the same command again resumes")
        return INTERRUPTED


def help_text(folders: Sequence[Path]) -> str:
    """Usage, and everything that can be chosen, with a line each."""
    lines = [USAGE_TEXT]
    titles = {"model": "models", "data": "data sets", "protocol": "protocols"}
    sections = {titles[group]: choices(group, folders) for group in GROUPS}
    sections["actions"] = {action.name: str(action.value) for action in Action}
    for title, names in sections.items():
        width = max((len(name) for name in names), default=0)
        lines.append(title)
        lines += [f"  {name:<{width}}  {about}" for name, about in names.items()]
        lines.append("")
    return "\n".join([*lines, KEYS_TEXT])


def _check_installed() -> None:
    """Make sure that worker processes import this checkout; they import what is installed.

    Raises:
        UsageError: another one is installed; results would come from two versions of the code.
    """
    specs = (finder.find_spec("benchmark", None) for finder in sys.meta_path)
    installed = next((Path(spec.origin).resolve() for spec in specs if spec and spec.origin), None)
    if installed != CHECKOUT / "benchmark" / "__init__.py":
        found = f"has {installed.parent.parent}" if installed else "has none"
        raise UsageError(
            f"this is the checkout {CHECKOUT}, but the environment {found} installed, which worker "
            f"processes would import. Run first: pip install -e {shlex.quote(str(CHECKOUT))}"
        )


def _plain(override: str, folders: Sequence[Path]) -> str:
    """An override without a needless `+`.

    Hydra accepts any key after a `+`, also one that has no effect. It is needed to select from
    groups other than ours, and for a parameter of a model that its YAML lacks.

    Raises:
        UsageError: the override has no key.
    """
    bare = override.lstrip("+")
    key, equals, _ = bare.partition("=")
    if equals and not key:
        raise UsageError(f"'{override}' is not of the form key=value.")
    group = re.split("[.@]", key)[0]
    if group.startswith("hydra") or (group not in GROUPS and choices(group, folders)):
        return override
    return override if override.startswith("+model.") else bare


def _with_folder(overrides: Sequence[str]) -> list[str]:
    """The overrides, with data=folder before them if images are named and no data set is chosen."""
    keys = {override.lstrip("+~").partition("=")[0] for override in overrides}
    # An experiment, as any group of the user's own, may choose the data set.
    groups = {key for key in keys if not (key in TOP_LEVEL or "." in key or "hydra" in key)}
    if "data.images" not in keys or "data" in keys or groups - {"launcher"}:
        return [*overrides]
    note("data=folder, as data.images is given without data=")
    return ["data=folder", *overrides]


def _quoted(override: str) -> str:
    """An override with its free text quoted for Hydra."""
    key, equals, value = override.partition("=")
    if equals and key in GROUPS:  # a name that Hydra would read as a number
        parts = (f"'{part}'" if _NO_NAME.fullmatch(part) else part for part in value.split(","))
        return f"{key}={','.join(parts)}"
    if not equals or key.lstrip("+") not in FREE_TEXT or value[:1] in ("'", '"'):
        return override
    if key == "model.weights" and re.fullmatch(r"[\w.,-]+", value):
        return override  # names, not a path: several of them are a sweep
    if key == "tuned" and not (value.endswith((".yaml", ".yml")) and "," not in value):
        return override
    # In Hydra's quotes a backslash means itself, except before a quote.
    escaped = value.replace("\\'", "\\\\'").replace("'", "\\'")
    if escaped.endswith("\\"):
        escaped += "\\"
    return f"{key}='{escaped}'"


_NO_NAME = re.compile(r"null|true|false|nan|inf|[-+.\d_]+(?:e[-+]?\d+)?", re.IGNORECASE)


def _run(flags: Sequence[str], overrides: Sequence[str]) -> int:
    """Do what the command line asks for; explain Hydra's errors about it."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from benchmark.cli.explain import explain

    try:
        return _dispatch(dict(flag.partition("=")[::2] for flag in flags), overrides)
    except (HydraException, OmegaConfBaseException) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        complain(explain(error, config_folders()))
        return USAGE


def _dispatch(flags: Mapping[str, str], overrides: Sequence[str]) -> int:
    """Compose the configuration, and run the job or the sweep that it describes.

    Args:
        flags: with their values.
        overrides: in the order given.
    """
    from hydra.types import RunMode

    from benchmark.cli.hydra_config import config_loader, load, opened, show

    loader = config_loader()
    if SHOWN_BY_HYDRA & flags.keys():
        if "--shell-completion" not in flags:  # its arguments are no overrides
            load(loader, overrides)
        return show(flags, overrides)
    of_job = [each for each in overrides if not each.lstrip("+~").startswith(("hydra.", "hydra/"))]
    is_sweep = "--multirun" in flags
    # Parameters of choices that a sweep varies may be unknown to the default ones.
    config = load(loader, opened(overrides), RunMode.MULTIRUN, sweeps_anyway=not is_sweep)
    if is_sweep or config.hydra.mode is RunMode.MULTIRUN:
        return _sweep(loader, config, of_job)
    return _perform(load(loader, overrides), of_job)


def _sweep(loader: ConfigLoader, config: DictConfig, overrides: Sequence[str]) -> int:
    """Run a sweep by our plug-ins.

    Args:
        loader: Hydra's, of configurations.
        config: of the sweep itself.
        overrides: of its jobs, some with several values.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext

    from benchmark.cli.hydra_config import check_plugins

    check_plugins(config)
    HydraConfig.instance().set_config(config)  # for `${hydra:...}`
    sweeper = Plugins.instance().instantiate_sweeper(
        hydra_context=HydraContext(loader, callbacks=None),  # type: ignore[arg-type]  # none allowed
        task_function=partial(_perform, overrides=overrides),
        config=config,
    )
    status: int = sweeper.sweep([*overrides])
    return status


def _perform(config: Any, overrides: Sequence[str]) -> int:
    """Do the action of one job.

    Args:
        config: composed.
        overrides: of the job.
    """
    from benchmark.parent import end_with_parent
    from benchmark.sweeps.process import PARENT, complete_outcome
    from benchmark.threads import limit_threads

    logging.getLogger().setLevel(logging.ERROR)  # what libraries log below is not for users
    if PARENT in os.environ:  # two sweeps, one of them started again, must not share a GPU
        end_with_parent(int(os.environ.pop(PARENT)))

    limit_threads(config.threads)
    from benchmark.cli.compose import make_job  # only now: numpy reads the threads once

    job = make_job(config, overrides)
    action = importlib.import_module(f"benchmark.actions.{job.settings.action.name}")
    try:
        status: int = action.perform(job)
    except MemoryError:
        complain("out of memory; stored results stay valid")
        return PARTIAL
    except SystemExit as end:  # of a model or a library: with status 0 it would pass as done
        complain(
            f"the process was ended from within (SystemExit: {end.code}), by model "
            f"'{job.model_name}' or a library; stored results stay valid"
        )
        return PARTIAL
    complete_outcome()
    return status
