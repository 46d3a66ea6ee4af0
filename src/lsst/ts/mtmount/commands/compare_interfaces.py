"""Program ``compare_mtmount_interfaces``: what a change of the TMA's or SAL's interface would do."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..program.arguments import ArgumentParser, parse_output_file, parse_seconds, print_error
from ..resilience.escape import escape
from ..tma_interface import format_table, load_packaged_tma_interface
from ..tools.interface_comparison import Comparison, Source, SourceError, compare_sources, load_source

__all__ = ["main"]

NAME = "compare_mtmount_interfaces"

#: Exit statuses.
NO_LOSS, LOSS, FAILED = 0, 1, 2

#: Width of what is not written to a terminal [characters].
PLAIN_WIDTH = 160


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = ArgumentParser(
        NAME,
        description="Compare what the TMA sends, what a client's map of it has, and what SAL has.",
        epilog="An interface is tma:FILE, tma:packaged, sal:FOLDER, sal:installed, sal:packaged or "
        "live:HOST:PORT. Of two of the TMA, the first is what is sent and the second is the client's map; "
        "what is live is always what is sent, wherever it is named. "
        "Exit status: 0 if nothing would be lost; 1 if a frame, member or field would be lost, or its type "
        "differs; 2 if they cannot be compared.",
    )
    parser.add_argument(
        "interfaces", nargs="+", metavar="INTERFACE", help="two or three of them; one is enough with --export"
    )
    parser.add_argument(
        "--duration",
        type=parse_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long to listen to what is live (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="write JSON instead of tables")
    parser.add_argument(
        "--export",
        type=parse_output_file,
        metavar="FILE",
        help="write the interface that is named first, one of the TMA, as a table (CSV) for --tma-interface",
    )
    return parser


def load_sources(names: Sequence[str], duration: float) -> list[Source]:
    """Load the interfaces; a map that is among them gives the SAL names of what is live."""
    packaged = load_packaged_tma_interface()
    sources: dict[int, Source] = {}
    for index, name in sorted(enumerate(names), key=lambda entry: entry[1].startswith("live:")):
        known = next((source.tma for source in sources.values() if source.tma is not None), packaged)
        sources[index] = load_source(name, duration, known)
    return [sources[index] for index in range(len(names))]


def print_tables(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print what differs, a table for each pair."""
    for comparison in comparisons:
        title = f"{escape(comparison.first)} -> {escape(comparison.second)}"
        if not comparison.differences:
            console.print(Text(f"{title}: no differences"))
            continue
        table = Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left")
        for column in ("topic", "difference", "effect", "loss"):
            table.add_column(column, overflow="fold")
        for difference in comparison.differences:
            cells = (
                difference.topic,
                difference.what,
                difference.effect,
                "yes" if difference.is_loss else "no",
            )
            table.add_row(*(Text(escape(cell)) for cell in cells))
        console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program ``compare_mtmount_interfaces`` with these arguments, or those of the command line.

    Return the exit status: 0 if nothing would be lost, 1 if something would, 2 if the
    interfaces cannot be compared.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    num_wanted = (1, 2, 3) if args.export is not None else (2, 3)
    if len(args.interfaces) not in num_wanted:
        wanted = "one to three" if args.export is not None else "two or three"
        parser.error(f"expected {wanted} interfaces, got {len(args.interfaces)}")
    try:
        sources = load_sources(args.interfaces, args.duration)
        if args.export is not None:
            if sources[0].tma is None:
                parser.error(
                    f"expected an interface of the TMA first, for --export, got {args.interfaces[0]}"
                )
            args.export.replace(format_table(sources[0].tma).encode())
    except SourceError as error:
        return fail(str(error), is_json=args.json)
    except OSError as error:
        return fail(f"--export {args.export.path}: {error.strerror}", is_json=args.json)
    for source in sources:
        for remark in source.tma.remarks if source.tma else ():
            print(f"{NAME}: {escape(source.name)}: {escape(remark)}", file=sys.stderr)
    comparisons = compare_sources(sources)
    has_loss = any(comparison.has_loss for comparison in comparisons)
    print_comparisons(comparisons, has_loss=has_loss, is_json=args.json)
    return LOSS if has_loss else NO_LOSS


def fail(message: str, *, is_json: bool) -> int:
    """Say why the interfaces cannot be compared, as JSON, too, if that is wanted; return the status."""
    print_error(NAME, message)
    if is_json:
        print(json.dumps({"error": escape(message)}, indent=4))
    return FAILED


def print_comparisons(comparisons: Sequence[Comparison], *, has_loss: bool, is_json: bool) -> None:
    """Print the comparisons as JSON or as tables."""
    if is_json:
        document = {
            "has_loss": has_loss,
            "comparisons": [dataclasses.asdict(comparison) for comparison in comparisons],
        }
        print(json.dumps(document, indent=4))
    elif comparisons:
        console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
        # Not written by rich itself, which ends the program if nobody reads.
        with console.capture() as capture:
            print_tables(comparisons, console)
            verdict = "Something would be lost, or has another type" if has_loss else "Nothing would be lost"
            console.print(Text(f"{verdict}."))
        print(capture.get(), end="")


if __name__ == "__main__":
    import mtmount_telemetry_launcher

    sys.exit(mtmount_telemetry_launcher.run_compare())
