"""What `scripts/agreement_trial.py` runs: data sets, configurations, and two classical methods."""
