"""A Ctrl-C in a callback, which Python ignores, interrupts nevertheless."""

import subprocess
import sys

import pytest

PROGRAM = """
import gc, time, weakref
from benchmark.interrupts import keep_interrupts

class Thing:
    {of_class}

def interrupted(*_):
    raise {error}

keep_interrupts()
thing = Thing()
{begin}
del thing
try:
    time.sleep({seconds})
    print("went on")
except KeyboardInterrupt:
    print("interrupted")
"""
PLACES = {
    "a weakref callback": ("pass", "kept = weakref.ref(thing, interrupted)"),
    "a finalizer": ("__del__ = lambda self: interrupted()", ""),
}


def printed(place, error, seconds):
    of_class, begin = PLACES[place]
    program = PROGRAM.format(of_class=of_class, begin=begin, error=error, seconds=seconds)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupt_that_python_ignores_comes_again(place):
    done = printed(place, "KeyboardInterrupt", 600)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_other_errors_of_callbacks_are_printed_as_before():
    done = printed("a finalizer", "ValueError('odd')", 0)
    assert done.stdout == "went on\n" and "ValueError: odd" in done.stderr


def test_the_command_line_keeps_them():
    program = "import sys; sys.argv[1:] = ['--version']; from benchmark.__main__ import run; run()"
    ask = "import sys; print(sys.unraisablehook.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{ask}"], capture_output=True, text=True
    )
    assert done.stdout.endswith("_interrupt_again\n"), done.stderr
