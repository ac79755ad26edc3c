"""Results -> tables, figures and pictures."""
