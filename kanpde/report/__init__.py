"""One HTML page for runs and experiments."""

from kanpde.report.page import write_report

__all__ = ["write_report"]
