"""What `scripts/bench_tuning.py` measures: its configuration and its lines."""
