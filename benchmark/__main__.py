"""``python -m benchmark``, and the console script ``cell-benchmark``."""

import sys


def run() -> int:
    """Run the command line in a process of its own.

    Returns:
        The exit status.
    """
    try:  # importing takes long enough for a Ctrl-C
        from benchmark.cli.main import main
        from benchmark.garbage_collection import skip_final_collection
        from benchmark.interrupts import keep_interrupts
        from benchmark.sweeps.further_jobs import do_further_jobs

        keep_interrupts()
    except KeyboardInterrupt:
        print("interrupted before anything was done", file=sys.stderr)
        return 130

    status = do_further_jobs(main, main())
    skip_final_collection()
    return status


if __name__ == "__main__":
    raise SystemExit(run())
