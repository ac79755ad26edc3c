"""The training of the demo weights: images, crops, targets, losses, steps, and what is kept.

A part of a training is one `Settings` (trainer.py), trained by `train` (train.py). What a part does
differently is a field of `Settings` with today's value as its default.
"""
