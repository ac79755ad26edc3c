"""The figures of `scripts/bench.py`."""
