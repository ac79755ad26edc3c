"""A p-value as by hand."""

import itertools

import numpy as np


def p_by_brute_force(differences):
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product([1, -1], repeat=len(differences))
    ]
    return np.mean([total >= sums[0] - 1e-12 for total in sums])
