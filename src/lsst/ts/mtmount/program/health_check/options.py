"""What the options of the command line need."""

import argparse
from collections.abc import Iterator

from .finding import Finding, ok

__all__ = ["check_files"]


def check_files(args: argparse.Namespace) -> Iterator[Finding]:
    """Name the files that options ask for; parsing the command line has tried each."""
    named = {
        "--dead-letter": args.dead_letter and args.dead_letter.path,
        "--report": args.report and args.report.path,
        "--pid-file": args.pid_file and args.pid_file.output.path,
        "--record": args.record,
    }
    for option, path in named.items():
        if path is not None:
            yield ok(option, f"{path} can be written")
