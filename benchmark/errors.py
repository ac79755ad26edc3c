"""What can go wrong for a person, and the exit status it ends with.

Everything a user, a file or a disk can do wrong is raised as one of these, with
a message that says what happened, on which sample or file, and what to do. The
command line prints the message alone. Any other exception is a fault of ours
and keeps its traceback.
"""

DONE, PARTIAL, USAGE, INTERRUPTED = 0, 1, 2, 130


class BenchmarkError(Exception):
    """A problem a person can act on; `exit_status` is what the process ends with."""

    exit_status = PARTIAL


class UsageError(BenchmarkError):
    """The command is invalid: an unknown name, a wrong type, a missing override."""

    exit_status = USAGE


class NotImportedError(UsageError):
    """A class from elsewhere, asked for by an action that imports none."""


class DataError(BenchmarkError):
    """Images, labels or a manifest are not what they should be."""


class ModelError(BenchmarkError):
    """A model can't be built, or returned an invalid label image."""


class SkippedError(BenchmarkError):
    """This model can't run here (a library or weights are missing); nothing has gone wrong."""


class StoreError(BenchmarkError):
    """A run can't be read or written: disk full, read-only, damaged."""


class RunHeldError(StoreError):
    """Another live process works on the run."""


def import_problem(error: ImportError) -> str:
    """Say whether a library is missing, or is installed and can't be loaded."""
    if isinstance(error, ModuleNotFoundError):
        return f"a library that is not installed: {error}"
    return f"a library that is installed, but can't be loaded: {error}"
