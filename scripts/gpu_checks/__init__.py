"""What `scripts/check_gpu.py` checks: findings, the adapters with random weights, the checks."""
