"""A library whose import leaves a trace."""

from helpers.segmenters import trace

trace("import", "-")
