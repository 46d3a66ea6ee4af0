"""Fuzz the core, or run one input again."""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import IO

TARGETS = ("frames", "framing", "structs", "stream")

#: For any input [s].
TIMEOUT = 20
#: Inputs are no longer than this [bytes].
MAX_LENGTH = 4096
#: Memory of a fuzzing process, sanitizers and oracles included, at most [MiB].
MAX_MEMORY = 4096
#: How much of a failed run's log is shown [lines].
NUM_SHOWN = 60


def default_folder() -> Path:
    """Return where inputs are kept: outside of the project."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "ts-mtmount-telemetry" / "fuzz"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="target", help=f"default: {' '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="how long for each target (default: 60)")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="default: %(default)s")
    parser.add_argument("--again", type=Path, metavar="FILE", help="only run the targets on this input")
    return parser


def main() -> int:
    """Fuzz each target; the status is 1 if an input fails."""
    arguments = make_parser().parse_args()
    targets = arguments.targets or TARGETS
    if unknown := set(targets) - set(TARGETS):
        raise SystemExit(f"unknown targets: {', '.join(sorted(unknown))}")
    failed = []
    for name in targets:
        run = Run(name, arguments.folder / name)
        if not (run.again(arguments.again) if arguments.again else run.fuzz(arguments.seconds)):
            failed.append(name)
    if failed:
        print(f"\nFAILED: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


class Run:
    """Runs of one target, which keep what they find in a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / "log"
        self.failures = folder / "failures"
        self.corpus = folder / "corpus"
        for subfolder in (self.failures, self.corpus):
            subfolder.mkdir(parents=True, exist_ok=True)

    def fuzz(self, seconds: int) -> bool:
        """Fuzz for so long, or until an input fails; tell whether none did."""
        known = set(self.failures.iterdir())
        with self.log.open("wb") as output:
            result = self._start(
                f"-max_total_time={seconds}",
                f"-max_len={MAX_LENGTH}",
                f"-dict={self.folder / 'tokens'}",
                f"-artifact_prefix={self.failures}/",
                *(str(self.corpus), str(self.folder / "seeds")),
                output=output,
            )
        lines = self.log.read_text(errors="replace").splitlines()
        summary = [line for line in lines if re.match(r"#\d+\s+DONE|Done \d+ runs", line)]
        print(f"{self.name}: {'; '.join(summary) or 'ended early'}", flush=True)
        if result.returncode == 0:
            return True
        print("\n".join(lines[-NUM_SHOWN:]), file=sys.stderr)
        print(f"\n{self.name} failed with status {result.returncode}; see {self.log}", file=sys.stderr)
        for failure in sorted(set(self.failures.iterdir()) - known):
            print(f"The input that fails is kept: {failure}", file=sys.stderr)
            command = f"{sys.executable} -m tests.fuzz {self.name} --again {failure}"
            print(f"Run it again: {command}", file=sys.stderr)
        return False

    def again(self, path: Path) -> bool:
        """Run one input, with all output to the terminal; tell whether it went well."""
        return self._start(str(path), output=None).returncode == 0

    def _start(self, *arguments: str, output: IO[bytes] | None) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [
                *(sys.executable, "-m", f"{__package__}.engine", self.name, str(self.folder)),
                *(f"-timeout={TIMEOUT}", f"-rss_limit_mb={MAX_MEMORY}"),
                *arguments,
            ],
            stdout=output,
            stderr=output,
            env=engine_environment(),
            check=False,
        )


def engine_environment() -> dict[str, str]:
    """Return the environment in which libFuzzer and the sanitizers watch the core."""
    spec = importlib.util.find_spec("atheris")
    if spec is None or spec.origin is None:
        raise SystemExit("atheris is missing: run this with 'make fuzz'")
    return os.environ | {
        "LD_PRELOAD": str(Path(spec.origin).parents[1] / "asan_with_fuzzer.so"),
        # The sanitizer then knows the bounds of each object; the interpreter's own leaks are not ours.
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=64",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


if __name__ == "__main__":
    sys.exit(main())
