"""``python -m benchmark``, and the console script ``cell-benchmark``."""

from benchmark.cli.main import main
from benchmark.garbage_collection import skip_final_collection


def run() -> int:
    """Run the command line in a process of its own.

    Returns:
        The exit status.
    """
    status = main()
    skip_final_collection()
    return status


if __name__ == "__main__":
    raise SystemExit(run())
