"""Benchmarks: one module a stage, each beside the named alternatives to it."""
