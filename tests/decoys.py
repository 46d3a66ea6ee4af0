"""Folders for the PYTHONPATH that hold another ``lsst.ts.mtmount``, as the observatory's set-up does."""

from pathlib import Path

#: What importing the other package would do.
BETRAYAL = "the decoy ran"

KINDS = ("namespace", "regular", "extended", "bare")


def make_decoy(root: Path, kind: str) -> Path:
    """Make a folder with another ``lsst.ts.mtmount``, and with a ``lsst.ts.salobj``.

    Parameters
    ----------
    root
        Where.
    kind
        ``namespace``: there is no ``__init__.py`` in ``lsst`` and ``lsst/ts``.
        ``regular``: there is one. ``extended``: it looks for other parts of the
        package. ``bare``: ``lsst`` has one, and there is nothing of ``lsst.ts``.
    """
    texts = {
        "namespace": None,
        "regular": "",
        "extended": "from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)\n",
        "bare": "",
    }
    packages = {"lsst": texts[kind]}
    if kind != "bare":
        packages |= {
            "lsst/ts": texts[kind],
            "lsst/ts/mtmount": f"raise SystemExit({BETRAYAL!r})\n",
            "lsst/ts/salobj": '__version__ = "of the decoy"\n',
        }
    for name, text in packages.items():
        folder = root / name
        folder.mkdir(parents=True)
        if text is not None:
            (folder / "__init__.py").write_text(text)
    return root
