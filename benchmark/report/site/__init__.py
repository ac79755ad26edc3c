"""Results -> one folder of web pages that needs neither server nor network."""

from benchmark.report.site.build import write_site

__all__ = ["write_site"]
