"""Results -> one folder of web pages that needs neither server nor network."""

from benchmark.report.site.build import build_site, write_site

__all__ = ["build_site", "write_site"]
