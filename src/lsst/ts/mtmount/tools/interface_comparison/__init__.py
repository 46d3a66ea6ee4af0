"""Comparison of interfaces: what the TMA sends, what a client's map has, what SAL has."""

from .comparison import Comparison, compare_sources
from .sources import Source, SourceError, load_source

__all__ = ["Comparison", "Source", "SourceError", "compare_sources", "load_source"]
