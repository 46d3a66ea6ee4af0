"""Fuzzing of the core against plain oracles.

A target is a module with

* ``check(data)``: run the core and its oracle on any bytes, AssertionError
  where they differ;
* ``seeds()``: inputs to begin with;
* ``TOKENS``: byte strings that make a difference.

``python -m tests.fuzz`` fuzzes them, guided by the branches that an input takes.
"""
