"""From many rows to a claim: how sure a mean is, and which differences are real.

Images of one volume, slide or movie are no independent evidence: everything here resamples,
flips or ranks whole groups. Higher scores are better.
"""

from benchmark.stats.comparison import (
    ALPHA,
    DISAGREE,
    WEIGHTS,
    Comparison,
    compare,
    compare_pairs,
)
from benchmark.stats.effect import rank_biserial, standardised_difference
from benchmark.stats.families import holm
from benchmark.stats.interval import (
    CAUTIONS,
    FEWEST_GROUPS,
    bootstrap_interval,
    interval_caution,
)
from benchmark.stats.pairing import Exclusion, pair
from benchmark.stats.permutation import FEWEST_FOR_P, sign_flip_p, smallest_p
from benchmark.stats.power import POWER, fewest_groups, groups_needed
from benchmark.stats.ranks import (
    NOT_INDEPENDENT,
    FriedmanResult,
    critical_difference,
    friedman,
)

__all__ = [
    "ALPHA",
    "CAUTIONS",
    "DISAGREE",
    "FEWEST_FOR_P",
    "FEWEST_GROUPS",
    "NOT_INDEPENDENT",
    "POWER",
    "WEIGHTS",
    "Comparison",
    "Exclusion",
    "FriedmanResult",
    "bootstrap_interval",
    "compare",
    "compare_pairs",
    "critical_difference",
    "fewest_groups",
    "friedman",
    "groups_needed",
    "holm",
    "interval_caution",
    "pair",
    "rank_biserial",
    "sign_flip_p",
    "smallest_p",
    "standardised_difference",
]
