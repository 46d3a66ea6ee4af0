"""What becomes of the telemetry when something breaks: each fault on real parts.

``python -m tests.faults`` runs all of them and prints a table of what was
measured; ``make faults`` is the same.
"""
