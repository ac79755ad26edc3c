"""The demo network: SAM and micro-sam's decoder in small, for the weights that we train ourselves.

`network.py` holds it; that is imported where it is built, since it imports torch.
"""
