"""Runs one target under libFuzzer; started by ``python -m tests.fuzz``."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import atheris


def main() -> None:
    """Fuzz a target.

    The first argument is its name, the second the folder for seeds and
    tokens; the others are libFuzzer's.
    """
    name, folder, *arguments = sys.argv[1:]
    target = importlib.import_module(f"{__package__}.{name}")
    prepare(target, Path(folder))
    atheris.Setup([sys.argv[0], *arguments], target.check)
    atheris.Fuzz()


def prepare(target: ModuleType, folder: Path) -> None:
    """Write what libFuzzer begins with."""
    (folder / "seeds").mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(target.seeds()):
        (folder / "seeds" / f"{i:05}").write_bytes(seed)
    (folder / "tokens").write_text("".join(f'"{escape(token)}"\n' for token in target.TOKENS))


def escape(token: bytes) -> str:
    """Spell a byte string as libFuzzer's dictionaries do."""
    return "".join(f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    main()
