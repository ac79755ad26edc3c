"""Runs in processes of their own that are killed or waited for, and what they did."""

import os
import subprocess
import sys
from collections import defaultdict

from helpers.runs import command, environment

from benchmark.run import UNSTORED
from benchmark.store.store import RunStore

SECONDS = "0.25"  # per prediction, so that kills fall into every phase


_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")


def ends_before(moment, write, *arguments):
    """Write in a forked process that ends before its so-manieth change of the disk.

    Returns:
        Whether it ended before it was done.
    """
    child = os.fork()
    if child == 0:
        left = moment

        def count(event, arguments):
            nonlocal left
            writes = event == "open" and arguments[1] not in (None, "r", "rb")
            if event in _CHANGES or writes:
                left -= 1
                if left < 0:
                    os._exit(9)

        sys.addaudithook(count)
        write(*arguments)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def the_run(root):
    (store,) = RunStore.all(root / "results" / "runs")
    (key,) = store.score_bases()
    return store, key


def begin(root, trace, *words, waits_on=None):
    """A run; on one of its samples it waits until `may_go_on`, where that is asked for."""
    how = {"ODD": f"{waits_on}=wait"} if waits_on else {"SECONDS": SECONDS}
    return subprocess.Popen(
        command(root, *words), env=environment(TRACE=str(trace), **how), cwd=root,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def may_go_on(trace):
    trace.with_name(f"{trace.name}.go").touch()


def events(trace):
    """(event, sample, process) in order."""
    return [tuple(line.split()) for line in trace.read_text().splitlines()]


def assert_nothing_twice(trace, killed):
    """A sample is predicted again only if its process was killed before it could store it."""
    starts = [(sample, pid) for event, sample, pid in events(trace) if event == "start"]
    times, by_process = defaultdict(list), defaultdict(list)
    for sample, pid in starts:
        times[sample].append(pid)
        by_process[pid].append(sample)
    for sample, pids in times.items():
        for pid in pids[:-1]:
            unstored = by_process[pid][-1 - UNSTORED :]  # in hand, and waiting to be stored
            assert int(pid) in killed and sample in unstored, f"{sample} was predicted twice"
