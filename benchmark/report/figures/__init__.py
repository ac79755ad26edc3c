"""The figures of a report, one per file; `draw_all` draws what the results allow."""

from benchmark.report.figures.draw import SAMPLES, draw_all
from benchmark.report.figures.per_data_set import bars
from benchmark.report.figures.style import missing_glyphs_allowed

__all__ = ["SAMPLES", "bars", "draw_all", "missing_glyphs_allowed"]
