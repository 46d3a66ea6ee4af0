"""The program ``adopt_mtmount_telemetry_client``.

The mount's CSC finds its telemetry client on the PATH. An environment's whole
``bin`` there would shadow other programs, so this makes a folder that holds
the one program.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..program.arguments import ArgumentParser, parse_output_folder, print_error
from ..program.client_arguments import FILE_VARIABLES, make_paths_absolute
from ..resilience.escape import escape
from ..resilience.output_file import make_output_folder

__all__ = ["AdoptionError", "main", "make_program_folder"]

PROGRAM = "run_mtmount_telemetry_client"
LAUNCHER = Path(__file__).resolve().parents[4] / "mtmount_telemetry_launcher.py"

#: Says that a program was made here.
MARK = "made by adopt_mtmount_telemetry_client"

#: Longer first lines are cut off, or refused, by some kernels [characters].
MAX_SHEBANG = 127

#: How long the new program may take to say what it is [s].
CHECK_TIMEOUT = 60

TEMPLATE = f"""\
{{shebang}}
# {PROGRAM} of the distribution ts-mtmount-telemetry; {MARK}.
import importlib.util
import sys

# Loaded by its place: the PYTHONPATH may hold another lsst.ts.mtmount.
spec = importlib.util.spec_from_file_location("mtmount_telemetry_launcher", {{launcher!r}})
launcher = importlib.util.module_from_spec(spec)
spec.loader.exec_module(launcher)
sys.argv[1:1] = {{options!r}}
sys.exit(launcher.run_client())
"""


class AdoptionError(RuntimeError):
    """The folder cannot be used."""


def make_program_folder(
    folder: Path,
    options: Sequence[str] = (),
    *,
    python: str = sys.executable,
    launcher: Path = LAUNCHER,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Make a folder for the PATH that holds only the client's program; return what that says of itself.

    The folder may hold an earlier version of the program. ``options`` are those that it has always, besides
    those that it is given; paths in them become absolute. ``python`` runs it, with the module
    ``mtmount_telemetry_launcher`` at ``launcher``. The program reads the environment variables that the CSC
    has: a relative path in ``environ`` would be another one there. `AdoptionError` if there is anything else
    in the folder, or it cannot be written, or a variable has a relative path, or the program does not run; a
    program that was there stays as it was.
    """
    if not launcher.is_file():
        raise AdoptionError(f"{launcher} is missing: ts-mtmount-telemetry is not installed as a whole")
    for variable in FILE_VARIABLES:
        path = environ.get(variable)
        if path and not os.path.isabs(path):  # noqa: PTH117
            raise AdoptionError(
                f"expected an absolute path in {variable}, as the CSC starts the program from another folder "
                f"and with its own environment, got {path!r}"
            )
    program = folder / PROGRAM
    draft: Path | None = None
    is_new = not folder.exists()
    try:
        make_output_folder(folder)
        others = sorted(path.name for path in folder.iterdir() if path != program)
        if others:
            raise AdoptionError(
                f"{folder} also holds {', '.join(others[:5])}: on the PATH, that would shadow other programs"
            )
        if program.exists() and MARK not in program.read_text(encoding="utf-8", errors="replace"):
            raise AdoptionError(f"{program} was not {MARK}; it is left as it is")
        # Beside the file itself, where the program is a link.
        target = Path(os.path.realpath(program))
        descriptor, name = tempfile.mkstemp(prefix=f".{PROGRAM}-", dir=target.parent)
        draft = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            text = TEMPLATE.format(
                shebang=_make_shebang(python),
                launcher=str(launcher),
                options=list(make_paths_absolute(options)),
            )
            file.write(text)
        draft.chmod(0o755)
        check = subprocess.run(
            [str(draft), "--which"], capture_output=True, text=True, timeout=CHECK_TIMEOUT, check=False
        )
        if check.returncode != 0:
            raise AdoptionError(f"the program would not run: {_find_reason(check)}")
        draft.replace(target)
    except OSError as error:
        raise AdoptionError(f"{folder} cannot be used: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise AdoptionError(f"the program did not answer within {CHECK_TIMEOUT} s") from None
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)
        if is_new and folder.is_dir() and not program.exists():
            folder.rmdir()
    return check.stdout


def make_parser() -> ArgumentParser:
    """Make the parser of the command line."""
    parser = ArgumentParser(
        "adopt_mtmount_telemetry_client",
        description=f"Make a folder for the PATH that holds one program, {PROGRAM} of this environment.",
    )
    parser.add_argument(
        "folder",
        type=parse_output_folder,
        metavar="DIR",
        help="folder to make; it may hold nothing else",
    )
    parser.add_argument(
        "options",
        nargs=argparse.REMAINDER,
        metavar="OPTION",
        help="option of the program, in addition to those that the CSC gives it, "
        "such as --sal-backend=builtin",
    )
    return parser


def main() -> int:
    """Make the folder that the command line names, and show what runs there.

    Return the exit status: 0, or 1 if anything else is in the folder, or the program does not
    run; a usage error ends with 2.
    """
    parser = make_parser()
    args = parser.parse_args()
    folder = args.folder.absolute()
    try:
        description = make_program_folder(folder, args.options)
    except AdoptionError as error:
        print_error(parser.prog, str(error))
        return 1
    print(f"Made {escape(str(folder / PROGRAM))}, which runs:\n\n{description}")
    path = escape(shlex.quote(str(folder)))
    print(f"To use it, put the folder first on the PATH of the mount's CSC:\n\n    PATH={path}:$PATH\n")
    print(f"To see what the CSC would run there:\n\n    type {PROGRAM} && {PROGRAM} --which")
    return 0


def _find_reason(check: subprocess.CompletedProcess[str]) -> str:
    """Return why a program failed: a usage error without the usage, or the last line."""
    text = check.stderr.strip() or check.stdout.strip() or f"status {check.returncode}"
    return text.rpartition(f"{PROGRAM}: error: ")[2].splitlines()[-1]


def _make_shebang(python: str) -> str:
    line = f"#!{python}"
    if " " not in python and len(line) <= MAX_SHEBANG:
        return line
    # A shell takes any path; for Python, its line is the start of a string.
    quoted = re.sub(r'([\\"$`])', r"\\\1", python)
    return f"#!/bin/sh\n'''exec' \"{quoted}\" \"$0\" \"$@\"\n' '''"


if __name__ == "__main__":
    import mtmount_telemetry_launcher

    sys.exit(mtmount_telemetry_launcher.run_adopt())
