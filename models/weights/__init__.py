"""Weights: named by cards or given by path, downloaded, verified, opened without executing them."""

from models.weights.registry import find_weights

__all__ = ["find_weights"]
