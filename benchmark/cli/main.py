"""The command line; with the rest of this package the only place that knows Hydra."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark import __version__
from benchmark.choices import CHECKOUT, CONFIGS, GROUPS, choices, config_folders
from benchmark.cli.flags import split
from benchmark.console import complain, note, say
from benchmark.errors import DONE, INTERRUPTED, PARTIAL, USAGE, BenchmarkError, UsageError
from benchmark.import_path import put_working_directory_last
from benchmark.settings import Action, Settings
from benchmark.sweeps.process import OPEN

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
  data.split=test          test | val | all
  data.root=<folder>       folder of public data sets, existing or to be downloaded
  model.<parameter>=...    any parameter in configs/model/<name>.yaml
  model.weights=<name>     name of published weights, or /path/to/file
  weights_dir=<folder>     folder of weights that you downloaded yourself
  weights_unsafe=true      load a checkpoint even if that executes code in it
  results=<folder>         folder of runs and reports
  source=both              action=report: runs (default) | published: the study's numbers | both
  format=html              action=report: also a site, which opens without a server
  gallery.private=true     also show images that may not be redistributed; marks the site
  with_demo=true           compare runs of demonstration weights with published numbers
  study_ranks=true         ranks as the study gave them, of equal methods one simply first
  metric=pq                rank and draw by another metric; action=list names them
  comparison.reference=otsu    the method that each other one is compared with
  comparison.pairs=[[a,b]]     methods to set against each other over data sets
  lease.wait=true          wait while another process works on the same run
  shard=3/8                every eighth sample, from the third; other jobs run the rest
  -m model=a,b data=x,y    every combination, each in a process of its own
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
    "a",
    "b",
)


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
        return _run_hydra(
            [*flags, *_opened([_quoted(_plain(word, folders)) for word in overrides])]
        )
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
    for title, entries in sections.items():
        width = max((len(name) for name in entries), default=0)
        lines.append(title)
        lines += [f"  {name:<{width}}  {told}" for name, told in entries.items()]
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


def _plain(word: str, folders: Sequence[Path]) -> str:
    """An override without a needless `+`.

    Hydra would accept any key after a `+`, and do nothing with it. Groups other than ours are
    selected by it, and it gives a model a parameter that its class has and its YAML lacks.

    Raises:
        UsageError: it has no key.
    """
    bare = word.lstrip("+")
    key, equals, _ = bare.partition("=")
    if equals and not key:
        raise UsageError(f"'{word}' is not of the form key=value.")
    group = re.split("[.@]", key)[0]
    if group.startswith("hydra") or (group not in GROUPS and choices(group, folders)):
        return word
    return word if word.startswith("+model.") else bare


def _quoted(word: str) -> str:
    """An override with its free text quoted for Hydra."""
    key, equals, value = word.partition("=")
    if equals and key in GROUPS:  # what Hydra takes for a number, say, is no name to it
        parts = (f"'{part}'" if _NO_NAME.fullmatch(part) else part for part in value.split(","))
        return f"{key}={','.join(parts)}"
    if not equals or key.lstrip("+") not in FREE_TEXT or value[:1] in ("'", '"'):
        return word
    if key == "model.weights" and re.fullmatch(r"[\w.,-]+", value):
        return word  # names, not a path: several of them are a sweep
    # In Hydra's quotes a backslash means itself, except before a quote.
    escaped = value.replace("\\'", "\\\\'").replace("'", "\\'")
    if escaped.endswith("\\"):
        escaped += "\\"
    return f"{key}='{escaped}'"


_NO_NAME = re.compile(r"null|true|false|nan|inf|[-+.\d_]+(?:e[-+]?\d+)?", re.IGNORECASE)


def _opened(words: list[str]) -> list[str]:
    """The words, with parameters of what is swept open to what only some of the choices have.

    Of a sweep over models Hydra first composes a configuration with the default model, and
    would refuse a parameter that this one has not. Each job gets the word as it was written.
    """
    swept = {word.partition("=")[0] for word in words if "," in word.partition("=")[2]}
    if any("experiment" in word.partition("=")[0] for word in words):
        swept |= {"model", "data"}
    parts = tuple(f"{group}." for group in GROUPS if group in swept)
    return [f"{OPEN}{word}" if word.startswith(parts) else word for word in words]


def _run_hydra(arguments: list[str]) -> int:
    """Let Hydra compose and fan out; the status comes back through `finished`."""
    import hydra
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from benchmark.cli import plugin
    from benchmark.cli.code_keys import guard_hydra
    from benchmark.cli.explain import YAMLError, explain

    if not CONFIGS.is_dir():
        raise UsageError(
            f"{CONFIGS} is missing: the benchmark runs from its checkout, installed there with "
            "pip install -e ."
        )
    ConfigStore.instance().store(name="settings", node=Settings)
    OmegaConf.register_new_resolver("checkout", lambda: str(CHECKOUT), replace=True)
    plugin.register()
    guard_hydra()
    finished: list[int] = []

    def task(config: Any) -> None:
        try:
            finished.append(_perform(config))
        except BenchmarkError as error:
            complain(str(error))
            finished.append(error.exit_status)

    # Hydra would print its own tracebacks and leave with status 1; raised, they are explained.
    asked_for_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = arguments
    try:
        hydra.main(config_path=str(CONFIGS), config_name="config", version_base="1.3")(task)()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        if asked_for_traceback:
            raise
        complain(explain(error, config_folders(arguments)))
        return USAGE
    finally:
        if not asked_for_traceback:
            del os.environ["HYDRA_FULL_ERROR"]
    return max([*finished, *plugin.statuses], default=DONE)


def _perform(config: Any) -> int:
    """One job: resolve the configuration and do its action."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    from benchmark.parent import end_with_parent
    from benchmark.sweeps.process import PARENT
    from benchmark.sweeps.warm_start import wait_for_start
    from benchmark.threads import limit_threads

    if PARENT in os.environ:  # two sweeps, one of them started again, must not share a GPU
        end_with_parent(int(os.environ.pop(PARENT)))

    limit_threads(config.threads)
    from benchmark.cli.compose import Composer, make_job  # only now: numpy reads the threads once

    hydra = HydraConfig.get()
    words = hydra.overrides.task
    if any(word.startswith(OPEN) for word in words):  # an experiment that is no sweep after all
        name = str(hydra.job.config_name)
        job = Composer(GlobalHydra.instance().config_loader(), name).job(words)
    else:
        job = make_job(config, words, hydra.runtime.choices)
    action = importlib.import_module(f"benchmark.actions.{job.settings.action.name}")
    wait_for_start(action.imports(job) if hasattr(action, "imports") else ())
    try:
        status: int = action.perform(job)
    except MemoryError:
        complain("out of memory; stored results stay valid")
        return PARTIAL
    return status
