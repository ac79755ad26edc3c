"""The collector is held off for imports and at the end, and works in between."""

import gc
import os
import subprocess
import sys

import pytest

from benchmark.garbage_collection import collection_paused


def test_nothing_is_collected_while_a_library_is_imported():
    assert gc.isenabled()
    with collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            pass
        assert not gc.isenabled(), "the outer one goes on"
    assert gc.isenabled()
    with pytest.raises(ImportError), collection_paused():
        raise ImportError
    assert gc.isenabled()


def test_the_end_of_a_command_collects_nothing(tmp_path):
    """A cycle that tells when it is collected: by an ordinary end of Python it is."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "class Told:\n"
        "    def __del__(self, write=os.write):\n"
        "        write(2, b'collected')\n"
        "one = Told()\n"
        "one.own = one\n"
        "del one\n"
        "import gc\n"
        "gc.disable()\n"
    )
    places = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))

    def end(*command):
        told = subprocess.run(
            [sys.executable, *command], capture_output=True, env=os.environ | {"PYTHONPATH": places}
        )
        assert told.returncode == 0, told.stderr
        return b"collected" in told.stderr

    assert end("-c", "pass")
    assert not end("-m", "benchmark", "--help")
